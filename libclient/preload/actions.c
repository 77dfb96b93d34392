#include "libclient/preload/actions.h"

#include "libclient/core/sys.h"
#include "libclient/preload/placeholder.h"

#include <stdint.h>

#define NR_NOTES 256

enum kind {
	NOTE_DUPLICATE,
	NOTE_KEPT,
	NOTE_DIRECTORY,
};

struct note {
	const void *actions; /* NULL: free */
	int fd;
	uint32_t kind;
	uint32_t when; /* the last directory counts */
};

static struct note notes[NR_NOTES];
static uint32_t nr_used; /* no note lies behind */
static uint32_t last_when;
static uint32_t lost; /* a note found no room */

static bool note(const void *actions, int fd, enum kind kind)
{
	const void *none;
	uint32_t i, used;

	for (i = 0; i < NR_NOTES; i++) {
		none = NULL;
		if (!__atomic_compare_exchange_n(&notes[i].actions, &none, actions, false,
						 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		/* Only who owns these actions looks at the rest, and he is here. */
		notes[i].fd = fd;
		notes[i].kind = kind;
		notes[i].when = __atomic_add_fetch(&last_when, 1, __ATOMIC_RELAXED);
		used = __atomic_load_n(&nr_used, __ATOMIC_RELAXED);
		while (used <= i &&
		       !__atomic_compare_exchange_n(&nr_used, &used, i + 1, false, __ATOMIC_RELAXED,
						    __ATOMIC_RELAXED))
			;
		return true;
	}
	__atomic_store_n(&lost, 1, __ATOMIC_RELAXED);
	return false;
}

static struct note *next_of(const void *actions, uint32_t *at)
{
	uint32_t used = __atomic_load_n(&nr_used, __ATOMIC_RELAXED);

	while (*at < used) {
		struct note *n = &notes[(*at)++];

		if (__atomic_load_n(&n->actions, __ATOMIC_ACQUIRE) == actions)
			return n;
	}
	return NULL;
}

void actions_forget(const void *actions)
{
	uint32_t at = 0;
	struct note *n;

	while ((n = next_of(actions, &at)) != NULL) {
		if (n->kind != NOTE_DUPLICATE && n->fd >= 0)
			sys_close(n->fd);
		/* Release pairs with the acquire in note(). */
		__atomic_store_n(&n->actions, NULL, __ATOMIC_RELEASE);
	}
}

void actions_note_duplicate(const void *actions, int fd)
{
	(void)note(actions, fd, NOTE_DUPLICATE);
}

int actions_keep(const void *actions, int fd)
{
	fd = placeholder_move_high(fd);
	if (note(actions, fd, NOTE_KEPT))
		return fd;
	sys_close(fd);
	return -ENOMEM;
}

void actions_enter(const void *actions, int dirfd)
{
	if (dirfd >= 0)
		dirfd = placeholder_move_high(dirfd);
	if (!note(actions, dirfd, NOTE_DIRECTORY) && dirfd >= 0)
		sys_close(dirfd);
}

bool actions_duplicate(const void *actions, int fd)
{
	uint32_t at = 0;
	struct note *n;

	while ((n = next_of(actions, &at)) != NULL)
		if (n->kind == NOTE_DUPLICATE && n->fd == fd)
			return true;
	return __atomic_load_n(&lost, __ATOMIC_RELAXED) != 0;
}

int actions_dirfd(const void *actions)
{
	uint32_t at = 0, when = 0;
	int fd = AT_FDCWD;
	struct note *n;

	while ((n = next_of(actions, &at)) != NULL) {
		if (n->kind != NOTE_DIRECTORY || n->when < when)
			continue;
		when = n->when;
		fd = n->fd;
	}
	return fd;
}
