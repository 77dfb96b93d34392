#include "libclient/preload/pathtext.h"

bool pathtext_below(const char *dir, size_t dir_len, const char *path, const char **ret_rest)
{
	size_t i;

	if (dir_len == 0)
		return false;
	for (i = 0; i < dir_len; i++)
		if (path[i] != dir[i])
			return false;
	if (path[i] != '\0' && path[i] != '/')
		return false;
	while (path[i] == '/')
		i++;
	*ret_rest = path + i;
	return true;
}

static bool is_dots(const char *name, size_t len, size_t dots)
{
	return len == dots && name[0] == '.' && name[len - 1] == '.';
}

/* Does a later component climb? */
static bool climbs(const char *path)
{
	while (*path != '\0') {
		size_t n = 0;

		while (*path == '/')
			path++;
		while (path[n] != '\0' && path[n] != '/')
			n++;
		if (is_dots(path, n, 2))
			return true;
		path += n;
	}
	return false;
}

enum pathtext_found pathtext_walk(const struct snapshot *tree, uint32_t from, const char *path,
				  uint32_t *ret_entry)
{
	uint32_t at = from, child;

	for (;;) {
		size_t n = 0;

		while (*path == '/')
			path++;
		while (path[n] != '\0' && path[n] != '/')
			n++;
		if (n == 0)
			break;
		if (is_dots(path, n, 2)) {
			*ret_entry = at;
			return PATHTEXT_UNKNOWN;
		}
		if (!is_dots(path, n, 1)) {
			child = snapshot_child(tree, at, path, n);
			if (child == SNAPSHOT_NONE) {
				*ret_entry = at;
				if (snapshot_is_unlisted(tree, at))
					return PATHTEXT_UNLISTED;
				return climbs(path) ? PATHTEXT_UNKNOWN : PATHTEXT_ABSENT;
			}
			at = child;
		}
		path += n;
		if (!snapshot_is_dir(&tree->entries[at])) {
			*ret_entry = at;
			return *path == '\0' ? PATHTEXT_FILE : PATHTEXT_NOT_A_DIR;
		}
	}
	*ret_entry = at;
	return PATHTEXT_DIR;
}

size_t pathtext_last(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return len;
}
