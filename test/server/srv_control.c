/* The control URL: what tests ask for and set, in JSON.  One row of the table below a command. */
#include "test/server/srv_op.h"

#include "test/server/srv_hash.h"
#include "test/server/srv_reply.h"
#include "test/server/srv_synth.h"
#include "test/server/srv_text.h"
#include "test/server/srv_tree.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *set_fault(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;

	return srv_faults_add(c->store->faults, o);
}

static const char *set_limits(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;

	struct srv_limits_wish wish = {
		.first_byte_ms = srv_json_int(o, "first_byte_ms", -1),
		.per_connection_bps = srv_json_int(o, "per_connection_bps", -1),
		.total_bps = srv_json_int(o, "total_bps", -1),
		.qps = srv_json_int(o, "qps", -1),
	};

	srv_limits_set(&c->store->limits, &wish);
	return NULL;
}

static const char *set_clock(const struct srv_json *o, void *arg)
{
	const struct srv_json_member *at = srv_json_find(o, "at");

	(void)arg;
	if (at != NULL && at->kind == SRV_JSON_NUMBER) {
		srv_clock_set_offset(0);
		srv_clock_set_offset(srv_json_int(o, "at", 0) - srv_clock_now());
		return NULL;
	}
	if (srv_json_find(o, "offset_s") == NULL)
		return "clock needs \"offset_s\", or \"at\" as unix seconds";
	srv_clock_set_offset(srv_json_int(o, "offset_s", 0));
	return NULL;
}

static const char *set_key(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;
	const char *ak = srv_json_str(o, "ak", "");

	if (srv_json_bool(o, "remove", false)) {
		srv_creds_remove(c->store->creds, ak);
		return NULL;
	}
	if (!srv_creds_set(c->store->creds, ak, srv_json_str(o, "sk", ""),
			   srv_json_str(o, "token", ""), srv_json_int(o, "expires", 0)))
		return "a key needs \"ak\" and \"sk\"";
	return NULL;
}

static const char *add_tree(struct srv_store *s, const char *bucket, const struct srv_json *o)
{
	struct srv_tree t = { .prefix = srv_strndup("", 0) };
	const char *prefix = srv_json_str(o, "prefix", "");
	int r;

	free(t.prefix);
	t.prefix = srv_strndup(prefix, strlen(prefix));
	t.keys = (uint64_t)srv_json_int(o, "keys", 0);
	t.dirs = (uint64_t)srv_json_int(o, "dirs", 1);
	t.size = (uint64_t)srv_json_int(o, "size", 1024);
	t.size_max = (uint64_t)srv_json_int(o, "size_max", (int64_t)t.size);
	t.seed = (uint64_t)srv_json_int(o, "seed", 1);
	r = srv_index_add_tree(s->index, bucket, &t);
	free(t.prefix);
	return r == 0 ? NULL
		      : "a tree needs keys >= dirs >= 1, size <= size_max, and there are "
			"at most 8 in a bucket";
}

static void copy_str(const struct srv_json *o, const char *name, char *out, size_t cap)
{
	const char *v = srv_json_str(o, name, NULL);

	if (v != NULL)
		snprintf(out, cap, "%s", v);
}

/* Metadata that a test may choose. */
static const char *set_meta(const struct srv_json *o, struct srv_object *obj)
{
	copy_str(o, "etag", obj->etag, sizeof(obj->etag));
	copy_str(o, "type", obj->type, sizeof(obj->type));
	copy_str(o, "storage_class", obj->storage_class, sizeof(obj->storage_class));
	copy_str(o, "restore", obj->restore, sizeof(obj->restore));
	copy_str(o, "content_type", obj->content_type, sizeof(obj->content_type));
	obj->mtime = srv_json_int(o, "last_modified", obj->mtime);
	if (!srv_json_bool(o, "crc", true))
		atomic_store(&obj->crc_state, SRV_CRC_NONE);
	if (strpbrk(obj->etag, "\r\n<>&\"") != NULL || strpbrk(obj->restore, "\r\n<>&") != NULL)
		return "that cannot stand in a header";
	return NULL;
}

static const char *add_synth(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;
	struct srv_store *s = c->store;
	const char *bucket = srv_json_str(o, "bucket", "");
	const struct srv_json_member *key = srv_json_find(o, "key");
	int64_t size = srv_json_int(o, "size", 0);
	struct srv_object *obj;
	const char *wrong;

	if (bucket[0] == '\0' || strlen(bucket) > 63 || strchr(bucket, '/') != NULL)
		return "synth needs \"bucket\"";
	srv_synth_start();
	if (srv_json_find(o, "keys") != NULL)
		return add_tree(s, bucket, o);
	if (key == NULL || key->kind != SRV_JSON_STRING || key->len < 1 || key->len > SRV_KEY_MAX)
		return "synth needs \"key\" (or \"keys\" for a tree)";
	if (size < 0 || (uint64_t)size > SRV_SYNTH_MAX)
		return "\"size\" must be 0 to 5 TiB";
	obj = srv_object_new(key->text, key->len);
	srv_object_set_synth(obj, (uint64_t)size, (uint64_t)srv_json_int(o, "seed", 1),
			     (uint32_t)srv_json_int(o, "version", 0));
	obj->mtime = srv_clock_now();
	wrong = set_meta(o, obj);
	if (wrong != NULL) {
		srv_object_unref(obj);
		return wrong;
	}
	srv_hasher_add(s->hasher, obj, false);
	srv_index_put(s->index, bucket, obj);
	return NULL;
}

static struct srv_object *named_object(struct srv_conn *c, const struct srv_json *o)
{
	const struct srv_json_member *key = srv_json_find(o, "key");

	if (key == NULL || key->kind != SRV_JSON_STRING)
		return NULL;
	return srv_index_get(c->store->index, srv_json_str(o, "bucket", ""), key->text, key->len);
}

/* Other bytes of the same length, in a new file. */
static const char *rewrite_file(struct srv_conn *c, const char *bucket, struct srv_object *old)
{
	char *temp = srv_index_temp(c->store->index);
	struct srv_object *n = srv_object_new(old->key, old->key_len);
	int in = open(old->path, O_RDONLY | O_CLOEXEC);
	int out = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	char *buf = srv_alloc(1u << 20);
	ssize_t got = -1, i;
	bool ok = in != -1 && out != -1;

	while (ok && (got = read(in, buf, 1u << 20)) > 0) {
		for (i = 0; i < got; i++)
			buf[i] = (char)(buf[i] ^ 0x5a);
		ok = write(out, buf, (size_t)got) == got;
	}
	ok = ok && got == 0;
	free(buf);
	if (in != -1)
		close(in);
	if (out != -1)
		close(out);
	if (ok)
		ok = srv_index_place(c->store->index, bucket, n, temp) == 0;
	if (!ok) {
		unlink(temp);
		srv_object_unref(n);
	} else {
		/* No digest is at hand, so the tag follows from the file. */
		snprintf(n->etag, sizeof(n->etag), "%016llX%016llX",
			 (unsigned long long)synth_mix((uint64_t)n->ino ^ (uint64_t)n->mtime_ns),
			 (unsigned long long)synth_mix(n->size ^ (uint64_t)n->mtime_ns));
		srv_index_put(c->store->index, bucket, n);
	}
	free(temp);
	return ok ? NULL : "the file could not be written anew";
}

static const char *replace(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;
	const char *bucket = srv_json_str(o, "bucket", "");
	struct srv_object *old = named_object(c, o), *n;
	const char *wrong;

	if (old == NULL)
		return "replace: there is no such object";
	if (old->path != NULL) {
		wrong = rewrite_file(c, bucket, old);
	} else {
		n = srv_object_copy(old);
		srv_object_set_synth(n, (uint64_t)srv_json_int(o, "size", (int64_t)old->size),
				     old->seed, old->version + 1);
		n->mtime = srv_clock_now();
		wrong = set_meta(o, n);
		srv_hasher_add(c->store->hasher, n, false);
		srv_index_put(c->store->index, bucket, n);
	}
	srv_object_unref(old);
	return wrong;
}

/* Other metadata for an object that is there. */
static const char *set_object(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;
	struct srv_object *old = named_object(c, o), *n;
	const char *wrong;

	if (old == NULL)
		return "object: there is no such object";
	n = srv_object_copy(old);
	wrong = set_meta(o, n);
	if (wrong == NULL) {
		n->owns_path = old->owns_path;
		old->owns_path = false;
		srv_index_put(c->store->index, srv_json_str(o, "bucket", ""), n);
	} else {
		srv_object_unref(n);
	}
	srv_object_unref(old);
	return wrong;
}

static const char *set_bucket(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;
	const char *bucket = srv_json_str(o, "bucket", "");
	const char *endpoint = srv_json_str(o, "endpoint", NULL);

	if (bucket[0] == '\0' || strchr(bucket, '/') != NULL || bucket[0] == '.' ||
	    srv_index_make_bucket(c->store->index, bucket) != 0)
		return "bucket needs a \"bucket\" that can be a folder";
	if (endpoint != NULL)
		srv_index_set_endpoint(c->store->index, bucket, endpoint);
	if (srv_json_bool(o, "anonymous", false))
		srv_index_set_anonymous(c->store->index, bucket);
	return NULL;
}

static const char *clear(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;

	(void)o;
	srv_faults_clear(c->store->faults);
	return NULL;
}

static const char *reset(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;

	(void)o;
	srv_counts_reset(&c->store->counts);
	return NULL;
}

static const char *rescan(const struct srv_json *o, void *arg)
{
	struct srv_conn *c = arg;

	(void)o;
	srv_index_scan(c->store->index);
	srv_hasher_add_all(c->store->hasher);
	return NULL;
}

static void show_counters(struct srv_conn *c)
{
	const struct srv_param *key = srv_req_param(&c->req, "key");
	struct srv_buf *out = &c->reply.text;

	srv_buf_char(out, '{');
	if (key != NULL) {
		srv_counts_key_json(&c->store->counts, out, key->value, key->len);
	} else {
		srv_counts_json(&c->store->counts, out,
				srv_req_param(&c->req, "connections") != NULL);
		srv_buf_fmt(out, ",\"crc_pending\":%llu",
			    (unsigned long long)srv_hasher_pending(c->store->hasher));
	}
	srv_buf_str(out, "}\n");
}

static const struct {
	const char *path;
	srv_json_each *run;
} commands[] = {
	{ "/.ctl/fault", set_fault },	{ "/.ctl/clear", clear },
	{ "/.ctl/limits", set_limits }, { "/.ctl/clock", set_clock },
	{ "/.ctl/keys", set_key },	{ "/.ctl/synth", add_synth },
	{ "/.ctl/replace", replace },	{ "/.ctl/object", set_object },
	{ "/.ctl/bucket", set_bucket }, { "/.ctl/rescan", rescan },
	{ "/.ctl/reset", reset },
};

static const char *run_command(struct srv_conn *c)
{
	static char empty[] = "{}";
	struct srv_buf *body = &c->intake.memory;
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(c->req.path, commands[i].path) != 0)
			continue;
		if (memchr(body->p != NULL ? body->p : "", '\0', body->len) != NULL)
			return "a NUL in the document";
		return srv_json_read(body->len > 0 ? body->p : empty, commands[i].run, c);
	}
	return "no such command";
}

static void answer(struct srv_conn *c, const char *wrong)
{
	struct srv_buf *out = &c->reply.text;

	if (wrong != NULL) {
		srv_buf_reset(out);
		srv_buf_str(out, "{\"error\":");
		srv_buf_json(out, wrong, strlen(wrong));
		srv_buf_str(out, "}\n");
	} else if (out->len == 0) {
		srv_buf_str(out, "{}\n");
	}
	c->reply.status = wrong == NULL ? 200 : 400;
	c->reply.length = out->len;
	srv_reply_field(c, "Content-Type", "application/json");
}

void srv_op_control_put(struct srv_conn *c)
{
	const char *bucket = srv_req_value(&c->req, "bucket");
	const struct srv_param *key = srv_req_param(&c->req, "key");
	const char *wrong = NULL;
	struct srv_object *o;

	if (strcmp(c->req.path, "/.ctl/put") != 0 || c->intake.broken)
		wrong = "no such command";
	else if (bucket == NULL || strlen(bucket) > 63 || bucket[0] == '\0' || bucket[0] == '.' ||
		 strchr(bucket, '/') != NULL || key == NULL || key->len == 0 ||
		 key->len > SRV_KEY_MAX || memchr(key->value, '\0', key->len) != NULL)
		wrong = "put needs a bucket and a key of 1 to 1023 bytes";
	else if (srv_index_make_bucket(c->store->index, bucket) != 0)
		wrong = "the bucket cannot be made";
	if (wrong == NULL) {
		o = srv_op_store(c, bucket, srv_object_new(key->value, key->len));
		if (o == NULL)
			wrong = "the object cannot be kept";
		else
			srv_buf_fmt(&c->reply.text, "{\"etag\":\"%s\"}\n", o->etag);
		srv_object_unref(o);
	}
	answer(c, wrong);
}

void srv_op_control(struct srv_conn *c)
{
	const char *wrong = NULL;

	if (c->intake.too_large || c->intake.broken)
		wrong = "the document is too large or broken";
	else if (c->req.method == SRV_GET && strcmp(c->req.path, "/.ctl/counters") == 0)
		show_counters(c);
	else if (c->req.method == SRV_POST)
		wrong = run_command(c);
	else
		wrong = "no such command";
	answer(c, wrong);
}
