/*
 * inherit.h - store files that were open when this program was started by exec, or
 * that came over a socket: found by the placeholders' names, opened again at the
 * first use, read from where the kernel's offset stands.  When the store cannot be
 * asked, or has another version by then, reading says so (EIO, ESTALE).
 *
 * Threads: inherit_start() in the constructor; the others any.
 */
#ifndef LIBCLIENT_PRELOAD_INHERIT_H
#define LIBCLIENT_PRELOAD_INHERIT_H

struct file;

/*
 * Numbers that a new program looks through for store files.  Whoever starts one that
 * will hold some under higher numbers says so in its environment.
 */
#define INHERIT_LOW  64
#define INHERIT_MARK "OSSC_DESCRIPTORS=all"

/* Mark them in the table of descriptors.  envp: of this program. */
void inherit_start(char *const *envp);
/* The kernel gave out this number for something unknown: forget what it was, and look. */
void inherit_received(int fd);
/* Called by the table: open what the descriptor stands for, and enter it. */
void inherit_open(int fd);
/* The file that a placeholder stands for, with a reference; a negative errno. */
int inherit_file(int fd, struct file **ret_file);

#endif
