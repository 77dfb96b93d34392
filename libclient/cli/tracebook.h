/*
 * tracebook.h - what `ossc trace` heard: reads the library's lines, prints each, and
 * counts them for the summary.
 *
 * Threads: one.
 */
#ifndef LIBCLIENT_CLI_TRACEBOOK_H
#define LIBCLIENT_CLI_TRACEBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct tracebook;

/* each: print every call to `out` as it comes. */
struct tracebook *tracebook_new(FILE *out, bool each);
void tracebook_free(struct tracebook *b);

/* We start a program ourselves. */
void tracebook_started(struct tracebook *b, pid_t pid, const char *program);
/* One datagram of the library's (libclient/preload/trace.c); what is no such line is left out. */
void tracebook_add(struct tracebook *b, char *line);
void tracebook_summary(struct tracebook *b);

#endif
