#include "libclient/preload/walk.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/skeleton.h"

#include <limits.h>

/* Is `name`, free of symbolic links, above or below `dir`, or the same? */
static bool is_related(const char *name, const char *dir, size_t dir_len)
{
	size_t len = mem_len(name);
	const char *rest;

	if (len == 1) /* the root of all */
		return true;
	return pathtext_below(dir, dir_len, name, &rest) || pathtext_below(name, len, dir, &rest);
}

bool walk_meets(const char *path, bool follows)
{
	char name[PATH_MAX];
	const char *top;
	size_t top_len;
	bool meets;
	int fd;

	if (!paths_on() || path == NULL)
		return false;
	top = skeleton_real(&top_len);
	if (top != NULL && follows)
		return true;
	fd = open_at(AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
	if (fd < 0)
		return false; /* nothing to walk: libc says so */
	/* A store file; or, while MODEL_DIR is not there, it is where its text says: then it is time to make it. */
	if (fds_is_ours(fd) || skeleton_name(fd, name, sizeof(name)) <= 0)
		meets = true;
	else if (top != NULL)
		meets = is_related(name, top, top_len);
	else
		meets = is_related(name, paths_dir(), paths_dir_len) && skeleton_device() != 0;
	fds_forget(fd);
	sys_close(fd);
	return meets;
}
