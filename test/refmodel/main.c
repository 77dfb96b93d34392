/*
 * main.c - the reference model: random sequences of file calls, on a plain directory
 * and below MODEL_DIR at once.
 *
 *	refmodel --plain DIR --model DIR --work DIR [--seed N] [--threads N] [--ops N]
 *	         [--allow EIO,ETIMEDOUT…] [--bare] [--replay FILE] [--shrink SECONDS]
 *	         [--only open,read…] [--table] [--print] [--stall SECONDS]
 *
 * Ends with 0 if nothing differs; with 1 and a shortened sequence if something does;
 * with 2 if it cannot begin.
 */
#include "test/refmodel/refmodel.h"

#include <err.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

struct wishes {
	uint64_t seed;
	unsigned threads, seconds, stall_s;
	uint32_t ops;
	const char *replay;
	bool table, print;
};

void allow(const char *names)
{
	char copy[1024], *save, *name;
	int e;

	snprintf(copy, sizeof(copy), "%s", names);
	for (name = strtok_r(copy, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save))
		for (e = 1; e < 134; e++)
			if (strcmp(error_name(e), name) == 0 &&
			    world.nr_allowed < LENGTH(world.allowed))
				world.allowed[world.nr_allowed++] = e;
}

static void say_words(void)
{
	if (board->differs != 0)
		fprintf(stderr, "refmodel: in a program that was started: %s\n", board->words);
}

void atexit_words(void)
{
	on_differ = say_words;
}

static void parse(int argc, char **argv, struct wishes *w)
{
	static const struct option options[] = {
		{ "plain", 1, NULL, 'p' },  { "model", 1, NULL, 'm' },	 { "work", 1, NULL, 'w' },
		{ "seed", 1, NULL, 's' },   { "threads", 1, NULL, 't' }, { "ops", 1, NULL, 'n' },
		{ "allow", 1, NULL, 'a' },  { "bare", 0, NULL, 'b' },	 { "replay", 1, NULL, 'r' },
		{ "shrink", 1, NULL, 'k' }, { "table", 0, NULL, 'T' },	 { "print", 0, NULL, 'P' },
		{ "only", 1, NULL, 'o' },   { "stall", 1, NULL, 'S' },	 { 0 },
	};
	static char only[2048];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'p':
			world.plain = optarg;
			break;
		case 'm':
			world.model = optarg;
			break;
		case 'w':
			world.work = optarg;
			break;
		case 's':
			w->seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			w->threads = (unsigned)atoi(optarg);
			break;
		case 'n':
			w->ops = (uint32_t)atoi(optarg);
			break;
		case 'a':
			allow(optarg);
			break;
		case 'b':
			world.bare = true;
			break;
		case 'r':
			w->replay = optarg;
			break;
		case 'k':
			w->seconds = (unsigned)atoi(optarg);
			break;
		case 'S':
			w->stall_s = (unsigned)atoi(optarg);
			break;
		case 'o':
			snprintf(only, sizeof(only), ",%s,", optarg);
			sequence_only(only);
			break;
		case 'P':
			w->print = true;
			break;
		case 'T':
			w->table = true;
			break;
		default:
			exit(2);
		}
	if (world.plain == NULL || world.model == NULL || world.work == NULL || w->threads == 0 ||
	    w->threads > MAX_ACTORS)
		errx(2, "--plain, --model and --work are needed, and 1 to %d --threads",
		     MAX_ACTORS);
	if (world.plain[0] != '/' || world.model[0] != '/' || world.work[0] != '/')
		errx(2, "the directories must be given by their full paths");
}

static uint64_t done(void)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < MAX_ACTORS; i++)
		sum += board->done[i];
	return sum;
}

static void print_table(void)
{
	unsigned i;

	for (i = 0; i < op_count; i++)
		printf("%-14s %8llu %6llu\n", op_table[i].name, (unsigned long long)board->by_op[i],
		       (unsigned long long)board->error_by_op[i]);
}

static void more_descriptors(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < 4096) {
		r.rlim_cur = r.rlim_max < 4096 ? r.rlim_max : 4096;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	struct wishes w = { .seed = 1, .threads = 1, .ops = 1000, .seconds = 60, .stall_s = 120 };
	struct sequence s;
	ssize_t n;
	int r;

	if (argc > 3 && strcmp(argv[1], "--inherited") == 0)
		return inherited_main(argc, argv);
	parse(argc, argv, &w);
	n = readlink("/proc/self/exe", world.self, sizeof(world.self) - 1);
	if (n == -1)
		err(2, "/proc/self/exe");
	more_descriptors();
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (board == MAP_FAILED)
		err(2, "mmap");
	if (w.replay == NULL)
		sequence_draw(&s, w.seed, -1, w.threads, w.ops);
	else if (!sequence_load(&s, w.replay))
		errx(2, "%s cannot be read", w.replay);
	if (w.print) {
		sequence_print(&s, stdout);
		return 0;
	}
	r = run_watched(&s, w.threads, w.threads > 1, w.stall_s);
	printf("refmodel: seed %llu: %llu operations in %u threads, %s; %llu failures of the "
	       "store, "
	       "%llu children\n",
	       (unsigned long long)w.seed, (unsigned long long)done(), w.threads,
	       r == 0 ? "no difference" : "A DIFFERENCE", (unsigned long long)board->store_errors,
	       (unsigned long long)board->children);
	if (w.table)
		print_table();
	if (r == 1) {
		printf("refmodel: seed %llu: %s\n", (unsigned long long)w.seed, board->words);
		fflush(stdout);
		if (w.seconds > 0)
			shrink(&s, w.threads, w.seconds);
	}
	return r;
}
