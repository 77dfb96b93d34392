/*
 * inherit.h - store files that were open when this program was started by exec:
 * found at start by the placeholders' names, opened again at the first use, read
 * from where the kernel's offset stands.
 *
 * Threads: inherit_start() in the constructor; inherit_open() any.
 */
#ifndef LIBCLIENT_PRELOAD_INHERIT_H
#define LIBCLIENT_PRELOAD_INHERIT_H

/* Mark them in the table of descriptors. */
void inherit_start(void);
/* Called by the table: open what the descriptor stands for, and enter it. */
void inherit_open(int fd);

#endif
