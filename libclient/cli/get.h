/*
 * get.h - one file brought to the local disk: for cmd_get.c.
 *
 * What arrives is written to NAME.part, its version to NAME.part.version.  When
 * all is there, its CRC-64 is compared with the store's, it is synced and
 * renamed to NAME with the object's time.  Interrupted at any instant, the next
 * run goes on where this one stopped, if the store still has that version.
 *
 * Threads: any, one for each file.
 */
#ifndef LIBCLIENT_CLI_GET_H
#define LIBCLIENT_CLI_GET_H

#include "libclient/cli/cli.h"

#include <stdatomic.h>

struct get_counters {
	_Atomic uint64_t bytes; /* done, those found on the disk included */
	_Atomic uint64_t received;
	_Atomic unsigned files;
	_Atomic bool stop; /* somebody failed: the others end at their next block */
};

struct get_job {
	const struct target *from;
	const char *path; /* in the mount */
	const char *to;	  /* local */
	struct ossc_stat st;
	struct get_counters *counters;
};

/* EXIT_DONE, or EXIT_FAILED and a line on stderr. */
int get_file(const struct get_job *job);

#endif
