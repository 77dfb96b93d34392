/*
 * depart.h - what becomes of store descriptors when another program is started.
 * One that loads the library keeps the placeholders and finds their offsets in
 * the kernel; for any other, those that it will hold become copies (escape.h).
 *
 *	struct departure d = { ... };
 *	if (depart_begin(&d)) {
 *		if (depart_carries(&d))
 *			d.envp = carry_add(d.envp, depart_mark(&d), room);
 *		depart_go(&d);
 *	}
 *
 * Threads: any; from vfork children as well, whose own descriptors alone change.
 */
#ifndef LIBCLIENT_PRELOAD_DEPART_H
#define LIBCLIENT_PRELOAD_DEPART_H

#include "libclient/preload/target.h"

#include <stdbool.h>

struct departure {
	int dirfd;	  /* as for execveat() */
	const char *path; /* NULL: cannot be told */
	int flags;
	char *const *envp;
	const void *actions; /* of posix_spawn: they may duplicate any descriptor; NULL: none */
	enum target target;
	bool has_files; /* store descriptors will be the program's */
	int first;	/* the lowest of them; in a vfork child the lowest that its parent has */
	bool borrowed;	/* in a vfork child: the table is its parent's */
};

/* False: nothing of ours is concerned, and no system call was made to see it but F_GETFD. */
bool depart_begin(struct departure *d);
/* The new program is to get what it lacks of the environment, or a mark (carry.h). */
bool depart_carries(const struct departure *d);
/* For a program that will hold store files under high numbers; NULL: none is needed. */
const char *depart_mark(const struct departure *d);
/* Its descriptors are ready when this returns.  What cannot be copied is said, and stays unreadable. */
void depart_go(const struct departure *d);

#endif
