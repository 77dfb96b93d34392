#include "libclient/preload/shadow.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"

#include <dirent.h>
#include <stddef.h>

uint32_t shadow_is = SHADOW_UNKNOWN;

/* Has this local entry a file's name?  Without a tree any file may. */
static bool is_one(const struct dirent64 *d, const struct snapshot *tree)
{
	uint32_t child;

	if (d->d_type == DT_DIR)
		return false;
	if (tree == NULL)
		return true;
	child = snapshot_child(tree, 0, d->d_name, mem_len(d->d_name));
	return child != SNAPSHOT_NONE && !snapshot_is_dir(&tree->entries[child]);
}

static bool any_in(const char *dir, const struct snapshot *tree)
{
	int fd = sys_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	char buf[2048];
	bool any = false;
	ssize_t n, at;

	if (fd < 0)
		return false;
	while (!any && (n = sys_call3(__NR_getdents64, fd, buf, sizeof(buf))) > 0)
		for (at = 0; at < n && !any; at += ((struct dirent64 *)(buf + at))->d_reclen)
			any = is_one((struct dirent64 *)(buf + at), tree);
	sys_close(fd);
	return any;
}

void shadow_look(const char *dir)
{
	uint32_t unknown = SHADOW_UNKNOWN, any = any_in(dir, NULL);

	/* Another thread may have met one, or judged by the tree. */
	__atomic_compare_exchange_n(&shadow_is, &unknown, any, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

void shadow_judge(const char *dir, const struct snap *snap)
{
	if (shadow_possible(dir) && !any_in(dir, snap_tree(snap)))
		__atomic_store_n(&shadow_is, 0, __ATOMIC_RELAXED);
}

void shadow_met(void)
{
	__atomic_store_n(&shadow_is, 1, __ATOMIC_RELAXED);
}
