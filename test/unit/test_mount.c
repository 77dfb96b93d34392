#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "common/chunktab.h"
#include "common/snapshot.h"
#include "common/strbuf.h"
#include "daemon/base/worker.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"

#define MIB	 (1u << 20)
#define SHIFT	 20
#define WAIT_MS	 20000
#define NR_FILES 6

/*
 * A store as small as can be, in a thread of its own: one bucket, no
 * signatures, one page of a listing.  What the tests change is atomic.
 */
struct stored {
	const char *key;
	size_t size;
	atomic_uint version;
	atomic_ulong bytes; /* that left */
};

struct store {
	pthread_t thread;
	struct event_base *base;
	struct evhttp *http;
	int stop_pipe[2];
	unsigned short port;
	struct stored files[NR_FILES];
	atomic_uint busy; /* so many GETs are answered with 503 */
	atomic_bool forbidden;
	atomic_uint nr_gets, nr_lists;
};

static unsigned char byte_at(unsigned file, unsigned version, size_t offset)
{
	return (unsigned char)(offset * 31 + (offset >> 11) + file * 7 + version * 101 + 1);
}

static void refuse(struct evhttp_request *req, int status, const char *code)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body, "<Error><Code>%s</Code><Message>no</Message></Error>", code);
	evhttp_send_reply(req, status, "No", body);
	evbuffer_free(body);
}

static void serve_list(struct store *s, struct evhttp_request *req, const char *query)
{
	struct evbuffer *body = evbuffer_new();
	struct evkeyvalq params;
	const char *prefix;
	int i;

	evhttp_parse_query_str(query, &params);
	prefix = evhttp_find_header(&params, "prefix");
	evbuffer_add_printf(body, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (i = 0; i < NR_FILES; i++) {
		const struct stored *f = &s->files[i];

		if (f->key == NULL || (prefix != NULL && strncmp(f->key, prefix, strlen(prefix))))
			continue;
		evbuffer_add_printf(body,
				    "<Contents><Key>%s</Key><LastModified>2026-01-02T03:04:05.000Z"
				    "</LastModified><ETag>\"V%u-%d\"</ETag><Type>Normal</Type>"
				    "<Size>%zu</Size><StorageClass>Standard</StorageClass>"
				    "</Contents>",
				    f->key, atomic_load(&f->version), i, f->size);
	}
	evbuffer_add_printf(body, "</ListBucketResult>");
	evhttp_clear_headers(&params);
	evhttp_send_reply(req, 200, "OK", body);
	evbuffer_free(body);
}

static void serve_range(struct stored *f, unsigned index, struct evhttp_request *req)
{
	struct evkeyvalq *in = evhttp_request_get_input_headers(req);
	struct evkeyvalq *out = evhttp_request_get_output_headers(req);
	const char *range = evhttp_find_header(in, "Range");
	const char *match = evhttp_find_header(in, "If-Match");
	unsigned version = atomic_load(&f->version);
	struct evbuffer *body;
	unsigned char *bytes;
	size_t first, last, i;
	char text[80];

	snprintf(text, sizeof(text), "\"V%u-%u\"", version, index);
	if (match == NULL || strcmp(match, text) != 0) {
		refuse(req, 412, "PreconditionFailed");
		return;
	}
	evhttp_add_header(out, "ETag", text);
	if (range == NULL || sscanf(range, "bytes=%zu-%zu", &first, &last) != 2 ||
	    last >= f->size || first > last) {
		refuse(req, 416, "InvalidRange");
		return;
	}
	snprintf(text, sizeof(text), "bytes %zu-%zu/%zu", first, last, f->size);
	evhttp_add_header(out, "Content-Range", text);
	bytes = malloc(last - first + 1);
	for (i = first; i <= last; i++)
		bytes[i - first] = byte_at(index, version, i);
	body = evbuffer_new();
	evbuffer_add(body, bytes, last - first + 1);
	free(bytes);
	atomic_fetch_add(&f->bytes, last - first + 1);
	evhttp_send_reply(req, 206, "Partial Content", body);
	evbuffer_free(body);
}

static void serve(struct evhttp_request *req, void *arg)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = evhttp_uri_get_path(uri), *query = evhttp_uri_get_query(uri);
	struct store *s = arg;
	unsigned i;

	if (strncmp(path, "/bucket/", 8) != 0 && strcmp(path, "/bucket") != 0) {
		refuse(req, 404, "NoSuchBucket");
		return;
	}
	if (atomic_load(&s->forbidden)) {
		refuse(req, 403, "AccessDenied");
		return;
	}
	if (strlen(path) <= 8) {
		atomic_fetch_add(&s->nr_lists, 1);
		serve_list(s, req, query != NULL ? query : "");
		return;
	}
	atomic_fetch_add(&s->nr_gets, 1);
	if (atomic_load(&s->busy) != 0) {
		atomic_fetch_sub(&s->busy, 1);
		refuse(req, 500, "InternalError");
		return;
	}
	for (i = 0; i < NR_FILES; i++) {
		if (s->files[i].key != NULL && strcmp(s->files[i].key, path + 8) == 0) {
			serve_range(&s->files[i], i, req);
			return;
		}
	}
	refuse(req, 404, "NoSuchKey");
}

static void store_on_stop(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(s->base);
}

static void *store_main(void *arg)
{
	struct store *s = arg;
	struct event *stop = event_new(s->base, s->stop_pipe[0], EV_READ, store_on_stop, s);

	event_add(stop, NULL);
	event_base_dispatch(s->base);
	event_free(stop);
	return NULL;
}

static void store_start(struct store *s)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	s->base = event_base_new();
	s->http = evhttp_new(s->base);
	bound = evhttp_bind_socket_with_handle(s->http, "127.0.0.1", 0);
	assert_non_null(bound);
	assert_int_equal(
		getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&addr, &len), 0);
	s->port = ntohs(addr.sin_port);
	evhttp_set_gencb(s->http, serve, s);
	assert_int_equal(pipe(s->stop_pipe), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, store_main, s), 0);
}

static void store_stop(struct store *s)
{
	assert_int_equal(write(s->stop_pipe[1], "x", 1), 1);
	pthread_join(s->thread, NULL);
	evhttp_free(s->http);
	event_base_free(s->base);
	close(s->stop_pipe[0]);
	close(s->stop_pipe[1]);
}

/* ---- fixture ------------------------------------------------------------------------- */

struct fixture {
	struct store store;
	struct worker *control;
	struct cache *cache;
	struct mounts *mounts;
	char endpoint[64];
	/* the last answer */
	bool answered;
	struct mount *mount;
	int error;
	char text[512];
};

static void set_files(struct fixture *f)
{
	static const struct {
		const char *key;
		size_t size;
	} files[] = {
		{ "models/config.json", 700 },		{ "models/model-1.bin", 5 * MIB + 123 },
		{ "models/model-2.bin", 3 * MIB },	{ "models/sub/empty", 0 },
		{ "models/sub/last.bin", 2 * MIB + 1 }, { "other/key", 10 },
	};
	int i;

	for (i = 0; i < NR_FILES; i++) {
		f->store.files[i].key = files[i].key;
		f->store.files[i].size = files[i].size;
	}
}

static struct mounts_conf conf_of(unsigned expire_ms)
{
	return (struct mounts_conf){
		.ranges_per_worker = 4,
		.nr_workers = 2,
		.list_concurrency = 1,
		.expire_ms = expire_ms,
		.connect_timeout_ms = 5000,
		.idle_timeout_ms = 5000,
		.retry_budget_ms = 15000,
		.path_style = "path",
	};
}

static struct fixture *start(uint64_t cache_bytes, unsigned expire_ms)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct mounts_conf conf = conf_of(expire_ms);
	struct cache_conf cache = {
		.size = cache_bytes,
		.chunk_shift = SHIFT,
		.max_objects = 64,
		.expire_ms = 60000,
		.verify = VERIFY_OFF,
	};

	assert_non_null(f);
	set_files(f);
	store_start(&f->store);
	snprintf(f->endpoint, sizeof(f->endpoint), "http://127.0.0.1:%u", f->store.port);
	assert_int_equal(worker_new("control", &f->control), 0);
	assert_int_equal(cache_new(&cache, &f->cache), 0);
	assert_int_equal(mounts_new(f->control, f->cache, &conf, &f->mounts), 0);
	return f;
}

static void finish(struct fixture *f)
{
	mounts_free(f->mounts);
	cache_free(f->cache);
	worker_free(f->control);
	store_stop(&f->store);
	free(f);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_poll(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* Run the control loop until the condition holds; the workers do not tell the test themselves. */
static void run_until(struct fixture *f, bool (*is_so)(struct fixture *f, void *arg), void *arg)
{
	const struct timeval often = { .tv_usec = 2000 };
	struct event *poll = event_new(worker_base(f->control), -1, EV_PERSIST, on_poll, NULL);
	uint64_t deadline = now_ms() + WAIT_MS;

	event_add(poll, &often);
	while (!is_so(f, arg)) {
		if (now_ms() > deadline)
			fail_msg("it never came");
		event_base_loop(worker_base(f->control), EVLOOP_ONCE);
		cache_tick(f->cache, now_ms());
	}
	event_free(poll);
}

static void on_attached(struct mount *m, int error, const char *text, void *arg)
{
	struct fixture *f = arg;

	assert_false(f->answered);
	f->answered = true;
	f->mount = m;
	f->error = error;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static bool is_answered(struct fixture *f, void *arg)
{
	(void)arg;
	return f->answered;
}

static struct mount_spec spec_of(const struct fixture *f)
{
	return (struct mount_spec){
		.uid = geteuid(),
		.oss_path = "oss://bucket/models/",
		.model_dir = "/models",
		.endpoint = f->endpoint,
		.region = "cn-test",
	};
}

static struct mount *attach(struct fixture *f, const struct mount_spec *spec)
{
	struct mount_attach *a;

	f->answered = false;
	assert_int_equal(mount_attach(f->mounts, spec, on_attached, f, &a), 0);
	assert_false(f->answered);
	run_until(f, is_answered, NULL);
	return f->mount;
}

static struct mount_file open_file(struct mount *m, const char *path)
{
	struct mount_file file = { 0 };
	char text[512] = "";
	int r = mount_open(m, path, strlen(path), &file, text, sizeof(text));

	if (r != 0)
		fail_msg("%s: %d %s", path, r, text);
	return file;
}

static void close_file(struct mount_file *file)
{
	object_unuse(file->object);
	object_unref(file->object);
}

struct at {
	struct object *object;
	uint32_t chunk;
	enum chunk_state state;
};

static bool is_in_state(struct fixture *f, void *arg)
{
	const struct at *at = arg;

	(void)f;
	return chunk_get_state(at->object, at->chunk) == at->state;
}

static uint32_t len_of(const struct object *o, uint32_t chunk)
{
	uint64_t rest = object_size(o) - ((uint64_t)chunk << SHIFT);

	return rest < 1u << SHIFT ? (uint32_t)rest : 1u << SHIFT;
}

/* As a client: ask, wait, compare, touch. */
static void read_chunk(struct fixture *f, struct object *o, uint32_t chunk, unsigned file,
		       unsigned version)
{
	struct at at = { o, chunk, CHUNK_READY };
	size_t offset = (size_t)chunk << SHIFT, len = len_of(o, chunk), i;
	const unsigned char *bytes;

	if (chunk_get_state(o, chunk) != CHUNK_READY)
		mount_want(o, chunk, (uint32_t)len, false);
	run_until(f, is_in_state, &at);
	bytes = mmap(NULL, len, PROT_READ, MAP_SHARED, object_client_fd(o), (off_t)offset);
	assert_true(bytes != MAP_FAILED);
	for (i = 0; i < len; i++)
		if (bytes[i] != byte_at(file, version, offset + i))
			fail_msg("file %u is wrong at %zu", file, offset + i);
	munmap((void *)bytes, len);
	mount_touch(o, chunk);
}

static void read_file(struct fixture *f, struct mount *m, const char *path, unsigned file)
{
	struct mount_file mf = open_file(m, path);
	uint32_t i;

	for (i = 0; i < object_nr_chunks(mf.object); i++)
		read_chunk(f, mf.object, i, file, 0);
	close_file(&mf);
}

/* ---- tests --------------------------------------------------------------------------- */

static void test_a_mounted_prefix_shows_its_files_and_gives_their_bytes_once(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount_file file;
	struct snapshot s;
	struct mount *m;
	char text[256];
	void *mem;

	(void)state;
	m = attach(f, &spec);
	assert_non_null(m);
	assert_string_equal(mount_oss_path(m), "oss://bucket/models/");
	mem = mmap(NULL, mount_snapshot_len(m), PROT_READ, MAP_SHARED, mount_snapshot_fd(m), 0);
	assert_true(mem != MAP_FAILED);
	assert_int_equal(snapshot_init(&s, mem, mount_snapshot_len(m)), 0);
	assert_int_equal(s.header->nr_files, 5);
	assert_int_equal(s.header->serial, mount_snapshot_serial(m));
	munmap(mem, mount_snapshot_len(m));

	assert_int_equal(mount_open(m, "none", 4, &file, text, sizeof(text)), -ENOENT);
	assert_non_null(strstr(text, "none"));
	assert_int_equal(mount_open(m, "sub", 3, &file, text, sizeof(text)), -EISDIR);
	assert_int_equal(mount_open(m, "sub/empty", 9, &file, text, sizeof(text)), 0);
	assert_null(file.object);
	assert_int_equal(file.size, 0);
	file = open_file(m, "config.json");
	assert_string_equal(file.etag, "V0-0");
	assert_int_equal(file.size, 700);
	close_file(&file);

	read_file(f, m, "model-1.bin", 1);
	read_file(f, m, "model-1.bin", 1);
	assert_int_equal(atomic_load(&f->store.files[1].bytes), 5 * MIB + 123);
	/* Nobody asked for the others. */
	assert_int_equal(atomic_load(&f->store.files[2].bytes), 0);
	mount_release(m);
	assert_true(mounts_is_idle(f->mounts));
	finish(f);
}

static void test_who_brings_the_same_shares_the_mount_and_others_do_not(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount *first, *second;

	(void)state;
	spec.secondary = true;
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -ENOENT);
	assert_non_null(strstr(f->text, "primary"));

	spec.secondary = false;
	first = attach(f, &spec);
	spec.oss_path = "oss://bucket/models";
	spec.secondary = true;
	second = attach(f, &spec);
	assert_ptr_equal(first, second);
	assert_int_equal(atomic_load(&f->store.nr_lists), 1);
	mount_release(second);

	spec.uid = geteuid() + 1;
	assert_null(attach(f, &spec));
	spec.uid = geteuid();
	spec.access_key = "LTAIexample";
	spec.secret = "secret-of-the-test";
	assert_null(attach(f, &spec));
	spec.secondary = false;
	second = attach(f, &spec);
	assert_non_null(second);
	assert_ptr_not_equal(first, second);
	/* Knowing the key's name is not enough. */
	spec.secondary = true;
	spec.secret = "another-secret";
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -ENOENT);
	mount_release(first);
	mount_release(second);
	finish(f);
}

static void test_a_listing_that_fails_says_why_and_leaves_no_mount(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);

	(void)state;
	spec.oss_path = "oss://nobucket/models/";
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -ENOENT);
	assert_non_null(strstr(f->text, "\"nobucket\" does not exist"));

	spec.oss_path = "oss://bucket/nothing/";
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -ENOENT);
	assert_non_null(strstr(f->text, "nothing/"));

	spec.oss_path = "http://bucket/models/";
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -EINVAL);
	assert_true(strlen(f->text) > 10);

	spec = spec_of(f);
	atomic_store(&f->store.forbidden, true);
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -EACCES);

	spec.sources = "192.0.2.77";
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -EADDRNOTAVAIL);
	assert_non_null(strstr(f->text, "HTTP_SOURCE_IP"));
	spec.sources = "one,two";
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -EINVAL);
	assert_non_null(strstr(f->text, "HTTP_SOURCE_IP"));
	assert_true(mounts_is_idle(f->mounts));
	finish(f);
}

static void test_an_attach_that_is_cancelled_is_never_answered(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount_attach *a;
	struct mount *m;

	(void)state;
	assert_int_equal(mount_attach(f->mounts, &spec, on_attached, f, &a), 0);
	mount_attach_cancel(a);
	assert_true(mounts_is_idle(f->mounts));
	/* The next one is answered once. */
	m = attach(f, &spec);
	assert_non_null(m);
	assert_int_equal(mount_attach(f->mounts, &spec, on_attached, f, &a), 0);
	mount_attach_cancel(a);
	mount_release(m);
	finish(f);
}

static void test_a_store_that_fails_now_and_then_still_gives_right_bytes(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount *m = attach(f, &spec);
	struct strbuf out;

	(void)state;
	atomic_store(&f->store.busy, 5);
	read_file(f, m, "model-2.bin", 2);
	assert_int_equal(atomic_load(&f->store.busy), 0);
	strbuf_init(&out, 65536);
	mounts_report(f->mounts, 0, &out);
	assert_non_null(strstr(strbuf_str(&out), "\"retries\":5"));
	strbuf_fini(&out);
	mount_release(m);
	finish(f);
}

static bool is_newer(struct fixture *f, void *arg)
{
	return mount_snapshot_serial(f->mount) > *(uint64_t *)arg;
}

static void
test_a_replaced_object_fails_its_readers_and_the_next_open_sees_the_new_one(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount *m = attach(f, &spec);
	uint64_t serial = mount_snapshot_serial(m);
	struct mount_file old, fresh;
	struct at at;

	(void)state;
	old = open_file(m, "model-1.bin");
	mount_advise(old.object, 0, 1, 3 /* random: nothing is read ahead */);
	read_chunk(f, old.object, 0, 1, 0);
	atomic_store(&f->store.files[1].version, 1);
	at = (struct at){ old.object, 4, CHUNK_FAILED };
	mount_want(old.object, 4, 4096, false);
	run_until(f, is_in_state, &at);
	assert_int_equal(object_error(old.object), -ESTALE);
	/* What had arrived is still the old version's. */
	read_chunk(f, old.object, 0, 1, 0);

	run_until(f, is_newer, &serial);
	fresh = open_file(m, "model-1.bin");
	assert_ptr_not_equal(fresh.object, old.object);
	assert_string_equal(fresh.etag, "V1-1");
	read_chunk(f, fresh.object, 4, 1, 1);
	close_file(&old);
	close_file(&fresh);
	mount_release(m);
	finish(f);
}

static bool is_all_there(struct fixture *f, void *arg)
{
	static const int whole[] = { 0, 1, 2, 4 };
	struct strbuf out;
	bool done;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (atomic_load(&f->store.files[whole[i]].bytes) < f->store.files[whole[i]].size)
			return false;
	strbuf_init(&out, 65536);
	mounts_report(f->mounts, 0, &out);
	done = strstr(strbuf_str(&out), "\"prefetch\":\"done\"") != NULL;
	strbuf_fini(&out);
	return done;
}

static void test_a_model_that_fits_is_downloaded_at_attach_and_each_byte_once(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount *m;
	unsigned gets;

	(void)state;
	spec.prefetch = true;
	m = attach(f, &spec);
	run_until(f, is_all_there, NULL);
	gets = atomic_load(&f->store.nr_gets);
	assert_int_equal(gets, 1 + 6 + 3 + 3);
	read_file(f, m, "model-1.bin", 1);
	read_file(f, m, "model-2.bin", 2);
	read_file(f, m, "sub/last.bin", 4);
	assert_int_equal(atomic_load(&f->store.nr_gets), gets);
	mount_release(m);
	finish(f);
}

static void test_a_model_larger_than_the_cache_streams_each_byte_once(void **state)
{
	struct fixture *f = start(4 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount *m;

	(void)state;
	spec.prefetch = true;
	m = attach(f, &spec);
	assert_non_null(m);
	read_file(f, m, "config.json", 0);
	read_file(f, m, "model-1.bin", 1);
	read_file(f, m, "model-2.bin", 2);
	read_file(f, m, "sub/last.bin", 4);
	assert_int_equal(atomic_load(&f->store.files[0].bytes), 700);
	assert_int_equal(atomic_load(&f->store.files[1].bytes), 5 * MIB + 123);
	assert_int_equal(atomic_load(&f->store.files[2].bytes), 3 * MIB);
	assert_int_equal(atomic_load(&f->store.files[4].bytes), 2 * MIB + 1);
	assert_true(cache_used(f->cache) <= 4 * MIB);
	mount_release(m);
	finish(f);
}

static bool has_no_mount(struct fixture *f, void *arg)
{
	struct strbuf out;
	bool none;

	(void)arg;
	strbuf_init(&out, 65536);
	mounts_report(f->mounts, 0, &out);
	none = strstr(strbuf_str(&out), "\"mounts\":[]") != NULL;
	strbuf_fini(&out);
	return none;
}

static void test_a_mount_without_users_goes_and_a_kept_one_stays(void **state)
{
	struct fixture *f = start(64 * MIB, 0);
	struct mount_spec spec = spec_of(f);
	struct mount *m;

	(void)state;
	spec.keep = true;
	m = attach(f, &spec);
	mount_release(m);
	assert_false(mounts_is_idle(f->mounts));
	spec.secondary = true;
	spec.keep = false;
	assert_ptr_equal(attach(f, &spec), m);
	mount_unkeep(m);
	mount_release(m);
	assert_true(mounts_is_idle(f->mounts));
	run_until(f, has_no_mount, NULL);
	assert_null(attach(f, &spec));
	assert_int_equal(f->error, -ENOENT);
	finish(f);
}

static void test_a_refresh_sees_what_is_new_and_only_then_raises_the_serial(void **state)
{
	struct fixture *f = start(64 * MIB, 60000);
	struct mount_spec spec = spec_of(f);
	struct mount *m = attach(f, &spec);
	uint64_t serial = mount_snapshot_serial(m);
	struct mount_file old, fresh;
	struct mount_attach *a;

	(void)state;
	f->answered = false;
	assert_int_equal(mount_refresh(m, on_attached, f, &a), 0);
	run_until(f, is_answered, NULL);
	assert_ptr_equal(f->mount, m);
	assert_int_equal(mount_snapshot_serial(m), serial);
	mount_release(m);

	old = open_file(m, "model-2.bin");
	read_chunk(f, old.object, 0, 2, 0);
	atomic_store(&f->store.files[2].version, 9);
	f->answered = false;
	assert_int_equal(mount_refresh(m, on_attached, f, &a), 0);
	run_until(f, is_answered, NULL);
	assert_true(mount_snapshot_serial(m) > serial);
	mount_release(m);
	/* Versions do not mix, also where the old one is still open and whole. */
	fresh = open_file(m, "model-2.bin");
	assert_ptr_not_equal(fresh.object, old.object);
	read_chunk(f, fresh.object, 0, 2, 9);
	close_file(&old);
	close_file(&fresh);
	mount_release(m);
	finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_mounted_prefix_shows_its_files_and_gives_their_bytes_once),
		cmocka_unit_test(test_who_brings_the_same_shares_the_mount_and_others_do_not),
		cmocka_unit_test(test_a_listing_that_fails_says_why_and_leaves_no_mount),
		cmocka_unit_test(test_an_attach_that_is_cancelled_is_never_answered),
		cmocka_unit_test(test_a_store_that_fails_now_and_then_still_gives_right_bytes),
		cmocka_unit_test(
			test_a_replaced_object_fails_its_readers_and_the_next_open_sees_the_new_one),
		cmocka_unit_test(test_a_model_that_fits_is_downloaded_at_attach_and_each_byte_once),
		cmocka_unit_test(test_a_model_larger_than_the_cache_streams_each_byte_once),
		cmocka_unit_test(test_a_mount_without_users_goes_and_a_kept_one_stays),
		cmocka_unit_test(test_a_refresh_sees_what_is_new_and_only_then_raises_the_serial),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
