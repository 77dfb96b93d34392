#include "daemon/config/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/base/xalloc.h"
#include "daemon/config/conf_internal.h"
#include "daemon/config/units.h"

#define FOUND_MAX 60 /* bytes of a value that a message repeats */

struct conf *conf_new(const struct conf_section *sections)
{
	struct conf *c = xcalloc(1, sizeof(*c));
	const struct conf_section *s;
	const struct conf_key *k;
	char err[256];
	unsigned i = 0;

	for (s = sections; s->keys != NULL; s++)
		for (k = s->keys; k->name != NULL; k++)
			c->nr++;
	c->values = xcalloc(c->nr, sizeof(*c->values));
	for (s = sections; s->keys != NULL; s++)
		for (k = s->keys; k->name != NULL; k++, i++) {
			const struct conf_scalar def = { .text = k->def };

			c->values[i].key = k;
			c->values[i].target = (char *)s->values + k->offset;
			/* A default that its own row refuses is a fault of the table. */
			BUG_ON(conf_set(c, i, &def, CONF_FROM_DEFAULT, err, sizeof(err)) != 0);
		}
	return c;
}

void conf_free(struct conf *c)
{
	unsigned i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nr; i++)
		free(c->values[i].text);
	free(c->values);
	free(c);
}

int conf_find(const struct conf *c, const char *name)
{
	unsigned i;

	for (i = 0; i < c->nr; i++) {
		const struct conf_key *k = c->values[i].key;

		if (strcmp(k->name, name) == 0 || (k->alias != NULL && strcmp(k->alias, name) == 0))
			return (int)i;
	}
	return -1;
}

unsigned conf_nr_keys(const struct conf *c)
{
	return c->nr;
}

const struct conf_key *conf_key_at(const struct conf *c, unsigned index)
{
	return c->values[index].key;
}

const char *conf_text_at(const struct conf *c, unsigned index)
{
	return c->values[index].text;
}

enum conf_origin conf_origin_at(const struct conf *c, unsigned index)
{
	return c->values[index].origin;
}

unsigned conf_line_at(const struct conf *c, unsigned index)
{
	return c->values[index].line;
}

/* ---- one value ----------------------------------------------------------------- */

/* Does an unquoted scalar read as a number, a boolean or nothing at all? */
static const char *plain_kind(const char *text)
{
	static const char *const nothing[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const booleans[] = { "true",	 "True",  "TRUE", "false",
						"False", "FALSE", NULL };
	char *end;
	int i;

	for (i = 0; nothing[i] != NULL; i++)
		if (strcmp(text, nothing[i]) == 0)
			return "nothing";
	for (i = 0; booleans[i] != NULL; i++)
		if (strcmp(text, booleans[i]) == 0)
			return "a boolean";
	if (isdigit((unsigned char)text[0]) || text[0] == '-' || text[0] == '+' || text[0] == '.') {
		(void)strtod(text, &end);
		if (*end == '\0' && end != text)
			return "a number";
	}
	return "a text";
}

/* "the text "abc"", cut where it is long. */
static void describe(const struct conf_scalar *v, char *buf, size_t len)
{
	const char *kind = v->quoted ? "a text" : plain_kind(v->text);
	struct strbuf quoted;

	if (strcmp(kind, "nothing") == 0) {
		snprintf(buf, len, "found nothing");
		return;
	}
	strbuf_init(&quoted, FOUND_MAX * 8);
	json_string(&quoted, v->text, strnlen(v->text, FOUND_MAX));
	snprintf(buf, len, "found %s, %s%s", kind, strbuf_str(&quoted),
		 strlen(v->text) > FOUND_MAX ? "..." : "");
	strbuf_fini(&quoted);
}

static void complain(const struct conf_scalar *v, const char *allowed, char *err, size_t err_len)
{
	char found[FOUND_MAX * 8 + 40];

	describe(v, found, sizeof(found));
	snprintf(err, err_len, "%s; %s", found, allowed);
}

static int set_count(const struct conf_value *cv, const struct conf_scalar *v, char *err,
		     size_t err_len)
{
	const struct conf_key *k = cv->key;
	char allowed[128];
	uint64_t n;

	if (v->quoted || units_parse_count(v->text, &n) != 0 || n < k->min || n > k->max) {
		snprintf(allowed, sizeof(allowed),
			 "allowed: a whole number from %llu to %llu, without quotes",
			 (unsigned long long)k->min, (unsigned long long)k->max);
		complain(v, allowed, err, err_len);
		return -EINVAL;
	}
	*(unsigned *)cv->target = (unsigned)n;
	return 0;
}

static int set_size(const struct conf_value *cv, const struct conf_scalar *v, char *err,
		    size_t err_len)
{
	const struct conf_key *k = cv->key;
	char allowed[200];
	uint64_t n;
	bool good;

	good = units_parse_size(v->text, &n) == 0 && n <= k->max &&
	       (n >= k->min || (n == 0 && (k->flags & CONF_ZERO_OK) != 0)) &&
	       ((k->flags & CONF_POWER2) == 0 || (n & (n - 1)) == 0);
	if (!good) {
		snprintf(allowed, sizeof(allowed), "allowed: %s from %lluMiB to %lluMiB%s",
			 (k->flags & CONF_POWER2) != 0
				 ? "a power of two"
				 : "bytes, or a size such as 512MiB, 8GB or 50%,",
			 (unsigned long long)(k->min >> 20), (unsigned long long)(k->max >> 20),
			 (k->flags & CONF_ZERO_OK) != 0 ? ", or 0 for automatic" : "");
		complain(v, allowed, err, err_len);
		return -EINVAL;
	}
	*(uint64_t *)cv->target = n;
	return 0;
}

static int set_word(const struct conf_value *cv, const struct conf_scalar *v, char *err,
		    size_t err_len)
{
	struct strbuf allowed;
	int i;

	for (i = 0; cv->key->words[i] != NULL; i++)
		if (strcmp(cv->key->words[i], v->text) == 0) {
			*(int *)cv->target = i;
			return 0;
		}
	strbuf_init(&allowed, 256);
	for (i = 0; cv->key->words[i] != NULL; i++)
		strbuf_addf(&allowed, "%s%s", i == 0 ? "allowed: " : ", ", cv->key->words[i]);
	complain(v, strbuf_str(&allowed), err, err_len);
	strbuf_fini(&allowed);
	return -EINVAL;
}

static int set_mode(const struct conf_value *cv, const struct conf_scalar *v, char *err,
		    size_t err_len)
{
	unsigned mode;

	if (v->text[0] == '\0' && (v->quoted || cv->text == NULL)) {
		*(int *)cv->target = -1;
		return 0;
	}
	if (units_parse_mode(v->text, &mode) != 0) {
		complain(v, "allowed: an octal file mode such as 0660", err, err_len);
		return -EINVAL;
	}
	*(int *)cv->target = (int)mode;
	return 0;
}

static int check_text(const struct conf_value *cv, const struct conf_scalar *v, char *err,
		      size_t err_len)
{
	const char *complaint;
	const char *p;

	if (!v->quoted && cv->text != NULL && strcmp(plain_kind(v->text), "a text") != 0) {
		complain(v, "allowed: a text; put it in quotes if that is what is meant", err,
			 err_len);
		return -EINVAL;
	}
	for (p = v->text; *p != '\0'; p++)
		if (iscntrl((unsigned char)*p)) {
			complain(v, "control characters are not allowed", err, err_len);
			return -EINVAL;
		}
	complaint = cv->key->check != NULL && v->text[0] != '\0' ? cv->key->check(v->text) : NULL;
	if (complaint != NULL) {
		complain(v, complaint, err, err_len);
		return -EINVAL;
	}
	return 0;
}

static int set_value(const struct conf_value *cv, const struct conf_scalar *v, char *err,
		     size_t err_len)
{
	switch (cv->key->type) {
	case CONF_COUNT:
		return set_count(cv, v, err, err_len);
	case CONF_SIZE:
		return set_size(cv, v, err, err_len);
	case CONF_WORD:
		return set_word(cv, v, err, err_len);
	case CONF_MODE:
		return set_mode(cv, v, err, err_len);
	case CONF_TEXT:
	case CONF_LIST:
		return check_text(cv, v, err, err_len);
	}
	return -EINVAL;
}

int conf_set(struct conf *c, unsigned index, const struct conf_scalar *value,
	     enum conf_origin origin, char *err, size_t err_len)
{
	struct conf_value *cv = &c->values[index];
	int r;

	r = set_value(cv, value, err, err_len);
	if (r != 0)
		return r;
	free(cv->text);
	cv->text = xstrdup(value->text);
	cv->origin = origin;
	cv->line = 0;
	if (cv->key->type == CONF_TEXT || cv->key->type == CONF_LIST)
		*(char **)cv->target = cv->text;
	return 0;
}

/* ---- environment, print, reload ------------------------------------------------- */

unsigned conf_load_env(struct conf *c, conf_problem_fn *on_problem, void *arg)
{
	unsigned i, nr_errors = 0;
	char err[768], text[1024];

	for (i = 0; i < c->nr; i++) {
		const struct conf_key *k = c->values[i].key;
		const char *value = k->env != NULL ? getenv(k->env) : NULL;
		const struct conf_scalar v = {
			.text = value, .quoted = k->type == CONF_TEXT || k->type == CONF_LIST
		};

		if (value == NULL || value[0] == '\0')
			continue;
		if (conf_set(c, i, &v, CONF_FROM_ENV, err, sizeof(err)) == 0)
			continue;
		snprintf(text, sizeof(text), "environment: %s: %s", k->env, err);
		on_problem(true, text, arg);
		nr_errors++;
	}
	return nr_errors;
}

static bool is_text(const struct conf_key *k)
{
	return k->type == CONF_TEXT || k->type == CONF_LIST || k->type == CONF_MODE;
}

static void print_value(const struct conf_key *k, const char *text, struct strbuf *out)
{
	if (is_text(k))
		json_cstring(out, text);
	else
		strbuf_adds(out, text);
}

void conf_print(const struct conf *c, struct strbuf *out)
{
	static const char *const origins[] = {
		[CONF_FROM_DEFAULT] = "the default",
		[CONF_FROM_ENV] = "from the environment",
		[CONF_FROM_FILE] = "from the file",
	};
	unsigned i;

	for (i = 0; i < c->nr; i++) {
		const struct conf_value *cv = &c->values[i];

		strbuf_addf(out, "# %s\n# Default ", cv->key->doc);
		print_value(cv->key, cv->key->def, out);
		strbuf_addf(out, "; this value is %s; %s.\n%s: ", origins[cv->origin],
			    (cv->key->flags & CONF_RELOAD) != 0 ? "SIGHUP changes it"
								: "a change needs a restart",
			    cv->key->name);
		print_value(cv->key, cv->text, out);
		strbuf_adds(out, "\n\n");
	}
}

void conf_carry_over(struct conf *fresh, const struct conf *running, conf_change_fn *on_change,
		     void *arg)
{
	unsigned i;
	char err[256];

	BUG_ON(fresh->nr != running->nr);
	for (i = 0; i < fresh->nr; i++) {
		struct conf_value *f = &fresh->values[i];
		const struct conf_value *r = &running->values[i];
		const struct conf_scalar old = { .text = r->text, .quoted = is_text(r->key) };

		if (strcmp(f->text, r->text) == 0)
			continue;
		on_change(f->key, r->text, f->text, arg);
		if ((f->key->flags & CONF_RELOAD) == 0)
			BUG_ON(conf_set(fresh, i, &old, r->origin, err, sizeof(err)) != 0);
	}
}
