#include "libclient/preload/carry.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/environment.h"
#include "libclient/preload/preload.h"

#define PRELOAD "LD_PRELOAD="

static char *const *kept START_DATA; /* NAME=VALUE; NULL: nothing */
static uid_t owner START_DATA;	     /* whose they are */
static const char *entry
	START_DATA; /* of LD_PRELOAD that loaded this library; NULL: it was not that */
static size_t entry_len START_DATA;
static bool by_file START_DATA; /* /etc/ld.so.preload loads it into every program */

/* Where `prefix` ends in s, or NULL. */
static const char *after(const char *s, const char *prefix)
{
	while (*prefix != '\0')
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

static const char *last_name(const char *path, size_t len)
{
	while (len > 0 && path[len - 1] != '/')
		len--;
	return path + len;
}

/* The entry of a list that is a file of this name; its length in *ret_len. */
static const char *find_entry(const char *list, const char *name, size_t name_len, size_t *ret_len)
{
	const char *end, *last;

	for (; list != NULL && *list != '\0'; list = *end == '\0' ? end : end + 1) {
		for (end = list; *end != '\0' && *end != ':' && *end != ' '; end++)
			;
		last = last_name(list, (size_t)(end - list));
		if ((size_t)(end - last) == name_len && mem_equal(last, name, name_len)) {
			*ret_len = (size_t)(end - list);
			return list;
		}
	}
	return NULL;
}

void carry_start(char *const *envp, const char *library)
{
	const char *name = last_name(library, mem_len(library));

	kept = envp;
	owner = sys_geteuid();
	entry = find_entry(text_env(kept, "LD_PRELOAD"), name, mem_len(name), &entry_len);
	by_file =
		entry == NULL && sys_call3(__NR_faccessat, AT_FDCWD, "/etc/ld.so.preload", 0) == 0;
}

/* The value of NAME, also when it is empty; NULL: not there. */
static const char *value_of(char *const *envp, const char *name)
{
	const char *v;

	for (; envp != NULL && *envp != NULL; envp++) {
		v = after(*envp, name);
		if (v != NULL && *v == '=')
			return v + 1;
	}
	return NULL;
}

static bool loads(char *const *envp)
{
	const char *name;
	size_t len;

	if (entry == NULL)
		return by_file;
	name = last_name(entry, entry_len);
	return find_entry(value_of(envp, "LD_PRELOAD"), name, (size_t)(entry + entry_len - name),
			  &len) != NULL;
}

/* What both say of the store, its place and its keys, is the same: a variable of `a` is in `b`. */
static bool agrees(char *const *a, char *const *b)
{
	char *const *e;
	size_t n;

	for (; *a != NULL; a++) {
		n = mem_len(*a) + 1;
		if (after(*a, "OSS_") == NULL)
			continue;
		for (e = b; *e != NULL && (mem_len(*e) + 1 != n || !mem_equal(*e, *a, n)); e++)
			;
		if (*e == NULL)
			return false;
	}
	return true;
}

bool carry_suffices(char *const *envp)
{
	const char *enable;

	if (envp == NULL || kept == NULL || !loads(envp))
		return false;
	enable = value_of(envp, "ENABLE_CONNECTOR");
	return enable != NULL && (enable[0] == '1' || enable[0] == '2') && enable[1] == '\0' &&
	       value_of(envp, "MODEL_DIR") != NULL && agrees(kept, envp) && agrees(envp, kept) &&
	       sys_geteuid() == owner;
}

bool carry_is_wanted(char *const *envp)
{
	return kept != NULL && value_of(envp, "ENABLE_CONNECTOR") == NULL && sys_geteuid() == owner;
}

static size_t count(char *const *envp)
{
	size_t n = 0;

	while (envp != NULL && envp[n] != NULL)
		n++;
	return n;
}

size_t carry_room(char *const *envp)
{
	const char *list = value_of(envp, "LD_PRELOAD");

	return (count(envp) + count(kept) + 2) * sizeof(char *) + sizeof(PRELOAD) + entry_len + 1 +
	       mem_len(list) + 1;
}

/* Is NAME=... of ours missing in the first nr of the vector? */
static bool is_missing(char *const *vector, size_t nr, const char *variable)
{
	size_t len = 0, i;

	while (variable[len] != '=')
		len++;
	for (i = 0; i < nr; i++)
		if (mem_len(vector[i]) > len && mem_equal(vector[i], variable, len + 1))
			return false;
	return true;
}

char *const *carry_add(char *const *envp, const char *mark, void *room)
{
	size_t nr = count(envp), all = nr, strings = (nr + count(kept) + 2) * sizeof(char *), i;
	bool wanted = carry_is_wanted(envp);
	char **vector = room;
	struct text t;

	for (i = 0; i < nr; i++) {
		vector[i] = envp[i];
		if (!wanted || entry == NULL || after(envp[i], PRELOAD) == NULL || loads(envp))
			continue;
		/* Others shall be loaded: this library comes first. */
		vector[i] = (char *)room + strings;
		text_init(&t, vector[i], carry_room(envp) - strings);
		text_adds(&t, PRELOAD);
		text_addn(&t, entry, entry_len);
		text_addc(&t, ':');
		text_adds(&t, after(envp[i], PRELOAD));
	}
	for (i = 0; wanted && kept[i] != NULL; i++)
		if (environment_travels(kept[i]) && is_missing(vector, nr, kept[i]))
			vector[all++] = kept[i];
	if (mark != NULL && is_missing(vector, nr, mark))
		vector[all++] = (char *)(uintptr_t)mark;
	vector[all] = NULL;
	return vector;
}
