/* Where the daemon's program is, for those who run it by hand. */
#include "libclient/cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *runnable(const char *dir, size_t len, const char *name)
{
	char *path;

	if (asprintf(&path, "%.*s%s", (int)len, dir, name) == -1)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *in_path(const char *path)
{
	while (path != NULL && *path != '\0') {
		size_t len = strcspn(path, ":");
		char *found = runnable(path, len, "/osscd");

		if (found != NULL)
			return found;
		path += len + (path[len] == ':');
	}
	return NULL;
}

char *find_osscd(void)
{
	const char *given = getenv("OSSC_DAEMON");
	char own[PATH_MAX];
	char *found = NULL;
	ssize_t n;

	if (given != NULL && given[0] != '\0')
		return runnable(given, strlen(given), "");
	n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	while (n > 0 && own[n - 1] != '/')
		n--;
	if (n > 0)
		found = runnable(own, (size_t)n, "osscd");
	if (found == NULL)
		found = in_path(getenv("PATH"));
	return found != NULL ? found : in_path("/usr/local/bin:/usr/bin");
}
