/*
 * refmodel.h - what the parts of the reference model share.
 *
 * Each operation is done twice, one call after the other: on a plain directory and
 * on the same names below MODEL_DIR.  Every result, errno, offset and byte must be
 * the same; what differs is a difference, and the program ends.  An operation is a
 * name and six numbers, so any part of a sequence is a sequence again: that is what
 * shrinking needs.  An operation that finds its slot empty does nothing.
 *
 * Linked against libc alone; knows nothing of the library that it may run under.
 */
#ifndef TEST_REFMODEL_H
#define TEST_REFMODEL_H

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#define NR_ARGS	   6
#define NR_FDS	   16
#define NR_STREAMS 6
#define NR_DIRS	   4
#define NR_MAPS	   8
#define NR_SHARED  8
#define MAX_ACTORS 8
#define PATH_SIZE  (PATH_MAX + 512)
#define PAGE	   4096u
#define LENGTH(a)  (sizeof(a) / sizeof((a)[0]))

/* ---- the two directories --------------------------------------------------------- */

struct node { /* a name that the store has; the root is "" */
	char *rel;
	bool dir;
	off_t size;
	time_t mtime;
	ino_t ino; /* as MODEL_DIR shows it; 0: not seen yet */
};

struct world {
	const char *plain, *model;	      /* as given */
	char plain_real[PATH_MAX];	      /* the real paths of both */
	char model_real[PATH_MAX];	      /* */
	char plain_link[PATH_MAX];	      /* symbolic links to both, from outside */
	char model_link[PATH_MAX];	      /* */
	char self[PATH_MAX];		      /* this program */
	const char *work;		      /* a local directory for what is neither */
	bool threads;			      /* several actors at once */
	bool bare;			      /* both are plain directories */
	int allowed[32];		      /* errnos that a bad store may cause */
	unsigned nr_allowed;		      /* */
	struct node *nodes;		      /* sorted by name */
	unsigned nr;			      /* */
	unsigned files[4096], dirs[1024];     /* their numbers in nodes */
	unsigned nr_files, nr_dirs, nr_small; /* files[] has small ones first */
	int shared_p[NR_SHARED];	      /* descriptors that all actors read at offsets */
	int shared_m[NR_SHARED];	      /* */
	const struct node *shared[NR_SHARED]; /* */
};
extern struct world world;

void world_start(const char *plain, const char *model, const char *work, bool bare);
const struct node *world_find(const char *rel);
/* The store's name for a path that is real and below `root`, or NULL. */
const struct node *world_named(const char *real, const char *root);

/* ---- actors ------------------------------------------------------------------------ */

struct fdpair {
	bool open;
	bool dir;
	bool path_only;		 /* O_PATH: no offset */
	bool copy;		 /* MODEL_DIR's half came over a socket: another file's identity */
	const struct node *node; /* NULL: a local file */
	char rel[512];		 /* of a directory */
	int p, m;
};

struct streampair {
	FILE *p, *m;
	const struct node *node;
	bool writes; /* a local file's */
	bool wide;
	bool pushed;	     /* ungetc since it was last put somewhere */
	char *buf_p, *buf_m; /* that setvbuf gave them */
};

struct seen;
struct dirpair {
	DIR *p, *m;
	struct seen *seen_p, *seen_m;
	unsigned local_changes; /* the actor's, when it was opened or rewound */
	char rel[512];
};

#define MAP_PAGES 4096u
struct mappair {
	unsigned char *p, *m; /* NULL: free */
	size_t pages;
	unsigned char gone[MAP_PAGES / 8]; /* pages that were unmapped */
};

struct actor {
	unsigned number;
	unsigned depth; /* of forks */
	struct fdpair fds[NR_FDS];
	struct streampair streams[NR_STREAMS];
	struct dirpair dirs[NR_DIRS];
	struct mappair maps[NR_MAPS];
	char cwd[512];	  /* below the root */
	bool cwd_outside; /* in the directory that holds MODEL_DIR */
	unsigned local_changes;
	bool has_copies;	      /* a program without the library was given a descriptor */
	unsigned char *buf_p, *buf_m; /* BUF_SIZE each */
	const struct step *step;      /* in hand */
	uint32_t step_number;
	pid_t child_of; /* in a child: the parent */
};

#define BUF_SIZE (4u << 20)

/* ---- sequences ------------------------------------------------------------------------ */

struct op {
	const char *name;
	unsigned weight;
	/* False: there was nothing to do it with, and it does not count. */
	bool (*run)(struct actor *a, const uint32_t *arg);
};
extern const struct op op_table[];
extern const unsigned op_count;
const struct op *op_find(const char *name);

struct step {
	const struct op *op;
	uint32_t actor;
	uint32_t arg[NR_ARGS];
};

struct sequence {
	struct step *steps;
	uint32_t nr;
};
/* The steps of one actor, or of all (one after the other) with actor == -1. */
void sequence_draw(struct sequence *s, uint64_t seed, int actor, unsigned actors, uint32_t nr);
void sequence_only(const char *names); /* draw these alone: names with commas around them */
void sequence_add(struct sequence *s, const struct step *step);
bool sequence_load(struct sequence *s, const char *path);
void sequence_print(const struct sequence *s, FILE *out);
void sequence_free(struct sequence *s);
void step_text(const struct step *step, char *buf, size_t len);

/* ---- runs --------------------------------------------------------------------------------- */

/* Shared with the process that watches, and with children. */
struct board {
	uint64_t done[MAX_ACTORS];	  /* operations that were done */
	uint64_t store_errors;		  /* that a bad store was allowed to cause */
	uint64_t children;		  /* that were made */
	uint64_t by_op[256];		  /* rows of op_table */
	uint64_t error_by_op[256];	  /* */
	uint32_t step_number[MAX_ACTORS]; /* in hand */
	uint32_t claimed;    /* somebody has found a difference: its words are coming */
	uint32_t differs;    /* 1 + the actor that found a difference */
	uint32_t differs_at; /* its step */
	char words[4096];
};
extern struct board *board;

void run_steps(struct actor *a, const struct sequence *s, uint32_t from);
/* All actors in threads, or one after the other.  Returns when all are done. */
void run_all(const struct sequence *s, unsigned actors, bool threads);
int shrink(const struct sequence *failed, unsigned actors, unsigned seconds);
/* A run in a process of its own.  0: no difference; board->words says what it was. */
int run_watched(const struct sequence *s, unsigned actors, bool threads, unsigned stall_s);

/* ---- judging -------------------------------------------------------------------------------- */

#define ERRNO_MARK 7777
struct outcome {
	long ret;
	int err; /* when ret is -1 */
	bool touched;
};

#define TRY(call)                                                                                  \
	({                                                                                         \
		struct outcome o_;                                                                 \
		errno = ERRNO_MARK;                                                                \
		o_.ret = (long)(call);                                                             \
		o_.err = o_.ret == -1 ? errno : 0;                                                 \
		o_.touched = o_.ret != -1 && errno != ERRNO_MARK;                                  \
		o_;                                                                                \
	})
/* A call that returns a pointer, NULL when it fails. */
#define TRY_POINTER(var, call)                                                                     \
	({                                                                                         \
		struct outcome o_;                                                                 \
		errno = ERRNO_MARK;                                                                \
		(var) = (call);                                                                    \
		o_.ret = (var) == NULL ? -1 : 0;                                                   \
		o_.err = o_.ret == -1 ? errno : 0;                                                 \
		o_.touched = false;                                                                \
		o_;                                                                                \
	})
/* A call that returns its errno. */
#define TRY_ERROR(call)                                                                            \
	({                                                                                         \
		int e_ = (call);                                                                   \
		(struct outcome){ .ret = e_ == 0 ? 0 : -1, .err = e_ };                            \
	})

enum verdict {
	BOTH_DID,
	BOTH_FAILED,
	STORE_FAILED, /* the plain one did, and the store was allowed to fail */
};

enum {
	JUDGE_ANY_RESULT = 1, /* a descriptor, a pointer */
	JUDGE_ANY_ERRNO = 2,  /* both failed: enough */
};

/* Does not return when they differ. */
enum verdict judge(struct actor *a, const char *what, struct outcome p, struct outcome m,
		   unsigned flags);
/* A call that is only done on MODEL_DIR: it must fail with one of these (ended by 0). */
void judge_fails(struct actor *a, const char *what, struct outcome m, const int *errors);
extern void (*on_differ)(void); /* called before the end; NULL: nobody */
_Noreturn void differ(struct actor *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void same_bytes(struct actor *a, const char *what, const void *p, const void *m, size_t len);
void same_number(struct actor *a, const char *what, long long p, long long m);
bool store_may(int error);
const char *error_name(int error);

/* Touching memory that may raise SIGBUS or SIGSEGV: the signal's number or 0. */
extern __thread sigjmp_buf touch_jump;
extern __thread volatile sig_atomic_t touch_armed;
void touch_start(void);
#define TOUCH(statement)                                                                           \
	({                                                                                         \
		int signal_ = sigsetjmp(touch_jump, 0);                                            \
		if (signal_ == 0) {                                                                \
			touch_armed = 1;                                                           \
			statement;                                                                 \
		}                                                                                  \
		touch_armed = 0;                                                                   \
		signal_;                                                                           \
	})

/* ---- places ------------------------------------------------------------------------------------ */

struct place {
	char p[PATH_SIZE], m[PATH_SIZE];
	int pdir, mdir; /* AT_FDCWD, or a pair's descriptors */
	char rel[512];	/* what it names, below the root */
	bool local;	/* a name that only the local disk may have */
};

enum {
	PLACE_AT = 1,	 /* may be relative to a descriptor */
	PLACE_LOCAL = 2, /* mostly a local name */
	PLACE_STORE = 4, /* a name of the store */
	PLACE_DIR = 8,	 /* mostly a directory of the store */
};

/* Two numbers draw it. */
void place_draw(struct actor *a, struct place *ret, uint32_t what, uint32_t how, unsigned flags);
/* The store's name that it comes to, through links; NULL: none. */
const struct node *place_means(const struct place *pl, bool follow);
/* What makes a name with a slash behind it fails by one errno or another. */
bool place_ends_in_slash(const struct place *pl);
/* Making it makes a local name of the actor's, or fails. */
bool place_may_make(const struct place *pl);
/* A path that a call gave back, without its root; NULL: it lies elsewhere. */
const char *place_strip(const char *path, const char *root, const char *root_real);
bool is_foreign(const struct actor *a, const char *name); /* a local name of another actor */

/* ---- what the families of operations share -------------------------------------------------------- */

struct fdpair *fd_of(struct actor *a, uint32_t arg);	  /* NULL: empty */
struct fdpair *fd_of_file(struct actor *a, uint32_t arg); /* a regular file's that can be read */
void fd_close(struct actor *a, struct fdpair *f);
/* Two descriptors become a slot's; what it held is closed. */
struct fdpair *fd_put(struct actor *a, uint32_t slot, int p, int m, const struct fdpair *like);
void fd_learn(struct fdpair *f);			/* what it is, by asking the plain one */
void fd_check(struct actor *a, const struct fdpair *f); /* the offsets are the same */
void fd_check_flags(struct actor *a, const struct fdpair *f); /* F_GETFL, F_GETFD */
void fd_put_back(struct fdpair *f, off_t before); /* the plain one's offset, after a store error */
bool stat_same(struct actor *a, const char *what, const struct stat *p, const struct stat *m);
/* The number a store file is shown with stays the same; also for d_ino. */
void node_check_number(struct actor *a, const char *what, const struct node *n, ino_t ino);
void stream_close(struct actor *a, struct streampair *s);
void dir_close(struct actor *a, struct dirpair *d);
void map_close(struct actor *a, struct mappair *m);
void map_check(struct actor *a, struct mappair *m, size_t first, size_t pages);
uint32_t length_of(uint32_t arg); /* a length to read, small ones mostly */
void actor_close_all(struct actor *a);
void actor_clean(struct actor *a); /* removes its local names */
/* Runs the steps up to the matching join in a child; returns where to go on. */
uint32_t fork_steps(struct actor *a, const struct sequence *s, uint32_t at);
/* What an exec'ed copy of this program does: compare the descriptors it was given. */
int inherited_main(int argc, char **argv);
void allow(const char *names); /* errnos, with commas between them */
void atexit_words(void);       /* say on stderr what differs, before the end */

uint64_t mix(uint64_t x);

#endif
