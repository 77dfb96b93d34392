/*
 * download.h - how far a mount's download is, in words: reads one look at the
 * daemon's JSON, reckons rate and time left from one look to the next, says what
 * is waited for.  Prints nothing.
 */
#ifndef LIBCLIENT_CLI_DOWNLOAD_H
#define LIBCLIENT_CLI_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define DOWNLOAD_TEXT 256

struct download {
	char state[16]; /* of the mount's prefetch; "": there is no such mount yet */
	bool listing, cache_full;
	uint64_t bytes, total, ms, requests, retries, in_flight, failed;
	uint64_t retried_ms; /* so long ago; UINT64_MAX: never */
	unsigned why;	     /* status or errno */

	double rate;	      /* bytes a second, smoothed */
	double looked, moved; /* when; 0: never */
	uint64_t throttled;   /* answers that asked to slow down */
	double slowed;	      /* when there was one more; 0: never */
};

/*
 * Take what the JSON says of the mount oss_path of this user, at `now` seconds.  Of a mount that is
 * gone the figures stay.
 */
void download_look(struct download *d, const char *json, const char *oss_path, double now);
bool download_is_running(const struct download *d);
bool download_is_over(const struct download *d);
bool download_is_whole(const struct download *d); /* over, and nothing is missing */
/* "1.2 of 140.0 GB, 2.0 GB/s, 1 min 9 s left; waits for ..." */
void download_say(const struct download *d, double now, char text[DOWNLOAD_TEXT]);
/* "140.0 GB in 70.1 s, 2.00 GB/s, 16690 requests, 0 retries" */
void download_say_end(const struct download *d, char text[DOWNLOAD_TEXT]);

#endif
