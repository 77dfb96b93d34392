#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_LEN 600

int target_connect(struct ossc **ret_conn, unsigned connect_flags)
{
	char text[TEXT_LEN] = "";
	struct ossc_options options = {
		.size = sizeof(options),
		.flags = connect_flags,
		.error = text,
		.error_len = sizeof(text),
	};
	int r = ossc_connect(&options, ret_conn);

	if (r != 0)
		return fail("%s", text[0] != '\0' ? text : ossc_strerror(r));
	return EXIT_DONE;
}

int target_fail(const struct target *t, const char *path, int error)
{
	char text[TEXT_LEN] = "";

	if (t->conn != NULL)
		ossc_error_text(t->conn, text, sizeof(text));
	/* What everybody knows needs no sentence of the daemon's. */
	if (text[0] == '\0' || error == -EISDIR || error == -ENOTDIR)
		snprintf(text, sizeof(text), "%s", ossc_strerror(error));
	if (error == -ENOENT && t->mount != NULL)
		snprintf(text, sizeof(text), "there is no such file or directory in %s",
			 t->oss_path);
	if (path[0] == '\0')
		path = t->oss_path;
	/* Somebody may have written keys into it. */
	if (t->mount == NULL && strpbrk(path, "@?") != NULL)
		path = "OSS_PATH";
	/* The daemon's sentence may begin with the path already. */
	if (strncmp(text, path, strlen(path)) == 0)
		return fail("%s", text);
	return fail("%s: %s", path, text);
}

int target_mount(struct target *t, const char *oss_path, const char *dir, unsigned flags)
{
	struct ossc_mount_options options = {
		.size = sizeof(options),
		.oss_path = oss_path,
		.model_dir = dir,
		.flags = flags,
	};
	int r;

	*t = (struct target){ .oss_path = strdup(oss_path), .path = strdup("") };
	if (t->oss_path == NULL || t->path == NULL)
		return fail("memory is short");
	if (target_connect(&t->conn, 0) != EXIT_DONE)
		return EXIT_FAILED;
	r = ossc_mount(t->conn, &options, &t->mount);
	return r == 0 ? EXIT_DONE : target_fail(t, oss_path, r);
}

/* The length of "oss://bucket/", or 0 when arg is no such address. */
static size_t bucket_part(const char *arg)
{
	size_t scheme = strncmp(arg, "oss://", 6) == 0 ? 6 : strncmp(arg, "s3://", 5) == 0 ? 5 : 0;
	const char *slash;

	if (scheme == 0)
		return 0;
	slash = strchr(arg + scheme, '/');
	return slash != NULL ? (size_t)(slash - arg) + 1 : strlen(arg);
}

/* Is arg inside OSS_PATH?  Then what follows, else NULL. */
static const char *inside(const char *arg, const char *oss_path)
{
	size_t len = strlen(oss_path);

	while (len > 0 && oss_path[len - 1] == '/')
		len--;
	if (len == 0 || strncmp(arg, oss_path, len) != 0)
		return NULL;
	if (arg[len] == '\0')
		return arg + len;
	return arg[len] == '/' ? arg + len + 1 : NULL;
}

/*
 * A full address: the mount of the environment if it lies there, else a mount of
 * its own: of the directory itself if it ends in a slash, of its parent if not.
 */
static int split(const char *arg, const char *env_path, char **ret_mount, char **ret_path)
{
	size_t bucket = bucket_part(arg), at = strlen(arg);
	const char *rest = env_path != NULL ? inside(arg, env_path) : NULL;

	if (rest != NULL) {
		*ret_mount = strdup(env_path);
		*ret_path = strdup(rest);
	} else {
		while (at > bucket && arg[at - 1] != '/')
			at--;
		*ret_mount = strndup(arg, at);
		*ret_path = strdup(arg + at);
	}
	return *ret_mount != NULL && *ret_path != NULL ? 0 : -ENOMEM;
}

/* In place, as the store's names are: no empty, "." or ".." parts, no slash at either end. */
static void normalize(char *path)
{
	const char *in = path;
	char *out = path;

	while (*in != '\0') {
		size_t len = strcspn(in, "/");

		if (len == 2 && in[0] == '.' && in[1] == '.') {
			while (out > path && *--out != '/')
				;
		} else if (len > 0 && !(len == 1 && in[0] == '.')) {
			if (out > path)
				*out++ = '/';
			memmove(out, in, len);
			out += len;
		}
		in += len + (in[len] == '/');
	}
	*out = '\0';
}

int target_open(struct target *t, const char *arg, unsigned flags)
{
	const char *env_path = getenv("OSS_PATH");
	char *mount = NULL, *path = NULL;
	int r;

	*t = (struct target){ 0 };
	if (env_path != NULL && env_path[0] == '\0')
		env_path = NULL;
	if (arg != NULL && bucket_part(arg) > 0) {
		r = split(arg, env_path, &mount, &path);
	} else if (env_path == NULL) {
		fail("%s%sno bucket was named: write oss://bucket/key, or set OSS_PATH to "
		     "oss://bucket/prefix/",
		     arg != NULL ? arg : "", arg != NULL ? ": " : "");
		return EXIT_USAGE;
	} else {
		mount = strdup(env_path);
		path = strdup(arg != NULL ? arg : "");
		r = mount != NULL && path != NULL ? 0 : -ENOMEM;
	}
	r = r == 0 ? target_mount(t, mount, NULL, flags) : fail("memory is short");
	free(mount);
	free(t->path);
	t->path = path;
	if (path != NULL)
		normalize(path);
	return r;
}

int target_stat(const struct target *t, struct ossc_stat *ret_stat)
{
	int r = ossc_stat(t->mount, t->path, ret_stat);

	if (r == -ENOENT && ossc_refresh(t->mount) == 0)
		r = ossc_stat(t->mount, t->path, ret_stat);
	return r;
}

void target_close(struct target *t)
{
	ossc_unmount(t->mount);
	ossc_disconnect(t->conn);
	free(t->oss_path);
	free(t->path);
	*t = (struct target){ 0 };
}
