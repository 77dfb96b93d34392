#include "libclient/cli/tracebook.h"

#include "libclient/cli/bare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NR_FIELDS   5
#define MAX_ENTRIES 20000 /* different lines that are counted one by one */

enum kind { /* in the order of the summary */
	KIND_STORE = 0,
	KIND_FORWARDED,
	KIND_LOCAL,
	KIND_REFUSED,
	NR_KINDS,
};

static const struct {
	const char *name, *means;
} kinds[NR_KINDS] = {
	[KIND_STORE] = { "store", "answered from the store" },
	[KIND_FORWARDED] = { "forwarded", "directories of the mount, left to the kernel" },
	[KIND_LOCAL] = { "local", "names that the store does not have, left to MODEL_DIR's disk" },
	[KIND_REFUSED] = { "refused",
			   "names of the store cannot be changed, or no hook can do it" },
};

struct entry { /* one line of the summary */
	enum kind kind;
	int error; /* 0: it went well */
	unsigned long times;
	char *call, *path;
};

struct process {
	pid_t pid;
	bool loaded;   /* the library said so, and nothing was started in its place since */
	char *program; /* was started, and the library has not been heard of in it; or NULL */
};

struct tracebook {
	FILE *out;
	bool each;
	struct entry *entries;
	size_t nr_entries, cap_entries;
	unsigned long left_out;
	unsigned long counts[NR_KINDS];
	struct process *processes;
	size_t nr_processes, cap_processes;
	char **said;
	size_t nr_said;
	bool is_off; /* a program had no ENABLE_CONNECTOR */
};

static void *need(void *mem)
{
	if (mem == NULL) {
		fputs("ossc: memory is short\n", stderr);
		exit(1);
	}
	return mem;
}

/* Room for one more element of `size` bytes. */
static void *grow(void *array, size_t nr, size_t *cap, size_t size)
{
	if (nr < *cap)
		return array;
	*cap = *cap != 0 ? *cap * 2 : 64;
	return need(realloc(array, *cap * size));
}

struct tracebook *tracebook_new(FILE *out, bool each)
{
	struct tracebook *b = need(calloc(1, sizeof(*b)));

	b->out = out;
	b->each = each;
	return b;
}

void tracebook_free(struct tracebook *b)
{
	size_t i;

	for (i = 0; i < b->nr_entries; i++) {
		free(b->entries[i].call);
		free(b->entries[i].path);
	}
	for (i = 0; i < b->nr_processes; i++)
		free(b->processes[i].program);
	for (i = 0; i < b->nr_said; i++)
		free(b->said[i]);
	free(b->entries);
	free(b->processes);
	free(b->said);
	free(b);
}

/* ---- processes ------------------------------------------------------------------------ */

static struct process *process_of(struct tracebook *b, pid_t pid)
{
	size_t i;

	for (i = 0; i < b->nr_processes; i++)
		if (b->processes[i].pid == pid)
			return &b->processes[i];
	b->processes =
		grow(b->processes, b->nr_processes, &b->cap_processes, sizeof(*b->processes));
	b->processes[b->nr_processes] = (struct process){ .pid = pid };
	return &b->processes[b->nr_processes++];
}

void tracebook_started(struct tracebook *b, pid_t pid, const char *program)
{
	struct process *p = process_of(b, pid);

	free(p->program);
	p->program = need(strdup(program));
	p->loaded = false;
}

/* Said by the program that started it, maybe after it has spoken itself. */
static void spawned(struct tracebook *b, pid_t pid, const char *program)
{
	if (!process_of(b, pid)->loaded)
		tracebook_started(b, pid, program);
}

static void loaded(struct tracebook *b, pid_t pid, const char *role)
{
	struct process *p = process_of(b, pid);

	free(p->program);
	p->program = NULL;
	p->loaded = true;
	if (role[0] == '\0' || strcmp(role, "0") == 0)
		b->is_off = true;
}

/* ---- calls -------------------------------------------------------------------------------- */

static const char *error_name(int error)
{
	const char *name = strerrorname_np(error);

	return name != NULL ? name : "?";
}

static void count(struct tracebook *b, enum kind kind, const char *call, int error,
		  const char *path)
{
	struct entry *e;
	size_t i;

	b->counts[kind]++;
	if (kind != KIND_REFUSED && error == 0)
		return; /* the summary only has their number */
	for (i = 0; i < b->nr_entries; i++) {
		e = &b->entries[i];
		if (e->kind == kind && e->error == error && strcmp(e->call, call) == 0 &&
		    strcmp(e->path, path) == 0) {
			e->times++;
			return;
		}
	}
	if (b->nr_entries == MAX_ENTRIES) {
		b->left_out++;
		return;
	}
	b->entries = grow(b->entries, b->nr_entries, &b->cap_entries, sizeof(*b->entries));
	b->entries[b->nr_entries++] = (struct entry){
		.kind = kind,
		.error = error,
		.times = 1,
		.call = need(strdup(call)),
		.path = need(strdup(path)),
	};
}

static void add_call(struct tracebook *b, long pid, enum kind kind, char **fields)
{
	long result = atol(fields[3]);
	int error = result < 0 && result >= -4095 ? (int)-result : 0;

	count(b, kind, fields[2], error, fields[4]);
	if (!b->each)
		return;
	fprintf(b->out, "%ld %-9s %s %s = ", pid, kinds[kind].name, fields[2], fields[4]);
	if (error != 0)
		fprintf(b->out, "-1 %s\n", error_name(error));
	else if (result > 0x7fffffffl || result < 0)
		fprintf(b->out, "%#lx\n", (unsigned long)result);
	else
		fprintf(b->out, "%ld\n", result);
}

static void add_said(struct tracebook *b, const char *text)
{
	size_t i;

	for (i = 0; i < b->nr_said; i++)
		if (strcmp(b->said[i], text) == 0)
			return;
	b->said = need(realloc(b->said, (b->nr_said + 1) * sizeof(*b->said)));
	b->said[b->nr_said++] = need(strdup(text));
}

void tracebook_add(struct tracebook *b, char *line)
{
	char *fields[NR_FIELDS], *rest = line;
	pid_t pid;
	int i;

	for (i = 0; i < NR_FIELDS; i++)
		if ((fields[i] = strsep(&rest, "\t")) == NULL)
			return;
	pid = (pid_t)atol(fields[0]);
	if (strcmp(fields[1], "start") == 0)
		loaded(b, pid, fields[2]);
	else if (strcmp(fields[1], "exec") == 0)
		tracebook_started(b, pid, fields[4]);
	else if (strcmp(fields[1], "spawn") == 0)
		spawned(b, pid, fields[4]);
	else if (strcmp(fields[1], "failed") == 0)
		loaded(b, pid, "1");
	else if (strcmp(fields[1], "said") == 0)
		add_said(b, fields[4]);
	for (i = 0; i < NR_KINDS; i++)
		if (strcmp(fields[1], kinds[i].name) == 0)
			add_call(b, pid, (enum kind)i, fields);
}

/* ---- the summary ------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int r = strcmp(x->path, y->path);

	if (r == 0)
		r = strcmp(x->call, y->call);
	return r != 0 ? r : x->error - y->error;
}

static void print_entries(struct tracebook *b, bool refused, const char *title)
{
	bool any = false;
	size_t i;

	for (i = 0; i < b->nr_entries; i++) {
		const struct entry *e = &b->entries[i];

		if ((e->kind == KIND_REFUSED) != refused)
			continue;
		if (!any)
			fprintf(b->out, "%s\n", title);
		any = true;
		fprintf(b->out, "  %lu x %s %s: %s (%s)\n", e->times, e->call, e->path,
			error_name(e->error), strerror(e->error));
	}
}

static const char *advice_of_refusals(const struct tracebook *b)
{
	bool changes = false, others = false;
	size_t i;

	for (i = 0; i < b->nr_entries; i++) {
		if (b->entries[i].kind != KIND_REFUSED)
			continue;
		changes |= b->entries[i].error == EROFS;
		others |= b->entries[i].error != EROFS;
	}
	if (changes && !others)
		return "  The store is read-only: let the program write elsewhere, or under names "
		       "that the store does not have.\n";
	if (!changes && others)
		return "  libossc_preload(7) says what cannot be done with a store file, and what "
		       "to do instead.\n";
	return changes ? "  The store is read-only: let the program write elsewhere; for the "
			 "others see libossc_preload(7).\n"
		       : "";
}

static void print_programs(struct tracebook *b)
{
	bool any = false;
	size_t i;

	for (i = 0; i < b->nr_processes; i++) {
		const char *program = b->processes[i].program;

		if (program == NULL)
			continue;
		if (!any)
			fputs("programs that ran without the library: they see MODEL_DIR's own "
			      "files only, and private copies of what they were handed open\n",
			      b->out);
		any = true;
		fprintf(b->out, "  %s: %s\n", program, bare_reason(program));
	}
}

void tracebook_summary(struct tracebook *b)
{
	unsigned long total = 0;
	size_t i;

	for (i = 0; i < NR_KINDS; i++)
		total += b->counts[i];
	if (b->nr_entries != 0)
		qsort(b->entries, b->nr_entries, sizeof(*b->entries), compare);
	fprintf(b->out, "ossc trace: %lu call%s concerned MODEL_DIR\n", total,
		total != 1 ? "s" : "");
	for (i = 0; i < NR_KINDS; i++)
		if (b->counts[i] != 0)
			fprintf(b->out, "  %8lu %-9s  %s\n", b->counts[i], kinds[i].name,
				kinds[i].means);
	print_entries(b, true, "refused:");
	fputs(advice_of_refusals(b), b->out);
	print_entries(b, false, "failed:");
	if (b->left_out != 0)
		fprintf(b->out, "  and %lu more calls\n", b->left_out);
	if (b->nr_said != 0)
		fputs("the library said:\n", b->out);
	for (i = 0; i < b->nr_said; i++)
		fprintf(b->out, "  %s\n", b->said[i]);
	if (b->is_off)
		fputs("a program ran with the library, but without ENABLE_CONNECTOR, or with 0: "
		      "there it did nothing\n",
		      b->out);
	print_programs(b);
}
