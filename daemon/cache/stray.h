/*
 * stray.h - pages that no fill wrote: a reader that touches a hole in an
 * object's memory makes a page of zeros there, for good.  They never count as
 * data, but they take memory: here they are found and punched again.
 */
#ifndef DAEMON_CACHE_STRAY_H
#define DAEMON_CACHE_STRAY_H

#include "daemon/cache/state.h"

/*
 * Look at some objects, if it is time.  The cache's lock is held, and let go
 * for punches.  Milliseconds until the next look, or -1.
 */
long stray_sweep(struct cache *c);

#endif
