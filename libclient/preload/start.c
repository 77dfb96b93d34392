/*
 * start.c - the constructor: reads the environment once; off unless it asks.
 * Nothing is connected here, except that a primary whose arguments name
 * MODEL_DIR begins, without waiting.
 */
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/carry.h"
#include "libclient/preload/conf.h"
#include "libclient/preload/environment.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/progress.h"
#include "libclient/preload/say.h"
#include "libclient/preload/store.h"
#include "libclient/preload/stream.h"

#include <stdbool.h>

extern char **libc_environ __asm__("__environ") __attribute__((weak));

/* For `nm -D`. */
extern const char version_by_name[] __asm__("ossc_preload_version_" OSSC_VERSION);
EXPORT const char version_by_name[] = OSSC_VERSION;
EXPORT extern const char ossc_preload_version[];
const char ossc_preload_version[] = OSSC_VERSION;

static struct conf conf START_DATA;

static bool mentions(const char *argument, const char *dir, size_t len)
{
	size_t i;

	for (; *argument != '\0'; argument++) {
		for (i = 0; i < len && argument[i] == dir[i]; i++)
			;
		if (i == len)
			return true;
	}
	return false;
}

static bool arguments_name(char *const *argv, const char *dir, size_t len)
{
	for (; argv != NULL && *argv != NULL; argv++)
		if (mentions(*argv, dir, len))
			return true;
	return false;
}

/* glibc hands these to constructors; musl does not, but has set its environ by then. */
static void __attribute__((constructor)) start(int argc, char **argv, char **envp)
{
	char *const *kept;
	const char *wrong;

	(void)argc;
	next_start();
	if (!next_is_glibc()) {
		argv = NULL;
		envp = &libc_environ != NULL ? libc_environ : NULL;
	}
	trace_start(text_env(envp, "OSSC_TRACE"), text_env(envp, "ENABLE_CONNECTOR"));
	/* Most programs end here: no system call, and no page of ours written to. */
	if (envp == NULL || text_env(envp, "ENABLE_CONNECTOR") == NULL)
		return;
	say_start();
	kept = environment_copy(envp);
	if (kept == NULL) {
		say("no memory to start; files are not taken from the store", NULL);
		return;
	}
	conf_read(kept, &conf, &wrong);
	if (wrong != NULL)
		say(wrong, "; files are not taken from the store", NULL);
	if (conf.role == CONF_OFF)
		return;
	store_start(&conf, kept);
	if (conf.role == CONF_PRIMARY)
		progress_start(kept);
	paths_start(conf.model_dir, conf.model_dir_len);
	fds_start();
	carry_start(kept, next_own_name());
	inherit_start(kept);
	stream_start();
	if (conf.role == CONF_PRIMARY && arguments_name(argv, conf.model_dir, conf.model_dir_len))
		store_head_start();
}
