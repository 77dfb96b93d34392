/* ListObjects, both versions, in both dialects. */
#include "test/server/srv_op.h"

#include "test/server/srv_reply.h"
#include "test/server/srv_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
	const char *p;
	size_t len;
};

struct listing {
	struct srv_conn *c;
	bool s3;
	bool v2;
	bool url;
	bool owner;
	struct text prefix;
	struct text delimiter;
	struct text marker; /* V1 */
	struct text start_after;
	struct text token;
	char last[SRV_KEY_MAX + 8]; /* what the token says */
	size_t last_len;
	uint64_t max_keys;

	char date[SRV_DATE_LEN]; /* of the last entry; "": none yet */
	int64_t date_of;
	struct srv_buf contents;
	struct srv_buf groups;
	uint64_t nr;
	bool truncated;
	struct srv_buf next; /* the last key or group that was returned */
	bool next_is_group;
};

static struct text param(const struct listing *l, const char *name)
{
	const struct srv_param *p = srv_req_param(&l->c->req, name);
	struct text t = { "", 0 };

	if (p != NULL) {
		t.p = p->value;
		t.len = p->len;
	}
	return t;
}

static void add_text(const struct listing *l, struct srv_buf *out, const char *p, size_t n)
{
	if (!l->url)
		srv_buf_xml(out, p, n);
	else if (l->s3)
		srv_buf_uri_s3list(out, p, n);
	else
		srv_buf_uri(out, p, n, false);
}

static void element(const struct listing *l, struct srv_buf *out, const char *name, struct text t)
{
	srv_buf_fmt(out, "  <%s>", name);
	add_text(l, out, t.p, t.len);
	srv_buf_fmt(out, "</%s>\n", name);
}

/* base64 of the protobuf {1: key, 2: 0}, with '-' for '='. */
static void make_token(struct srv_buf *out, const char *key, size_t len)
{
	struct srv_buf raw = { 0 };
	size_t i = out->len;

	srv_buf_char(&raw, 0x0a);
	if (len >= 128)
		srv_buf_char(&raw, (char)(0x80 | (len & 127)));
	srv_buf_char(&raw, (char)(len >= 128 ? len >> 7 : len));
	srv_buf_add(&raw, key, len);
	srv_buf_add(&raw, "\x10\0", 2);
	srv_buf_base64(out, raw.p, raw.len);
	for (; i < out->len; i++) {
		if (out->p[i] == '=')
			out->p[i] = '-';
	}
	srv_buf_free(&raw);
}

static bool read_token(struct listing *l)
{
	unsigned char raw[SRV_KEY_MAX + 64];
	char text[2048];
	size_t i, len, at = 2;
	int n;

	if (l->token.len >= sizeof(text))
		return false;
	for (i = 0; i < l->token.len; i++)
		text[i] = l->token.p[i] == '-' ? '=' : l->token.p[i];
	n = srv_base64_decode(text, l->token.len, raw, sizeof(raw));
	if (n < 2 || raw[0] != 0x0a)
		return false;
	len = raw[1];
	if (len >= 128) {
		if (n < 3)
			return false;
		len = (len & 127) | ((size_t)raw[2] << 7);
		at = 3;
	}
	if (at + len > (size_t)n || len > SRV_KEY_MAX)
		return false;
	memcpy(l->last, raw + at, len);
	l->last_len = len;
	return true;
}

static const char *shown_class(const struct listing *l, const char *oss)
{
	if (!l->s3)
		return oss;
	if (strcmp(oss, "IA") == 0)
		return "STANDARD_IA";
	if (strcmp(oss, "Archive") == 0)
		return "GLACIER";
	if (strstr(oss, "ColdArchive") != NULL)
		return "DEEP_ARCHIVE";
	return "STANDARD";
}

/* Keys that follow one another are often of one moment. */
static const char *iso_date(struct listing *l, int64_t mtime)
{
	if (l->date[0] == '\0' || l->date_of != mtime) {
		srv_date_iso(l->date, mtime);
		l->date_of = mtime;
	}
	return l->date;
}

static void add_etag(const struct listing *l, struct srv_buf *out, const char *etag)
{
	if (!l->s3) {
		srv_buf_str(out, "<ETag>\"");
		srv_buf_str(out, etag);
		srv_buf_str(out, "\"</ETag>");
		return;
	}
	srv_buf_str(out, "<ETag>&quot;");
	for (; *etag != '\0'; etag++)
		srv_buf_char(out, (char)tolower((unsigned char)*etag));
	srv_buf_str(out, "&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm>"
			 "<ChecksumType>FULL_OBJECT</ChecksumType>");
}

static void add_element(struct srv_buf *out, const char *open, const char *text, const char *close)
{
	srv_buf_str(out, open);
	srv_buf_str(out, text);
	srv_buf_str(out, close);
}

/* Without printf: what a million of these cost is what a listing is measured by. */
static void add_entry(struct listing *l, const struct srv_entry *e)
{
	static const char owner[] = "<Owner><ID>0022012****</ID><DisplayName>user-example"
				    "</DisplayName></Owner>";
	struct srv_buf *out = &l->contents;

	srv_buf_str(out, "  <Contents><Key>");
	add_text(l, out, e->key, e->key_len);
	add_element(out, "</Key><LastModified>", iso_date(l, e->mtime), "</LastModified>");
	add_etag(l, out, e->etag);
	if (!l->s3)
		add_element(out, "<Type>", e->type, "</Type>");
	srv_buf_str(out, "<Size>");
	srv_buf_u64(out, e->size);
	srv_buf_str(out, "</Size>");
	if (l->s3 && l->owner)
		srv_buf_str(out, owner);
	add_element(out, "<StorageClass>", shown_class(l, e->storage_class), "</StorageClass>");
	if (!l->s3 && e->restore[0] != '\0')
		add_element(out, "<RestoreInfo>", e->restore, "</RestoreInfo>");
	if (!l->s3 && l->owner)
		srv_buf_str(out, owner);
	srv_buf_str(out, "</Contents>\n");
}

/* Where the group ends that the key belongs to, as a length of the key; 0: it is in none. */
static size_t group_len(const struct listing *l, const struct srv_entry *e)
{
	const char *at;

	if (l->delimiter.len == 0)
		return 0;
	at = memmem(e->key + l->prefix.len, e->key_len - l->prefix.len, l->delimiter.p,
		    l->delimiter.len);
	return at != NULL ? (size_t)(at - e->key) + l->delimiter.len : 0;
}

/* Behind every key that starts with the group: its last byte counted up. */
static void skip_group(struct srv_cursor *cur, const char *group, size_t len)
{
	char end[SRV_KEY_MAX + 8];
	size_t n = len;

	memcpy(end, group, len);
	while (n > 0 && (unsigned char)end[n - 1] == 0xff)
		n--;
	if (n == 0)
		return;
	end[n - 1] = (char)((unsigned char)end[n - 1] + 1);
	srv_cursor_seek(cur, end, n, false);
}

/* To the first key that may be shown. */
static void seek_start(const struct listing *l, struct srv_cursor *cur)
{
	struct text from = l->v2 ? l->start_after : l->marker;

	if (l->v2 && l->last_len > 0) {
		from.p = l->last;
		from.len = l->last_len;
	}
	if (from.len == 0 || from.len > SRV_KEY_MAX) {
		srv_cursor_seek(cur, l->prefix.p, l->prefix.len, false);
		return;
	}
	/* A group that was returned is not entered again. */
	if (l->delimiter.len > 0 && from.len > l->prefix.len && from.len >= l->delimiter.len &&
	    memcmp(from.p, l->prefix.p, l->prefix.len) == 0 &&
	    memcmp(from.p + from.len - l->delimiter.len, l->delimiter.p, l->delimiter.len) == 0)
		skip_group(cur, from.p, from.len);
	else
		srv_cursor_seek(cur, from.p, from.len, true);
}

static bool has_prefix(const struct listing *l, const struct srv_entry *e)
{
	return e->key_len >= l->prefix.len && memcmp(e->key, l->prefix.p, l->prefix.len) == 0;
}

static void collect(struct listing *l, struct srv_cursor *cur)
{
	const struct srv_entry *e;
	size_t group;

	seek_start(l, cur);
	e = srv_cursor_peek(cur);
	/* A marker before the prefix: its keys are still to come. */
	if (e != NULL && !has_prefix(l, e) && strncmp(e->key, l->prefix.p, l->prefix.len) < 0) {
		srv_cursor_seek(cur, l->prefix.p, l->prefix.len, false);
		e = srv_cursor_peek(cur);
	}
	for (; e != NULL && has_prefix(l, e); e = srv_cursor_peek(cur)) {
		if (l->nr == l->max_keys) {
			l->truncated = true;
			return;
		}
		l->nr++;
		group = group_len(l, e);
		srv_buf_reset(&l->next);
		srv_buf_add(&l->next, e->key, group > 0 ? group : e->key_len);
		l->next_is_group = group > 0;
		if (group > 0) {
			srv_buf_str(&l->groups, "  <CommonPrefixes><Prefix>");
			add_text(l, &l->groups, e->key, group);
			srv_buf_str(&l->groups, "</Prefix></CommonPrefixes>\n");
			skip_group(cur, l->next.p, l->next.len);
		} else {
			add_entry(l, e);
			srv_cursor_next(cur);
		}
	}
}

/* What opens the document, up to IsTruncated and the way on. */
static void write_front(struct listing *l, struct srv_buf *out)
{
	struct srv_buf token = { 0 };

	srv_buf_fmt(out,
		    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult%s>\n"
		    "  <Name>%s</Name>\n",
		    l->s3 ? " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"" : "",
		    l->c->req.bucket);
	element(l, out, "Prefix", l->prefix);
	if (l->v2 && l->start_after.len > 0)
		element(l, out, "StartAfter", l->start_after);
	if (l->v2 && l->token.len > 0) {
		if (l->s3)
			srv_buf_fmt(out, "  <ContinuationToken>%s</ContinuationToken>\n",
				    l->token.p);
		else
			element(l, out, "ContinuationToken", l->token);
	}
	if (!l->v2)
		element(l, out, "Marker", l->marker);
	if (l->s3 && l->v2)
		srv_buf_fmt(out, "  <KeyCount>%llu</KeyCount>\n", (unsigned long long)l->nr);
	srv_buf_fmt(out, "  <MaxKeys>%llu</MaxKeys>\n", (unsigned long long)l->max_keys);
	if (l->delimiter.len > 0)
		element(l, out, "Delimiter", l->delimiter);
	if (l->url)
		srv_buf_str(out, "  <EncodingType>url</EncodingType>\n");
	srv_buf_fmt(out, "  <IsTruncated>%s</IsTruncated>\n", l->truncated ? "true" : "false");
	if (!l->truncated)
		return;
	if (l->v2) {
		make_token(&token, l->next.p, l->next.len);
		if (l->s3) {
			srv_buf_fmt(out, "  <NextContinuationToken>%s</NextContinuationToken>\n",
				    token.p);
		} else {
			struct text t = { token.p, token.len };

			element(l, out, "NextContinuationToken", t);
		}
		srv_buf_free(&token);
	} else if (!l->s3 || l->delimiter.len > 0) {
		struct text t = { l->next.p, l->next.len };

		element(l, out, "NextMarker", t);
	}
}

/* False: the error reply is written. */
static bool read_params(struct listing *l)
{
	struct srv_conn *c = l->c;
	const char *type = srv_req_value(&c->req, "list-type");
	const char *encoding = srv_req_value(&c->req, "encoding-type");
	const char *max = srv_req_value(&c->req, "max-keys");
	const char *owner = srv_req_value(&c->req, "fetch-owner");

	l->s3 = c->req.dialect == SRV_S3;
	l->v2 = type != NULL && strcmp(type, "2") == 0;
	l->url = encoding != NULL && strcmp(encoding, "url") == 0;
	l->owner = !l->v2 || (owner != NULL && strcmp(owner, "true") == 0);
	l->prefix = param(l, "prefix");
	l->delimiter = param(l, "delimiter");
	l->marker = param(l, "marker");
	l->start_after = param(l, "start-after");
	l->token = param(l, "continuation-token");
	l->max_keys = l->s3 ? 1000 : 100;
	c->detail.argument_name = NULL;
	if (max != NULL && max[0] != '\0') {
		bool ok = srv_parse_u64(max, &l->max_keys);

		if (!ok || (!l->s3 && (l->max_keys < 1 || l->max_keys > 1000))) {
			c->detail.argument_name = "max-keys";
			c->detail.argument_value = max;
			srv_reply_error(c, SRV_E_MAX_KEYS);
			return false;
		}
		if (l->max_keys > 1000)
			l->max_keys = 1000;
	}
	if (l->prefix.len > SRV_KEY_MAX || l->delimiter.len > SRV_KEY_MAX ||
	    l->marker.len > SRV_KEY_MAX || l->start_after.len > SRV_KEY_MAX) {
		c->detail.argument_name = "prefix";
		srv_reply_error(c, SRV_E_INVALID_ARGUMENT);
		return false;
	}
	if (l->v2 && l->token.len > 0 && !read_token(l)) {
		c->detail.argument_name = "continuation-token";
		c->detail.argument_value = l->token.p;
		srv_reply_error(c, SRV_E_INVALID_ARGUMENT);
		return false;
	}
	return true;
}

void srv_op_list(struct srv_conn *c)
{
	struct listing l = { .c = c };
	struct srv_buf *out = &c->reply.text;
	struct srv_cursor *cur;

	if (!read_params(&l))
		return;
	cur = srv_cursor_open(c->store->index, c->req.bucket);
	if (cur == NULL) {
		srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
		return;
	}
	if (l.max_keys > 0)
		collect(&l, cur);
	srv_cursor_close(cur);
	write_front(&l, out);
	srv_buf_add(out, l.contents.p, l.contents.len);
	srv_buf_add(out, l.groups.p, l.groups.len);
	if (l.v2 && !l.s3)
		srv_buf_fmt(out, "  <KeyCount>%llu</KeyCount>\n", (unsigned long long)l.nr);
	srv_buf_str(out, "</ListBucketResult>\n");
	srv_reply_xml(c, 200);
	srv_buf_free(&l.contents);
	srv_buf_free(&l.groups);
	srv_buf_free(&l.next);
}
