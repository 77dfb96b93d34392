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
	if (follows)
		return true;
	fd = open_at(AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
	if (fd < 0)
		return false; /* nothing to walk: libc says so */
	/* While MODEL_DIR is not there, it is where its text says. */
	if (skeleton_name(fd, name, sizeof(name)) <= 0)
		meets = true;
	else if (is_related(name, paths_dir(), paths_dir_len))
		meets = skeleton_device() != 0;
	else
		meets = (top = skeleton_real(&top_len)) != NULL && is_related(name, top, top_len);
	fds_forget(fd);
	sys_close(fd);
	return meets;
}
