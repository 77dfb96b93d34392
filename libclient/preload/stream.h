/*
 * stream.h - stdio streams over store files.  libc's own streams read inside
 * libc, past every hook.  So glibc gets a *cookie stream*, which calls us, with its
 * descriptor noted in the FILE.  What such a stream cannot do (wide characters,
 * freopen) makes it a *plain stream* in place: the descriptor becomes a private
 * copy (escape.h) that libc reads by itself.  In musl all are plain.
 *
 * Threads: any, as stdio; stream_start() in the constructor.
 */
#ifndef LIBCLIENT_PRELOAD_STREAM_H
#define LIBCLIENT_PRELOAD_STREAM_H

#include <stdbool.h>
#include <stdio.h>

struct cookie;

/* Where standard input is a store file that came through exec, stdin becomes a cookie stream. */
void stream_start(void);

/* A stream over a store descriptor, which it takes over on success; NULL and errno. */
FILE *stream_new(int fd, const char *mode);

/* The descriptor, or -1. */
int stream_fd(FILE *f);
/* Does libc show us the inside of this stream, and is it a cookie stream of ours? */
bool stream_is_cookie(FILE *f);
/* Is its descriptor a store file's? */
bool stream_is_store(FILE *f);

/* Do we know how? */
bool stream_can_be_plain(void);
/* libc is about to read the stream by itself: 0, or a negative errno when it has to be refused. */
int stream_make_plain(FILE *f);
/* The same, before reading wide characters: false, with errno and the stream's error flag. */
bool stream_wide(FILE *f);
/* The same for a plain stream whose descriptor became a store file's (dup2 onto descriptor 0). */
void stream_settle(FILE *f);

/* A cookie stream goes on, as new, with another store descriptor, which is used up. */
void stream_reopen(FILE *f, int fd);
/* Before libc opens the stream again by itself: synchronised, and its descriptor no longer ours. */
void stream_detach(FILE *f);

/* Around libc's fclose. */
struct cookie *stream_before_close(FILE *f);
void stream_after_close(struct cookie *c);

#endif
