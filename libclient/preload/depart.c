#include "libclient/preload/depart.h"

#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/actions.h"
#include "libclient/preload/carry.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/say.h"
#include "libclient/preload/store.h"

/* Will the new program hold this descriptor? */
static bool survives(const struct departure *d, int fd)
{
	int flags = sys_fcntl(fd, F_GETFD, 0);

	return flags >= 0 && ((flags & FD_CLOEXEC) == 0 ||
			      (d->actions != NULL && actions_duplicate(d->actions, fd)));
}

/* The first that survives: nobody asks about it again. */
static int first_survivor(const struct departure *d)
{
	int fd;

	for (fd = fds_next_of(NULL, 0); fd >= 0; fd = fds_next_of(NULL, fd + 1))
		if (survives(d, fd))
			return fd;
	return -1;
}

bool depart_begin(struct departure *d)
{
	d->first = fds_next_of(NULL, 0);
	d->borrowed = d->first >= 0 && fds_in_vfork_child();
	/* A vfork child has descriptors of its own, which cost more to ask for. */
	if (!d->borrowed)
		d->first = first_survivor(d);
	d->has_files = d->first >= 0;
	if (!d->has_files && (!store_is_attached() || !carry_is_wanted(d->envp)))
		return false;
	d->target = d->path != NULL ? target_judge(d->dirfd, d->path, d->flags) : TARGET_BARE;
	return d->target != TARGET_ABSENT;
}

bool depart_carries(const struct departure *d)
{
	return d->target == TARGET_LOADS &&
	       ((store_is_attached() && carry_is_wanted(d->envp)) || depart_mark(d) != NULL);
}

const char *depart_mark(const struct departure *d)
{
	int fd;

	for (fd = fds_next_of(NULL, INHERIT_LOW); d->has_files && fd >= 0;
	     fd = fds_next_of(NULL, fd + 1))
		if (survives(d, fd))
			return INHERIT_MARK;
	return NULL;
}

static void say_failed(const struct departure *d, int error)
{
	char name[32];
	struct text t;

	text_init(&t, name, sizeof(name));
	text_add_errno(&t, error);
	SAY_ONCE("a store file cannot be handed to ", d->path != NULL ? d->path : "a program",
		 ", which does not load this library: ", name,
		 "; reading it will fail there with EBADF");
}

/* ---- a vfork child: only the kernel knows its descriptors --------------------------------- */

/* The file of a placeholder: what the parent's table knows, or what its name says. */
static int file_of(int fd, struct file **ret)
{
	struct stat st;
	struct ofd *o;
	int r = sys_fstat(fd, &st);

	if (r != 0)
		return r;
	o = fds_get_placeholder((uint64_t)st.st_ino);
	if (o == NULL)
		return inherit_file(fd, ret);
	*ret = file_ref(o->file);
	fds_put(o);
	return 0;
}

static int copy_over(int fd)
{
	struct file *f;
	int copy, r;

	r = file_of(fd, &f);
	if (r != 0)
		return r;
	copy = escape_open(f);
	file_put(f);
	if (copy < 0)
		return copy;
	sys_call3(__NR_lseek, copy, sys_call3(__NR_lseek, fd, 0, SEEK_CUR), SEEK_SET);
	r = sys_dup3(copy, fd, 0);
	sys_close(copy);
	return r < 0 ? r : 0;
}

static void escape_in_child(int fd, void *arg)
{
	const struct departure *d = arg;
	int flags = sys_fcntl(fd, F_GETFD, 0), r;

	if (flags < 0 || (flags & FD_CLOEXEC) != 0)
		return;
	fds_hand_over(fd, true);
	r = copy_over(fd);
	if (r != 0)
		say_failed(d, r);
}

/* ------------------------------------------------------------------------------------------ */

/* Each that it may hold says by its name what it is.  Long paths do not fit. */
static bool all_are_named(const struct departure *d)
{
	int fd;

	for (fd = fds_next_of(NULL, 0); fd >= 0; fd = fds_next_of(NULL, fd + 1))
		if (!fds_is_named(fd) && (d->borrowed || survives(d, fd)))
			return false;
	return true;
}

void depart_go(const struct departure *d)
{
	bool knows = d->target == TARGET_LOADS && carry_suffices(d->envp) && all_are_named(d);
	int fd, r;

	if (!d->has_files)
		return;
	if (d->borrowed && !knows) {
		placeholder_each(escape_in_child, (void *)d);
		return;
	}
	for (fd = d->first; fd >= 0; fd = fds_next_of(NULL, fd + 1)) {
		if ((d->borrowed || fd != d->first) && !survives(d, fd))
			continue;
		if (knows) {
			fds_hand_over(fd, d->borrowed);
			continue;
		}
		r = escape_descriptor(fd);
		if (r != 0 && r != -EBADF) /* closed meanwhile by another thread */
			say_failed(d, r);
	}
}
