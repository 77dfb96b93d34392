#include "libclient/preload/carry.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#define NR_KEPT 32
#define PRELOAD "LD_PRELOAD="

static const char *const names[] = {
	PRELOAD,      "ENABLE_CONNECTOR=", "MODEL_DIR=",
	"OSS_PATH=",  "OSS_ENDPOINT=",	   "OSS_REGION=",
	"OSS_ACCESS", "OSS_SESSION",	   "HTTP_SOURCE_IP=",
	"OSSC_",      "XDG_RUNTIME_DIR=",
};

static char *kept[NR_KEPT + 1]; /* NAME=VALUE */
static const char *entry;	/* of LD_PRELOAD that loaded this library; NULL: it was not that */
static size_t entry_len;
static bool by_file; /* /etc/ld.so.preload loads it into every program */

/* Where `prefix` ends in s, or NULL. */
static const char *after(const char *s, const char *prefix)
{
	while (*prefix != '\0')
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

static bool is_needed(const char *variable)
{
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (after(variable, names[i]) != NULL)
			return true;
	return false;
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
	size_t nr = 0, i;
	const char *name;

	for (i = 0; envp[i] != NULL && nr < NR_KEPT; i++)
		if (is_needed(envp[i]))
			kept[nr++] = envp[i];
	if (nr == 0)
		return;
	name = last_name(library, mem_len(library));
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

static bool same(const char *a, const char *b)
{
	size_t n = mem_len(a);

	return a != NULL && b != NULL && n == mem_len(b) && mem_equal(a, b, n);
}

bool carry_suffices(char *const *envp)
{
	const char *enable;

	if (envp == NULL || kept[0] == NULL || !loads(envp))
		return false;
	enable = value_of(envp, "ENABLE_CONNECTOR");
	return enable != NULL && (enable[0] == '1' || enable[0] == '2') && enable[1] == '\0' &&
	       same(value_of(envp, "OSS_PATH"), value_of(kept, "OSS_PATH")) &&
	       same(value_of(envp, "OSS_ENDPOINT"), value_of(kept, "OSS_ENDPOINT")) ==
		       (value_of(kept, "OSS_ENDPOINT") != NULL) &&
	       value_of(envp, "MODEL_DIR") != NULL;
}

bool carry_is_wanted(char *const *envp)
{
	return kept[0] != NULL && value_of(envp, "ENABLE_CONNECTOR") == NULL;
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

	return (count(envp) + NR_KEPT + 1) * sizeof(char *) + sizeof(PRELOAD) + entry_len + 1 +
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

char *const *carry_add(char *const *envp, void *room)
{
	size_t nr = count(envp), all = nr, i;
	char **vector = room;
	struct text t;

	for (i = 0; i < nr; i++) {
		vector[i] = envp[i];
		if (entry == NULL || after(envp[i], PRELOAD) == NULL || loads(envp))
			continue;
		/* Others shall be loaded: this library comes first. */
		vector[i] = (char *)room + (nr + NR_KEPT + 1) * sizeof(char *);
		text_init(&t, vector[i], carry_room(envp) - (nr + NR_KEPT + 1) * sizeof(char *));
		text_adds(&t, PRELOAD);
		text_addn(&t, entry, entry_len);
		text_addc(&t, ':');
		text_adds(&t, after(envp[i], PRELOAD));
	}
	for (i = 0; kept[i] != NULL; i++)
		if (is_missing(vector, nr, kept[i]))
			vector[all++] = kept[i];
	vector[all] = NULL;
	return vector;
}
