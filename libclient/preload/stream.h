/*
 * stream.h - stdio over store files.
 * Threads: stream_start() in the constructor.
 */
#ifndef LIBCLIENT_PRELOAD_STREAM_H
#define LIBCLIENT_PRELOAD_STREAM_H

/* Where standard input is a store file that came through exec, give stdin a stream that reads it. */
void stream_start(void);

#endif
