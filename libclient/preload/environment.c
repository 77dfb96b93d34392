#include "libclient/preload/environment.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/preload.h"

#define ROOM 1536

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif

/* Some environments are large.  A word that ends in '=' is a whole name, others are beginnings. */
static const struct {
	char word[18];
	bool travels;
} wanted[] = {
	{ "OSS", true },	{ "LD_PRELOAD=", true },     { "ENABLE_CONNECTOR=", true },
	{ "MODEL_DIR=", true }, { "HTTP_SOURCE_IP=", true }, { "XDG_RUNTIME_DIR=", true },
	{ "XDG_", false },	{ "HOME=", false },	     { "PATH=", false },
};
#define NR_WANTED (sizeof(wanted) / sizeof(wanted[0]))

/* Its row, or NR_WANTED. */
static size_t row_of(const char *variable)
{
	size_t i, n;

	for (i = 0; i < NR_WANTED; i++) {
		for (n = 0; wanted[i].word[n] != '\0' && wanted[i].word[n] == variable[n]; n++)
			;
		if (wanted[i].word[n] == '\0')
			break;
	}
	return i;
}

bool environment_travels(const char *variable)
{
	size_t row = row_of(variable);

	return row < NR_WANTED && wanted[row].travels;
}

static char room[ROOM] START_DATA __attribute__((aligned(sizeof(char *))));

static bool is_key(const char *variable)
{
	static const char *const keys[] = { "OSS_ACCESS_KEY_SECRET=", "OSS_SESSION_TOKEN=" };
	size_t i, n;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		for (n = 0; keys[i][n] != '\0' && keys[i][n] == variable[n]; n++)
			;
		if (keys[i][n] == '\0')
			return true;
	}
	return false;
}

/* Our own page when it is small and no key is in it, else pages that core files leave out. */
static void *place(size_t len, bool has_key)
{
	void *mem;

	if (len <= sizeof(room) && !has_key)
		return room;
	mem = sys_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(mem))
		return NULL;
	sys_madvise(mem, len, MADV_DONTDUMP);
	return mem;
}

char *const *environment_copy(char *const *envp)
{
	size_t nr = 0, len = 0, n;
	bool has_key = false;
	char *const *e;
	char **copy, *text;

	for (e = envp; *e != NULL; e++)
		if (row_of(*e) < NR_WANTED) {
			nr++;
			len += mem_len(*e) + 1;
			has_key |= is_key(*e);
		}
	len += (nr + 1) * sizeof(*copy);
	copy = place(len, has_key);
	if (copy == NULL)
		return NULL;
	text = (char *)(copy + nr + 1);
	for (e = envp, nr = 0; *e != NULL; e++)
		if (row_of(*e) < NR_WANTED) {
			n = mem_len(*e) + 1;
			mem_copy(text, *e, n);
			copy[nr++] = text;
			text += n;
		}
	return copy;
}
