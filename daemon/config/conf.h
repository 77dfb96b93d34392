/*
 * conf.h - the engine of the configuration: tables of keys, values from
 * defaults, environment and a YAML or JSON file, checked one by one.  A module
 * writes a table beside a struct; the engine fills the struct.  It knows no key
 * by name.
 *
 * Problems are said one by one through a callback, as "file:line: key: what was
 * found and what is allowed"; reading goes on to the end, so all of them are
 * heard in one go.
 *
 * Threads: one at a time for each conf.
 */
#ifndef DAEMON_CONFIG_CONF_H
#define DAEMON_CONFIG_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
	CONF_COUNT = 0, /* unsigned; min..max */
	CONF_SIZE,	/* uint64_t; bytes, see units.h; 0 is always allowed if min_or_zero */
	CONF_TEXT,	/* char *, never NULL, owned by the engine */
	CONF_LIST,	/* char *; "a,b" or a sequence, kept joined by commas */
	CONF_WORD,	/* int: index in words */
	CONF_MODE,	/* int: a file mode, or -1 for "" */
};

enum conf_flags {
	CONF_RELOAD = 1 << 0,  /* takes effect on SIGHUP */
	CONF_ZERO_OK = 1 << 1, /* 0 is allowed although it is below min */
	CONF_POWER2 = 1 << 2,
};

struct conf_key {
	const char *name;  /* "prefetch.vcpus"; NULL ends the table */
	const char *alias; /* another spelling, or NULL */
	size_t offset;	   /* in the struct that the table belongs to */
	enum conf_type type;
	unsigned flags;
	uint64_t min, max; /* of counts and sizes */
	const char *def;
	const char *env;	  /* variable that replaces the default where it is set */
	const char *const *words; /* CONF_WORD, NULL-terminated */
	/* Texts: what is wrong with the value, or NULL. */
	const char *(*check)(const char *value);
	const char *doc;
};

struct conf_section {
	const struct conf_key *keys; /* NULL ends the list of sections */
	void *values;
};

enum conf_origin {
	CONF_FROM_DEFAULT = 0,
	CONF_FROM_ENV,
	CONF_FROM_FILE,
};

struct conf;

typedef void conf_problem_fn(bool is_error, const char *text, void *arg);

/* All values are the defaults.  The sections and what they point to outlive the conf. */
struct conf *conf_new(const struct conf_section *sections);
void conf_free(struct conf *c); /* texts in the structs die with it */

/* Values from the environment.  Returns the number of errors. */
unsigned conf_load_env(struct conf *c, conf_problem_fn *on_problem, void *arg);
/* Reads the file whole.  Returns the number of errors (what cannot be read is one). */
unsigned conf_load_file(struct conf *c, const char *path, conf_problem_fn *on_problem, void *arg);
/* The same for a text in memory; `name` stands for the file in messages. */
unsigned conf_load_text(struct conf *c, const char *name, const char *text, size_t len,
			conf_problem_fn *on_problem, void *arg);

/* By name or alias; -1 for unknown keys. */
int conf_find(const struct conf *c, const char *name);
unsigned conf_nr_keys(const struct conf *c);
const struct conf_key *conf_key_at(const struct conf *c, unsigned index);
const char *conf_text_at(const struct conf *c, unsigned index);
enum conf_origin conf_origin_at(const struct conf *c, unsigned index);
/* The line in the file that set the key; 0 when no file did. */
unsigned conf_line_at(const struct conf *c, unsigned index);

/*
 * One value, as if a file said it.  0, or -EINVAL with a sentence.  A scalar
 * that was quoted is a text and no number.
 */
struct conf_scalar {
	const char *text;
	bool quoted;
};
int conf_set(struct conf *c, unsigned index, const struct conf_scalar *value,
	     enum conf_origin origin, char *err, size_t err_len);

/* Every key with value, default and documentation, as YAML that can be read back. */
struct strbuf;
void conf_print(const struct conf *c, struct strbuf *out);

/*
 * After a reload: keys that differ in `fresh`.  Those without CONF_RELOAD keep
 * their running value in `fresh`.  Both were made of tables with the same keys.
 */
typedef void conf_change_fn(const struct conf_key *key, const char *before, const char *after,
			    void *arg);
void conf_carry_over(struct conf *fresh, const struct conf *running, conf_change_fn *on_change,
		     void *arg);

#endif
