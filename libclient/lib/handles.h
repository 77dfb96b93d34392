/*
 * handles.h - what the handles of ossc.h are made of: for libclient/lib alone.
 */
#ifndef LIBCLIENT_LIB_HANDLES_H
#define LIBCLIENT_LIB_HANDLES_H

#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/view.h"
#include "libclient/lib/ossc.h"

#define OSSC_EXPORT __attribute__((visibility("default")))

struct async;

struct ossc {
	struct link *link;
	struct async *async; /* made by the first ossc_submit() or ossc_event_fd() */
};

struct ossc_mount {
	struct ossc *conn;
	struct view *view;
};

struct ossc_file {
	struct ossc *conn;
	struct file *file;
};

struct ossc_mapping {
	struct ossc_file *file;
	struct file *held;
	struct pin pin;
	struct pin_range range;
};

/* Copy a struct that the caller filled, of a library as old or new as it may be. */
int options_copy(void *to, size_t to_size, const void *from, size_t from_size);
void async_free(struct async *a);

#endif
