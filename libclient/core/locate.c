#include "libclient/core/locate.h"
#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#define SYSTEM_SOCKET "/run/oss-connector/osscd.sock"

static bool has_prefix(const char *str, const char *prefix)
{
	size_t i;

	for (i = 0; prefix[i] != '\0'; i++)
		if (str[i] != prefix[i])
			return false;
	return true;
}

/* What a daemon needs of the environment: no keys, no LD_PRELOAD. */
static bool is_for_daemon(const char *variable)
{
	static const char *const names[] = {
		"PATH=", "HOME=", "XDG_", "OSSC_CONFIG=", "TZ=", "SSL_CERT_FILE=", "SSL_CERT_DIR="
	};
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (has_prefix(variable, names[i]))
			return true;
	return false;
}

static int copy_value(char **ret, const char *value)
{
	*ret = NULL;
	if (value == NULL || value[0] == '\0')
		return 0;
	*ret = arena_copy(value, mem_len(value));
	return *ret != NULL ? 0 : -ENOMEM;
}

int locate_read(struct locations *p, char *const *envp, const char *socket)
{
	int r;

	*p = (struct locations){ 0 };
	if (socket == NULL || socket[0] == '\0')
		socket = text_env(envp, "OSSC_SOCKET");
	if (mem_len(socket) >= LOCATE_PATH_MAX)
		return -ENAMETOOLONG;
	r = copy_value(&p->socket, socket);
	if (r == 0)
		r = copy_value(&p->runtime_dir, text_env(envp, "XDG_RUNTIME_DIR"));
	if (r == 0)
		r = copy_value(&p->program, text_env(envp, "OSSC_DAEMON"));
	if (r == 0)
		r = copy_value(&p->path, text_env(envp, "PATH"));
	for (; r == 0 && envp != NULL && *envp != NULL && p->nr_env < LOCATE_MAX_ENV; envp++) {
		if (!is_for_daemon(*envp))
			continue;
		p->env[p->nr_env] = arena_copy(*envp, mem_len(*envp));
		if (p->env[p->nr_env] == NULL)
			r = -ENOMEM;
		else
			p->nr_env++;
	}
	if (r != 0)
		locate_fini(p);
	return r;
}

void locate_fini(struct locations *p)
{
	unsigned i;

	arena_free(p->socket);
	arena_free(p->runtime_dir);
	arena_free(p->program);
	arena_free(p->path);
	for (i = 0; i < p->nr_env; i++)
		arena_free(p->env[i]);
	*p = (struct locations){ 0 };
}

static void tmp_socket(struct text *t)
{
	text_adds(t, "/tmp/ossc-");
	text_addu(t, sys_geteuid());
	text_adds(t, "/osscd.sock");
}

static void runtime_socket(const struct locations *p, struct text *t)
{
	text_adds(t, p->runtime_dir);
	text_adds(t, "/oss-connector/osscd.sock");
}

int locate_socket(const struct locations *p, unsigned i, char buf[LOCATE_PATH_MAX])
{
	struct text t;

	text_init(&t, buf, LOCATE_PATH_MAX);
	if (p->socket != NULL) {
		if (i > 0)
			return -ENOENT;
		text_adds(&t, p->socket);
		return 0;
	}
	if (i > 0 && p->runtime_dir == NULL)
		i++;
	switch (i) {
	case 0:
		text_adds(&t, SYSTEM_SOCKET);
		break;
	case 1:
		runtime_socket(p, &t);
		break;
	case 2:
		tmp_socket(&t);
		break;
	default:
		return -ENOENT;
	}
	return text_is_cut(&t) ? -ENAMETOOLONG : 0;
}

/* The directory part of a path, or "." */
static void directory_of(const char *path, char *buf, size_t cap)
{
	size_t len = mem_len(path);
	struct text t;

	while (len > 0 && path[len - 1] != '/')
		len--;
	text_init(&t, buf, cap);
	if (len == 0)
		text_addc(&t, '.');
	else
		text_addn(&t, path, len > 1 ? len - 1 : 1);
}

bool locate_is_private(const char *socket_path)
{
	char dir[LOCATE_PATH_MAX + 1];
	struct stat st;

	directory_of(socket_path, dir, sizeof(dir));
	if (sys_fstatat(AT_FDCWD, dir, &st, 0) < 0 || !S_ISDIR(st.st_mode))
		return false;
	if (st.st_uid != 0 && st.st_uid != sys_geteuid())
		return false;
	/* In a sticky directory others cannot replace what is ours; its peer is checked as well. */
	return (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (st.st_mode & S_ISVTX) != 0;
}

static bool is_directory(const char *dir)
{
	struct stat st;

	return sys_fstatat(AT_FDCWD, dir, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static bool is_own_directory(const char *dir)
{
	struct stat st;

	return sys_fstatat(AT_FDCWD, dir, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == sys_geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* Root's daemon lives in /run, a user's under XDG_RUNTIME_DIR or /tmp. */
int locate_own_socket(const struct locations *p, char buf[LOCATE_PATH_MAX])
{
	char dir[LOCATE_PATH_MAX + 1];
	unsigned i;

	for (i = 0; locate_socket(p, i, buf) == 0; i++) {
		directory_of(buf, dir, sizeof(dir));
		/* The daemon makes it, or says what is wrong; what secondaries refuse is not begun. */
		if (p->socket != NULL)
			return is_directory(dir) && !locate_is_private(buf) ? -EACCES : 0;
		sys_mkdirat(AT_FDCWD, dir, sys_geteuid() == 0 && i == 0 ? 0755 : 0700);
		if (is_own_directory(dir))
			return 0;
	}
	return -EACCES;
}

static bool is_program(const char *path)
{
	struct stat st;

	return path[0] == '/' && sys_fstatat(AT_FDCWD, path, &st, 0) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & 0111) != 0;
}

/* One hexadecimal number; the index behind it. */
static size_t hex(const char *str, size_t at, uintptr_t *ret)
{
	uintptr_t n = 0;

	for (;; at++) {
		char c = str[at];

		if (c >= '0' && c <= '9')
			n = n << 4 | (uintptr_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			n = n << 4 | (uintptr_t)(c - 'a' + 10);
		else
			break;
	}
	*ret = n;
	return at;
}

/* Does this line of /proc/self/maps hold the address?  Then the path at its end, or NULL. */
static const char *path_of_line(const char *line, uintptr_t address)
{
	uintptr_t from, to;
	size_t at = hex(line, 0, &from);

	if (line[at] != '-')
		return NULL;
	at = hex(line, at + 1, &to);
	if (address < from || address >= to)
		return NULL;
	while (line[at] != '\0' && line[at] != '/')
		at++;
	return line[at] == '/' ? line + at : NULL;
}

#define MAPS_LEN 8192u

/* The file that this code was loaded from: a library, or a program that contains it. */
static int own_file(char *buf, size_t cap)
{
	char *maps = arena_alloc(MAPS_LEN + 1);
	uintptr_t here = (uintptr_t)&own_file;
	const char *path = NULL;
	struct text t;
	size_t len = 0, i;
	int fd;

	text_init(&t, buf, cap);
	if (maps == NULL)
		return -ENOMEM;
	fd = sys_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	while (fd >= 0 && path == NULL) {
		ssize_t n = sys_read(fd, maps + len, MAPS_LEN - len);
		size_t start = 0;

		if (n <= 0)
			break;
		len += (size_t)n;
		for (i = 0; i < len && path == NULL; i++) {
			if (maps[i] != '\n')
				continue;
			maps[i] = '\0';
			path = path_of_line(maps + start, here);
			start = i + 1;
		}
		if (path == NULL) {
			mem_move(maps, maps + start, len - start);
			len -= start;
		}
	}
	text_adds(&t, path);
	if (fd >= 0)
		sys_close(fd);
	arena_free(maps);
	return path != NULL && !text_is_cut(&t) ? 0 : -ENOENT;
}

static bool beside(const char *dir, const char *name, char *buf, size_t cap)
{
	struct text t;

	text_init(&t, buf, cap);
	text_adds(&t, dir);
	text_adds(&t, name);
	return !text_is_cut(&t) && is_program(buf);
}

static bool in_path(const char *path, char *buf, size_t cap)
{
	size_t start = 0, i;

	for (i = 0; path != NULL; i++) {
		struct text t;

		if (path[i] != ':' && path[i] != '\0')
			continue;
		text_init(&t, buf, cap);
		text_addn(&t, path + start, i - start);
		text_adds(&t, "/osscd");
		if (!text_is_cut(&t) && is_program(buf))
			return true;
		if (path[i] == '\0')
			break;
		start = i + 1;
	}
	return false;
}

int locate_program(const struct locations *p, char *buf, size_t cap)
{
	char own[1024], dir[1024];
	struct text t;

	if (p->program != NULL) {
		text_init(&t, buf, cap);
		text_adds(&t, p->program);
		return !text_is_cut(&t) && is_program(buf) ? 0 : -ENOENT;
	}
	if (own_file(own, sizeof(own)) == 0) {
		directory_of(own, dir, sizeof(dir));
		if (beside(dir, "/osscd", buf, cap) || beside(dir, "/../bin/osscd", buf, cap))
			return 0;
	}
	if (in_path(p->path, buf, cap) || in_path("/usr/local/bin:/usr/bin", buf, cap))
		return 0;
	return -ENOENT;
}
