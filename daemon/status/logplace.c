#include "daemon/status/logplace.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/audit.h"
#include "daemon/config/settings.h"

#define LOG_MODULE "log"
#include "daemon/base/log.h"

#define DIRECTORIES_MAX 3

/* Each missing directory of the path; the last part too. */
static void make_directories(char *path)
{
	char *p;

	for (p = path + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(path, 0700);
		*p = '/';
	}
	(void)mkdir(path, 0700);
}

static bool is_set(const char *s)
{
	return s != NULL && s[0] == '/';
}

/* Directories to try where the default one is not for us, the best first. */
static unsigned list_directories(const char *socket_path,
				 char ret_dirs[DIRECTORIES_MAX][LOGPLACE_PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	unsigned nr = 0;

	if (is_set(state))
		snprintf(ret_dirs[nr++], LOGPLACE_PATH_MAX, "%.400s/oss-connector", state);
	if (is_set(home))
		snprintf(ret_dirs[nr++], LOGPLACE_PATH_MAX, "%.400s/.local/state/oss-connector",
			 home);
	snprintf(ret_dirs[nr], LOGPLACE_PATH_MAX, "%.400s", socket_path);
	*strrchr(ret_dirs[nr], '/') = '\0';
	if (ret_dirs[nr][0] != '\0')
		nr++;
	return nr;
}

/* One of the two logs. */
struct target {
	const char *what, *key, *wanted, *usual, *name;
	int (*open)(const char *path);
	char *ret_path; /* LOGPLACE_PATH_MAX bytes */
};

static int open_log(const char *path)
{
	return log_open(path, log_get_level());
}

static int try_open(const struct target *t, const char *path)
{
	int r = t->open(path);

	if (r == 0)
		snprintf(t->ret_path, LOGPLACE_PATH_MAX, "%s", path);
	return r;
}

static void fall_back(const struct target *t, const char *socket_path, int error)
{
	char dirs[DIRECTORIES_MAX][LOGPLACE_PATH_MAX], path[LOGPLACE_PATH_MAX + 32];
	unsigned nr = list_directories(socket_path, dirs), i;
	int r = -ENOENT;

	for (i = 0; i < nr && r != 0; i++) {
		make_directories(dirs[i]);
		snprintf(path, sizeof(path), "%s/%s", dirs[i], t->name);
		if (strlen(path) < LOGPLACE_PATH_MAX)
			r = try_open(t, path);
	}
	fprintf(stderr, "osscd: %s cannot be written (%s): the %s is %s\n", t->usual,
		strerror(-error), t->what, r == 0 ? t->ret_path : "written nowhere else");
}

static int open_target(const struct target *t, const char *socket_path, char *err, size_t err_len)
{
	const bool is_usual = strcmp(t->wanted, t->usual) == 0;
	char dir[LOGPLACE_PATH_MAX];
	int r;

	t->ret_path[0] = '\0';
	if (t->wanted[0] == '\0')
		return 0;
	if (strlen(t->wanted) >= LOGPLACE_PATH_MAX) {
		snprintf(err, err_len, "%s: longer than %d bytes", t->key, LOGPLACE_PATH_MAX - 1);
		return -ENAMETOOLONG;
	}
	if (is_usual) {
		snprintf(dir, sizeof(dir), "%s", t->wanted);
		*strrchr(dir, '/') = '\0';
		(void)mkdir(dir, 0755);
	}
	r = try_open(t, t->wanted);
	if (r != 0 && is_usual) {
		fall_back(t, socket_path, r);
		return 0;
	}
	if (r != 0)
		snprintf(err, err_len, "%s: %s cannot be written: %s", t->key, t->wanted,
			 strerror(-r));
	return r;
}

int logplace_open(struct logplace *p, const struct log_settings *wanted, const char *socket_path,
		  char *err, size_t err_len)
{
	const struct target log = {
		.what = "log",
		.key = "logPath",
		.wanted = wanted->path,
		.usual = SETTINGS_LOG_PATH,
		.name = "connector.log",
		.open = open_log,
		.ret_path = p->log_path,
	};
	const struct target audit = {
		.what = "audit log",
		.key = "auditPath",
		.wanted = wanted->audit_path,
		.usual = SETTINGS_AUDIT_PATH,
		.name = "audit.log",
		.open = audit_open,
		.ret_path = p->audit_path,
	};
	int r;

	log_set_level((enum log_level)wanted->level);
	r = open_target(&log, socket_path, err, err_len);
	if (r == 0)
		r = open_target(&audit, socket_path, err, err_len);
	return r;
}

void logplace_reopen(struct logplace *p)
{
	int r;

	r = log_reopen();
	if (r != 0)
		log_error("%s cannot be opened again: %s; the old file is still written",
			  p->log_path, strerror(-r));
	r = audit_reopen();
	if (r != 0)
		log_error("%s cannot be opened again: %s; the old file is still written",
			  p->audit_path, strerror(-r));
}

void logplace_close(struct logplace *p)
{
	p->log_path[0] = p->audit_path[0] = '\0';
	audit_close();
	log_close();
}
