#include "daemon/oss/list_xml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oss/canon.h"
#include "daemon/oss/date.h"
#include "daemon/oss/xml.h"

#define BLOCK_SIZE (128u << 10)

/* ---- strings of a page ---------------------------------------------------- */

struct list_arena {
	struct list_arena *older;
	size_t used, size;
	char bytes[];
};

static char *arena_copy(struct list_arena **arena, const char *text, size_t len)
{
	struct list_arena *a = *arena;
	char *to;

	if (a == NULL || a->size - a->used < len + 1) {
		size_t size = len + 1 > BLOCK_SIZE ? len + 1 : BLOCK_SIZE;

		a = malloc(sizeof(*a) + size);
		if (a == NULL)
			return NULL;
		a->older = *arena;
		a->used = 0;
		a->size = size;
		*arena = a;
	}
	to = a->bytes + a->used;
	memcpy(to, text, len);
	to[len] = '\0';
	a->used += len + 1;
	return to;
}

/* ---- elements ------------------------------------------------------------- */

/* Strings of an entry, by the element that holds them. */
struct raw_entry {
	char *key;
	const char *size, *mtime, *etag, *type, *class, *restore;
};

struct reading {
	enum oss_dialect dialect;
	struct list_arena *arena;
	struct raw_entry *entries;
	size_t nr_entries, cap_entries;
	char **prefixes;
	size_t nr_prefixes, cap_prefixes;
	bool in_entry, in_prefixes;
	const char *encoding, *truncated, *key_count;
	char *next_token, *next_marker;
	char *err;
	size_t err_len;
};

static const struct {
	const char *name;
	size_t offset;
} entry_elements[] = {
	{ "Key", offsetof(struct raw_entry, key) },
	{ "Size", offsetof(struct raw_entry, size) },
	{ "LastModified", offsetof(struct raw_entry, mtime) },
	{ "ETag", offsetof(struct raw_entry, etag) },
	{ "Type", offsetof(struct raw_entry, type) },
	{ "StorageClass", offsetof(struct raw_entry, class) },
	{ "RestoreInfo", offsetof(struct raw_entry, restore) },
};

static const struct {
	const char *name;
	size_t offset;
} page_elements[] = {
	{ "EncodingType", offsetof(struct reading, encoding) },
	{ "IsTruncated", offsetof(struct reading, truncated) },
	{ "KeyCount", offsetof(struct reading, key_count) },
	{ "NextContinuationToken", offsetof(struct reading, next_token) },
	{ "NextMarker", offsetof(struct reading, next_marker) },
};

static int fail(struct reading *r, const char *text)
{
	snprintf(r->err, r->err_len, "%s", text);
	return -EPROTO;
}

static int fail_entry(struct reading *r, const char *what, const char *why)
{
	snprintf(r->err, r->err_len, "entry %zu of the listing: its %s %s", r->nr_entries, what,
		 why);
	return -EPROTO;
}

/* One more element at the end of an array: its address, or NULL. */
static void *grow(void **array, size_t *nr, size_t *cap, size_t size)
{
	void *bigger;

	if (*nr == *cap) {
		bigger = reallocarray(*array, *cap == 0 ? 1000 : *cap * 2, size);
		if (bigger == NULL)
			return NULL;
		*array = bigger;
		*cap = *cap == 0 ? 1000 : *cap * 2;
	}
	return memset((char *)*array + (*nr)++ * size, 0, size);
}

static int on_start(const char *name, int depth, void *arg)
{
	struct reading *r = arg;

	if (depth == 1 && strcmp(name, "ListBucketResult") != 0)
		return fail(r, "the answer is no listing: check that OSS_ENDPOINT is an object "
			       "store's");
	if (depth != 2)
		return 0;
	r->in_entry = strcmp(name, "Contents") == 0;
	r->in_prefixes = strcmp(name, "CommonPrefixes") == 0;
	if (!r->in_entry)
		return 0;
	if (r->nr_entries == LIST_PAGE_MAX_ENTRIES)
		return fail(r, "the page has more than 20000 entries");
	if (grow((void **)&r->entries, &r->nr_entries, &r->cap_entries, sizeof(*r->entries)) ==
	    NULL)
		return -ENOMEM;
	return 0;
}

static int set_once(struct reading *r, void *base, size_t offset, const char *text, size_t len)
{
	char **at = (char **)((char *)base + offset);

	if (*at != NULL)
		return fail(r, "an element of the listing is there twice");
	*at = arena_copy(&r->arena, text, len);
	return *at != NULL ? 0 : -ENOMEM;
}

static int on_entry_element(struct reading *r, const char *name, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(entry_elements) / sizeof(entry_elements[0]); i++) {
		if (strcmp(name, entry_elements[i].name) == 0)
			return set_once(r, &r->entries[r->nr_entries - 1], entry_elements[i].offset,
					text, len);
	}
	return 0;
}

static int on_prefix(struct reading *r, const char *text, size_t len)
{
	char **at;

	if (r->nr_prefixes == LIST_PAGE_MAX_ENTRIES)
		return fail(r, "the page has more than 20000 common prefixes");
	at = grow((void **)&r->prefixes, &r->nr_prefixes, &r->cap_prefixes, sizeof(*r->prefixes));
	if (at == NULL)
		return -ENOMEM;
	*at = arena_copy(&r->arena, text, len);
	return *at != NULL ? 0 : -ENOMEM;
}

static int on_end(const char *name, int depth, const char *text, size_t len, void *arg)
{
	struct reading *r = arg;
	size_t i;

	if (depth == 3 && r->in_entry)
		return on_entry_element(r, name, text, len);
	if (depth == 3 && r->in_prefixes && strcmp(name, "Prefix") == 0)
		return on_prefix(r, text, len);
	if (depth != 2)
		return 0;
	r->in_entry = r->in_prefixes = false;
	for (i = 0; i < sizeof(page_elements) / sizeof(page_elements[0]); i++) {
		if (strcmp(name, page_elements[i].name) == 0)
			return set_once(r, r, page_elements[i].offset, text, len);
	}
	return 0;
}

/* ---- values --------------------------------------------------------------- */

static int parse_number(const char *text, uint64_t *ret)
{
	size_t len = strlen(text);

	if (len == 0 || len > 18 || strspn(text, "0123456789") != len)
		return -EINVAL;
	*ret = strtoull(text, NULL, 10);
	return 0;
}

/* In place: the two quotes go. */
static const char *unquote(char *etag)
{
	size_t len = strlen(etag);

	if (len >= 2 && etag[0] == '"' && etag[len - 1] == '"') {
		etag[len - 1] = '\0';
		return etag + 1;
	}
	return etag;
}

static bool is_url_encoded(const struct reading *r)
{
	return r->encoding != NULL && strcmp(r->encoding, "url") == 0;
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static int make_entry(struct reading *r, const struct raw_entry *raw, struct list_entry *to)
{
	int len;

	if (raw->key == NULL || raw->key[0] == '\0')
		return fail_entry(r, "Key", "is missing");
	len = is_url_encoded(r) ? canon_decode(raw->key, true) : (int)strlen(raw->key);
	if (len < 0)
		return fail_entry(r, "Key", "is not url-encoded as the listing says");
	if (len > OSS_KEY_MAX)
		return fail_entry(r, "Key", "is longer than 1024 bytes");
	if (raw->size == NULL || parse_number(raw->size, &to->size) != 0)
		return fail_entry(r, "Size", "is not a number");
	to->mtime = 0;
	if (raw->mtime != NULL && date_parse_iso(raw->mtime, &to->mtime) != 0)
		return fail_entry(r, "LastModified",
				  "is not a time such as "
				  "2026-01-02T03:04:05.000Z");
	to->key = raw->key;
	to->key_len = (size_t)len;
	to->etag = raw->etag != NULL ? unquote((char *)raw->etag) : "";
	to->type = or_empty(raw->type);
	to->class = or_empty(raw->class);
	to->restore = or_empty(raw->restore);
	return 0;
}

static int make_entries(struct reading *r, struct list_page *page)
{
	size_t i, nr = r->nr_entries;
	int error = 0;

	if (nr == 0)
		return 0;
	page->entries = calloc(nr, sizeof(*page->entries));
	if (page->entries == NULL)
		return -ENOMEM;
	for (i = 0; i < nr && error == 0; i++) {
		r->nr_entries = i + 1; /* for the text of an error */
		error = make_entry(r, &r->entries[i], &page->entries[i]);
	}
	page->nr_entries = nr;
	return error;
}

static int make_prefixes(struct reading *r, struct list_page *page)
{
	size_t i;
	int len;

	for (i = 0; i < r->nr_prefixes; i++) {
		char *p = r->prefixes[i];

		len = is_url_encoded(r) ? canon_decode(p, true) : (int)strlen(p);
		if (len <= 0 || len > OSS_KEY_MAX)
			return fail(r, "a common prefix of the listing is empty, too long or not "
				       "url-encoded as the listing says");
	}
	page->prefixes = (const char **)r->prefixes;
	page->nr_prefixes = r->nr_prefixes;
	r->prefixes = NULL;
	return 0;
}

static int make_rest(struct reading *r, struct list_page *page)
{
	uint64_t count;

	page->key_count = -1;
	if (r->key_count != NULL) {
		if (parse_number(r->key_count, &count) != 0)
			return fail(r, "the listing's KeyCount is not a number");
		page->key_count = (int64_t)count;
	}
	if (r->truncated == NULL ||
	    (strcmp(r->truncated, "true") != 0 && strcmp(r->truncated, "false") != 0))
		return fail(r, "the listing's IsTruncated is neither true nor false");
	page->is_truncated = r->truncated[0] == 't';
	if (!page->is_truncated)
		return 0;

	/*
	 * OSS encodes its tokens too.  They are base64, so a '+' in one is never a space: it
	 * stays, for the sake of a service that does not encode them.
	 */
	if (r->next_token != NULL && r->next_token[0] != '\0') {
		if (is_url_encoded(r) && r->dialect == OSS_DIALECT_OSS &&
		    canon_decode(r->next_token, false) < 0)
			return fail(r, "the listing's NextContinuationToken is not url-encoded");
		page->next_token = r->next_token;
		return 0;
	}
	if (r->next_marker != NULL && r->next_marker[0] != '\0') {
		if (is_url_encoded(r) && canon_decode(r->next_marker, true) < 0)
			return fail(r, "the listing's NextMarker is not url-encoded");
		page->next_marker = r->next_marker;
	} else if (r->key_count == NULL && page->nr_entries > 0) {
		page->next_marker = page->entries[page->nr_entries - 1].key;
	}
	return 0;
}

int list_xml_parse(const void *xml, size_t len, enum oss_dialect dialect,
		   struct list_page *ret_page, char *err, size_t err_len)
{
	static const struct xml_events events = { .on_start = on_start, .on_end = on_end };
	struct reading r = { .dialect = dialect, .err = err, .err_len = err_len };
	struct list_page page = { .nr_entries = 0 };
	int error;

	if (len > LIST_PAGE_MAX_BYTES)
		error = fail(&r, "the page is longer than 16 MiB");
	else
		error = xml_parse(xml, len, &events, &r, err, err_len);
	if (error == 0)
		error = make_entries(&r, &page);
	if (error == 0)
		error = make_prefixes(&r, &page);
	if (error == 0)
		error = make_rest(&r, &page);
	page.arena = r.arena;
	free(r.entries);
	free(r.prefixes);
	if (error == -ENOMEM)
		snprintf(err, err_len, "no memory for a page of the listing");
	if (error != 0)
		list_page_fini(&page);
	else
		*ret_page = page;
	return error;
}

void list_page_fini(struct list_page *page)
{
	struct list_arena *a, *older;

	for (a = page->arena; a != NULL; a = older) {
		older = a->older;
		free(a);
	}
	free(page->entries);
	free(page->prefixes);
	memset(page, 0, sizeof(*page));
}
