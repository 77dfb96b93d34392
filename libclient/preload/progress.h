/*
 * progress.h - when a primary's program has waited for the store for a while,
 * `ossc progress` is started, once: it tells on standard error how far the
 * download is.  The library itself tells nothing.
 */
#ifndef LIBCLIENT_PRELOAD_PROGRESS_H
#define LIBCLIENT_PRELOAD_PROGRESS_H

/* At the start, for a primary.  envp: stays. */
void progress_start(char *const *envp);

#endif
