/*
 * h_wordexp.c - hook: wordexp.  libc does the shell's part of it, all but the
 * matching of file names, which happens inside it and would miss the store's: the
 * characters that ask for it are hidden from libc and matched here afterwards.
 *
 * musl's hands the words to a shell, which we are in: nothing to do there.
 */
#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <wordexp.h>

extern void *malloc(size_t len) LIBC_WEAK;
extern void *realloc(void *mem, size_t len) LIBC_WEAK;
extern void free(void *mem) LIBC_WEAK;
extern void globfree(glob_t *g) LIBC_WEAK;
extern void wordfree(wordexp_t *w) LIBC_WEAK;

/* What stands for * ? [ meanwhile: characters that mean nothing to a shell. */
static const char magic[] = "*?[";
static const char hidden[] = "\001\002\003";

static int index_of(const char *set, char c)
{
	int i;

	for (i = 0; set[i] != '\0'; i++)
		if (set[i] == c)
			return i;
	return -1;
}

static bool has_any(const char *text, const char *set)
{
	for (; *text != '\0'; text++)
		if (index_of(set, *text) >= 0)
			return true;
	return false;
}

/* ---- hiding --------------------------------------------------------------------------------- */

/* Behind a quoted piece that begins at text[i]: quotes, or a substitution with what it nests. */
static size_t skip_quoted(const char *text, size_t i)
{
	char open = text[i], close = open;
	unsigned depth = 1;

	if (open == '$') {
		i++;
		open = text[i];
		if (open != '(' && open != '{')
			return i; /* $NAME */
		close = open == '(' ? ')' : '}';
	}
	for (i++; text[i] != '\0'; i++) {
		if (text[i] == '\\' && close != '\'' && text[i + 1] != '\0') {
			i++;
		} else if (text[i] == close) {
			if (--depth == 0)
				return i + 1;
		} else if (text[i] == open) {
			depth++;
		} else if (close != '\'' && close != '"' && close != '`' &&
			   (text[i] == '\'' || text[i] == '"')) {
			i = skip_quoted(text, i) - 1;
		}
	}
	return i;
}

static void hide(char *text)
{
	size_t i = 0;
	int which;

	while (text[i] != '\0') {
		if (text[i] == '\\' && text[i + 1] != '\0') {
			i += 2;
		} else if (index_of("'\"`$", text[i]) >= 0) {
			i = skip_quoted(text, i);
		} else {
			which = index_of(magic, text[i]);
			if (which >= 0)
				text[i] = hidden[which];
			i++;
		}
	}
}

static void show(char *text)
{
	int which;

	for (; *text != '\0'; text++) {
		which = index_of(hidden, *text);
		if (which >= 0)
			*text = magic[which];
	}
}

/* ---- the words ------------------------------------------------------------------------------ */

struct words {
	char **list;
	size_t nr, room;
};

static bool add(struct words *w, char *word)
{
	char **list;

	if (word == NULL)
		return false;
	if (w->nr == w->room) {
		list = realloc(w->list, (w->room == 0 ? 16 : w->room * 2) * sizeof(*list));
		if (list == NULL) {
			free(word);
			return false;
		}
		w->list = list;
		w->room = w->room == 0 ? 16 : w->room * 2;
	}
	w->list[w->nr++] = word;
	return true;
}

/* A copy that the caller may free. */
static char *copy_of(const char *text)
{
	size_t len = mem_len(text) + 1;
	char *copy = malloc(len);

	if (copy != NULL)
		mem_copy(copy, text, len);
	return copy;
}

/* A word becomes the names that match it, or stays. */
static int add_matches(struct words *w, char *word)
{
	glob_t found = { 0 };
	size_t i;
	int r;

	if (!has_any(word, hidden))
		return add(w, copy_of(word)) ? 0 : WRDE_NOSPACE;
	show(word);
	r = glob(word, GLOB_NOCHECK, NULL, &found);
	if (r != 0)
		return r == GLOB_NOSPACE ? WRDE_NOSPACE : WRDE_SYNTAX;
	for (i = 0; r == 0 && i < found.gl_pathc; i++)
		r = add(w, copy_of(found.gl_pathv[i])) ? 0 : WRDE_NOSPACE;
	globfree(&found);
	return r;
}

/* Hand the words over, behind those that are there (WRDE_APPEND). */
static int hand_over(struct words *w, wordexp_t *ret, int flags)
{
	bool append = (flags & WRDE_APPEND) != 0;
	size_t first = (flags & WRDE_DOOFFS) != 0 ? ret->we_offs : 0;
	size_t had = append ? ret->we_wordc : 0, i;
	char **all;

	all = realloc(append ? ret->we_wordv : NULL, (first + had + w->nr + 1) * sizeof(*all));
	if (all == NULL)
		return WRDE_NOSPACE;
	for (i = 0; !append && i < first; i++)
		all[i] = NULL;
	mem_copy(all + first + had, w->list, w->nr * sizeof(*all));
	all[first + had + w->nr] = NULL;
	ret->we_wordv = all;
	ret->we_wordc = had + w->nr;
	if ((flags & WRDE_DOOFFS) == 0 && !append)
		ret->we_offs = 0;
	return 0;
}

static int expand(const char *text, wordexp_t *ret, int flags)
{
	__typeof(&wordexp) libc = NEXT(wordexp);
	wordexp_t found = { 0 };
	struct words w = { 0 };
	char *copy = arena_copy(text, mem_len(text));
	size_t i;
	int r;

	if (copy == NULL)
		return WRDE_NOSPACE;
	if ((flags & WRDE_REUSE) != 0)
		wordfree(ret);
	hide(copy);
	r = libc(copy, &found, flags & ~(WRDE_APPEND | WRDE_DOOFFS | WRDE_REUSE));
	arena_free(copy);
	if (r != 0)
		return r;
	for (i = 0; r == 0 && i < found.we_wordc; i++)
		r = add_matches(&w, found.we_wordv[i]);
	if (r == 0)
		r = hand_over(&w, ret, flags);
	while (r != 0 && w.nr > 0)
		free(w.list[--w.nr]);
	free(w.list);
	wordfree(&found);
	return r;
}

EXPORT int wordexp(const char *text, wordexp_t *ret, int flags)
{
	__typeof(&wordexp) libc = NEXT(wordexp);

	/* A text with the stand-ins in it, or nothing to match, is libc's. */
	if (!paths_on() || !next_is_glibc() || !has_any(text, magic) || has_any(text, hidden))
		return libc(text, ret, flags);
	return expand(text, ret, flags);
}
