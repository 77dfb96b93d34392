#include "libclient/preload/progress.h"

#include "libclient/core/link.h"
#include "libclient/core/spawn.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#define PATIENCE_MS 2000u /* after the first wait: short programs start nothing */
#define HASTE_MS    100u  /* who wants a line every part of a second does not wait for two */

static char *const *environment START_DATA;
static uint64_t first_ms; /* of a wait */
static unsigned patience_ms START_DATA;
static uint32_t started; /* here, or in the process that forked us */

static bool names(const char *variable, const char *name)
{
	while (*name != '\0' && *variable == *name)
		variable++, name++;
	return *name == '\0';
}

static bool is_off(const char *value)
{
	return value != NULL &&
	       ((value[0] == '0' && value[1] == '\0') || (names(value, "off") && value[3] == '\0'));
}

static void start_telling(struct link *l)
{
	static const char *const wanted[] = { "OSS_PATH=", "OSSC_PROGRESS=" };
	const char *more[SPAWN_MORE + 1];
	char *const *v;
	unsigned i, nr = 0;

	for (v = environment; *v != NULL && nr < SPAWN_MORE; v++)
		for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (names(*v, wanted[i])) {
				more[nr++] = *v;
				break;
			}
	more[nr] = NULL;
	/* Without `ossc`, or room for a process, nobody tells: nothing is lost but a line. */
	(void)link_start_progress(l, more);
}

static void on_wait(struct link *l, uint64_t now_ms)
{
	uint64_t first = __atomic_load_n(&first_ms, __ATOMIC_RELAXED);

	if (__atomic_load_n(&started, __ATOMIC_RELAXED) != 0)
		return;
	if (first == 0)
		__atomic_compare_exchange_n(&first_ms, &first, now_ms, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	else if (now_ms - first >= patience_ms && say_first(&started) && say_has_stderr())
		start_telling(l);
}

void progress_start(char *const *envp)
{
	const char *value = text_env(envp, "OSSC_PROGRESS");

	if (is_off(value))
		return;
	patience_ms = value != NULL && names(value, "0.") ? HASTE_MS : PATIENCE_MS;
	environment = envp;
	link_on_wait = on_wait;
}
