#include "libclient/core/view.h"
#include "libclient/core/arena.h"
#include "libclient/core/epoch.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/viewstate.h"

#define POLL_MS	     100u /* a secondary looks again for the primary's mount */
#define NR_TRIES     3u
#define TABLE_MAX    (1ull << 32)
#define SNAPSHOT_MAX (1ull << 40)
#define REFRESH_MS   120000u
#define MOVE_MS	     2000u /* a newer snapshot, in the middle of a look-up */
#define PATH_LEN     1088u /* a key has at most 1023 bytes */
#define FIND_ROUNDS  2000u

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif

static int pack_request(struct view *v, const struct view_conf *conf)
{
	const char *const texts[WIRE_MOUNT_NR_STRINGS] = {
		[WIRE_MOUNT_OSS_PATH] = conf->oss_path,
		[WIRE_MOUNT_MODEL_DIR] = conf->model_dir,
		[WIRE_MOUNT_ENDPOINT] = conf->endpoint,
		[WIRE_MOUNT_REGION] = conf->region,
		[WIRE_MOUNT_ACCESS_KEY] = conf->access_key,
		[WIRE_MOUNT_SECRET] = conf->secret,
		[WIRE_MOUNT_TOKEN] = conf->token,
		[WIRE_MOUNT_SOURCES] = conf->sources,
	};
	struct wire_str strings[WIRE_MOUNT_NR_STRINGS];
	unsigned i;
	int len;

	for (i = 0; i < WIRE_MOUNT_NR_STRINGS; i++) {
		size_t n = mem_len(texts[i]);

		if (n > UINT16_MAX)
			return -E2BIG;
		strings[i] = (struct wire_str){ .s = texts[i], .len = (uint16_t)n };
	}
	len = wire_pack(v->request, WIRE_MAX, offsetof(struct wire_mount, strings), v->request->len,
			strings, WIRE_MOUNT_NR_STRINGS);
	if (len < 0)
		return -E2BIG;
	v->request->head = wire_head(WIRE_MOUNT, 0, (uint32_t)len);
	v->request->flags = conf->flags;
	return 0;
}

int view_new(struct link *l, const struct view_conf *conf, struct view **ret_view)
{
	struct view *v = arena_alloc(sizeof(*v));
	void *mem;
	int r;

	if (v == NULL)
		return -ENOMEM;
	mem = sys_mmap(NULL, WIRE_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(mem)) {
		arena_free(v);
		return -ENOMEM;
	}
	sys_madvise(mem, WIRE_MAX, MADV_DONTDUMP);
	v->link = l;
	v->request = mem;
	v->flags = conf->flags;
	v->wait_ms = conf->wait_ms != 0 ? conf->wait_ms : VIEW_ATTACH_MS;
	r = pack_request(v, conf);
	if (r != 0) {
		sys_munmap(mem, WIRE_MAX);
		arena_free(v);
		return r;
	}
	*ret_view = v;
	return 0;
}

static void free_snap(struct snap *s)
{
	sys_munmap(s->mem, s->len);
	arena_free(s);
}

void view_free(struct view *v)
{
	struct table_map *t;
	struct snap *s;

	if (v == NULL)
		return;
	if (v->has_started)
		link_forget(v->link, &v->started);
	file_forget_idle(v);
	while ((t = v->table) != NULL) {
		v->table = t->next;
		sys_munmap((void *)(uintptr_t)t->table, t->len);
		arena_free(t);
	}
	while ((s = v->retired) != NULL) {
		v->retired = s->next;
		free_snap(s);
	}
	if (v->snap != NULL)
		free_snap(v->snap);
	mem_zero(v->request, WIRE_MAX);
	sys_munmap(v->request, WIRE_MAX);
	arena_free(v);
}

struct link *view_link(const struct view *v)
{
	return v->link;
}

uint32_t view_serial(const struct view *v)
{
	/* Acquire pairs with the release in install(). */
	uint64_t attached = __atomic_load_n(&v->attached, __ATOMIC_ACQUIRE);

	if (attached == 0 || (uint32_t)(attached >> 32) != epoch_now() ||
	    link_serial(v->link) != (uint32_t)attached)
		return 0;
	return (uint32_t)attached;
}

/* ---- memory that the daemon shares --------------------------------------------------- */

/* Map a descriptor's whole `len`, if it is there: a shorter file would mean SIGBUS. */
static int map_shared(int fd, uint64_t len, void **ret_mem)
{
	struct stat st;
	void *mem;

	if (sys_fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size < len)
		return -EPROTO;
	mem = sys_mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
	if (sys_is_error(mem))
		return (int)(long)mem;
	*ret_mem = mem;
	return 0;
}

static int map_table(const struct wire_mount_answer *a, int fd, struct table_map **ret)
{
	const struct chunktab *table;
	struct table_map *t;
	void *mem;
	int r;

	if (a->table_len <= offsetof(struct chunktab, words) || a->table_len > TABLE_MAX ||
	    a->chunk_shift < CHUNK_SHIFT_MIN || a->chunk_shift > CHUNK_SHIFT_MAX)
		return -EPROTO;
	t = arena_alloc(sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	r = map_shared(fd, a->table_len, &mem);
	table = mem;
	if (r == 0 && (table->magic != CHUNKTAB_MAGIC || table->version != CHUNKTAB_VERSION ||
		       table->chunk_shift != a->chunk_shift)) {
		sys_munmap(mem, a->table_len);
		r = -EPROTO;
	}
	if (r != 0) {
		arena_free(t);
		return r;
	}
	t->table = table;
	t->len = a->table_len;
	t->nr_words = (a->table_len - offsetof(struct chunktab, words)) / sizeof(uint64_t);
	*ret = t;
	return 0;
}

static int map_snap(struct view *v, const struct wire_mount_answer *a, int fd, struct snap **ret)
{
	struct snap *s;
	int r;

	if (a->snapshot_len == 0 || a->snapshot_len > SNAPSHOT_MAX)
		return -EPROTO;
	s = arena_alloc(sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->view = v;
	s->len = a->snapshot_len;
	r = map_shared(fd, s->len, &s->mem);
	if (r == 0) {
		r = snapshot_init(&s->tree, s->mem, s->len);
		if (r != 0)
			sys_munmap(s->mem, s->len);
	}
	if (r != 0) {
		arena_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

/* Unmap retired snapshots that nobody holds or is about to hold. */
static void reclaim_locked(struct view *v)
{
	struct snap **at = &v->retired;

	if (__atomic_load_n(&v->readers, __ATOMIC_SEQ_CST) != 0)
		return;
	while (*at != NULL) {
		struct snap *s = *at;

		if (__atomic_load_n(&s->refs, __ATOMIC_SEQ_CST) != 0) {
			at = &s->next;
			continue;
		}
		/* snap_put() looks at the list's head without the lock. */
		__atomic_store_n(at, s->next, __ATOMIC_SEQ_CST);
		free_snap(s);
	}
}

static void publish_snap(struct view *v, struct snap *s)
{
	uint64_t signals = lock_enter(&v->lock);
	struct snap *old = v->snap;

	/* Against view_snap(): it sees the new one, or we see that it reads. */
	__atomic_store_n(&v->snap, s, __ATOMIC_SEQ_CST);
	if (old != NULL) {
		old->next = v->retired;
		__atomic_store_n(&v->retired, old, __ATOMIC_SEQ_CST);
	}
	reclaim_locked(v);
	lock_leave(&v->lock, signals);
}

struct snap *snap_ref(struct snap *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_SEQ_CST);
	return s;
}

void snap_put(struct snap *s)
{
	struct view *v;
	uint64_t signals;

	if (s == NULL)
		return;
	v = s->view;
	/* After the last reference is gone, s may be gone too. */
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_SEQ_CST) != 0 ||
	    __atomic_load_n(&v->retired, __ATOMIC_SEQ_CST) == NULL)
		return;
	signals = lock_enter(&v->lock);
	reclaim_locked(v);
	lock_leave(&v->lock, signals);
}

const struct snapshot *snap_tree(const struct snap *s)
{
	return &s->tree;
}

/* ---- attaching ------------------------------------------------------------------------- */

static int install(struct view *v, struct link_wait *w)
{
	const struct wire_mount_answer *a = (const void *)w->answer.bytes;
	struct table_map *table;
	struct snap *s;
	int r;

	if (w->len < sizeof(*a) || w->nr_fds != 2)
		return -EPROTO;
	r = map_table(a, w->fds[0], &table);
	if (r != 0)
		return r;
	r = map_snap(v, a, w->fds[1], &s);
	if (r != 0) {
		sys_munmap((void *)(uintptr_t)table->table, table->len);
		arena_free(table);
		return r;
	}
	publish_snap(v, s);
	table->next = v->table;
	__atomic_store_n(&v->mount, a->mount, __ATOMIC_RELAXED);
	__atomic_store_n(&v->chunk_shift, a->chunk_shift, __ATOMIC_RELAXED);
	__atomic_store_n(&v->table, table, __ATOMIC_RELEASE);
	/* Release pairs with view_serial(). */
	__atomic_store_n(&v->attached, (uint64_t)epoch_now() << 32 | w->serial, __ATOMIC_RELEASE);
	return 0;
}

static int send_mount(struct view *v, struct link_wait *w)
{
	int r = link_connect(v->link);

	return r != 0 ? r : link_send(v->link, &v->request->head, w);
}

static int mount_once(struct view *v, unsigned wait_ms)
{
	struct link_wait w, *answer = &w;
	unsigned i;
	int r = 0;

	if (v->has_started && v->started.serial == link_serial(v->link))
		answer = &v->started; /* asked by view_start() */
	else
		r = send_mount(v, &w);
	v->has_started = false;
	if (r != 0)
		return r;
	r = link_await(v->link, answer, wait_ms);
	if (r != 0)
		return r;
	r = install(v, answer);
	if (r != 0)
		link_set_error_text(v->link, "the mount's shared memory could not be mapped: the "
					     "daemon is of another release, or memory is short");
	for (i = 0; i < answer->nr_fds; i++)
		sys_close(answer->fds[i]);
	return r;
}

/* Is it worth asking again? A secondary waits for its primary, and for the daemon. */
static bool may_retry(const struct view *v, int error, unsigned *nr_lost)
{
	if (view_is_lost(error))
		return ++*nr_lost < NR_TRIES;
	return (v->flags & WIRE_MOUNT_SECONDARY) != 0 &&
	       (error == -ENOENT || error == -ECONNREFUSED);
}

static int attach(struct view *v, unsigned wait_ms)
{
	uint64_t deadline = sys_now_ms() + wait_ms;
	unsigned nr_lost = 0;

	for (;;) {
		uint64_t now = sys_now_ms();
		int r = mount_once(v, now < deadline ? (unsigned)(deadline - now) : 1);

		if (r == 0 || !may_retry(v, r, &nr_lost) || sys_now_ms() + POLL_MS > deadline)
			return r;
		sys_sleep_ms(POLL_MS);
	}
}

int view_attach_within(struct view *v, unsigned wait_ms)
{
	int r;

	if (view_serial(v) != 0)
		return 0;
	r = gate_enter(&v->attaching, wait_ms);
	if (r != 0)
		return r;
	if (view_serial(v) == 0)
		r = attach(v, wait_ms);
	gate_leave(&v->attaching);
	return r;
}

int view_attach(struct view *v)
{
	return view_attach_within(v, v->wait_ms);
}

int view_start(struct view *v)
{
	int r = gate_try(&v->attaching);

	if (r != 0)
		return r == -EAGAIN ? 0 : r; /* somebody attaches already */
	if (view_serial(v) == 0 && !v->has_started) {
		r = send_mount(v, &v->started);
		v->has_started = r == 0;
	}
	gate_leave(&v->attaching);
	return r;
}

/* ---- requests about the mount ------------------------------------------------------------ */

/* Send a request that names the mount in *ret_mount; again if the session ended under it. */
static int call(struct view *v, struct wire_head *request, uint32_t *ret_mount, unsigned timeout_ms,
		struct link_wait *w)
{
	unsigned i;
	int r;

	for (i = 0; i < NR_TRIES; i++) {
		r = view_attach(v);
		if (r != 0)
			return r;
		*ret_mount = __atomic_load_n(&v->mount, __ATOMIC_RELAXED);
		r = link_call(v->link, request, sizeof(struct wire_head), timeout_ms, w);
		if (!view_is_lost(r))
			return r;
	}
	return r;
}

static int take_snapshot(struct view *v, struct link_wait *w)
{
	const struct wire_mount_answer *a = (const void *)w->answer.bytes;
	struct snap *s;
	unsigned i;
	int r = -EPROTO;

	if (w->len >= sizeof(*a) && w->nr_fds == 1)
		r = map_snap(v, a, w->fds[0], &s);
	if (r == 0)
		publish_snap(v, s);
	for (i = 0; i < w->nr_fds; i++)
		sys_close(w->fds[i]);
	return r;
}

int view_refresh(struct view *v)
{
	struct wire_snapshot request = {
		.head = wire_head(WIRE_SNAPSHOT, 0, sizeof(request)),
		.flags = WIRE_SNAPSHOT_REFRESH,
	};
	struct link_wait w;
	int r = call(v, &request.head, &request.mount, REFRESH_MS, &w);

	return r != 0 ? r : take_snapshot(v, &w);
}

static struct snap *newest(struct view *v)
{
	struct snap *s;

	__atomic_add_fetch(&v->readers, 1, __ATOMIC_SEQ_CST);
	s = __atomic_load_n(&v->snap, __ATOMIC_SEQ_CST);
	if (s != NULL)
		snap_ref(s);
	__atomic_sub_fetch(&v->readers, 1, __ATOMIC_SEQ_CST);
	return s;
}

/* The chunk table shows a newer snapshot: fetch it, unless somebody does already. */
static void follow(struct view *v, uint64_t serial)
{
	struct wire_snapshot request = {
		.head = wire_head(WIRE_SNAPSHOT, 0, sizeof(request)),
		.mount = __atomic_load_n(&v->mount, __ATOMIC_RELAXED),
	};
	struct link_wait w;
	struct snap *s;

	if (gate_try(&v->attaching) != 0)
		return;
	s = newest(v);
	if (view_serial(v) != 0 && s->tree.header->serial < serial &&
	    (link_call(v->link, &request.head, sizeof(request.head), MOVE_MS, &w) != 0 ||
	     take_snapshot(v, &w) != 0))
		__atomic_store_n(&v->asked_serial, serial, __ATOMIC_RELAXED);
	snap_put(s);
	gate_leave(&v->attaching);
}

struct snap *view_snap(struct view *v)
{
	const struct table_map *t = __atomic_load_n(&v->table, __ATOMIC_ACQUIRE);
	struct snap *s = newest(v);
	uint64_t serial;

	if (s == NULL || t == NULL)
		return s;
	serial = __atomic_load_n(&t->table->snapshot_serial, __ATOMIC_ACQUIRE);
	if (serial <= s->tree.header->serial ||
	    serial == __atomic_load_n(&v->asked_serial, __ATOMIC_RELAXED) || view_serial(v) == 0)
		return s;
	snap_put(s);
	follow(v, serial);
	return newest(v);
}

/* Have the daemon list one directory; the snapshot that has it is the view's newest then. */
static int list_directory(struct view *v, const struct snapshot *tree, uint32_t entry)
{
	union {
		struct wire_path request;
		char bytes[sizeof(struct wire_path) + PATH_LEN];
	} m = { .bytes = { 0 } };
	struct link_wait w;
	int len = snapshot_path(tree, entry, m.request.path, PATH_LEN), r;

	if (len < 0)
		return len;
	m.request.path_len = (uint16_t)len;
	m.request.head = wire_head(WIRE_LIST, 0, (uint32_t)(sizeof(m.request) + (size_t)len));
	r = call(v, &m.request.head, &m.request.mount, v->wait_ms, &w);
	return r != 0 ? r : take_snapshot(v, &w);
}

int view_find(struct view *v, struct snap **snap, const char *path, size_t len, bool whole,
	      uint32_t *ret_entry)
{
	struct snap *now;
	uint32_t entry, last;
	unsigned i;
	int r;

	/* A round for each directory on the way, and for those that others ask for meanwhile. */
	for (i = 0; i < FIND_ROUNDS; i++) {
		entry = snapshot_find(&(*snap)->tree, 0, path, len, &last);
		if ((entry != SNAPSHOT_NONE && !whole) ||
		    !snapshot_is_unlisted(&(*snap)->tree, last)) {
			*ret_entry = entry;
			return 0;
		}
		now = view_snap(v);
		if (now == *snap) {
			r = list_directory(v, &now->tree, last);
			snap_put(now);
			if (r != 0)
				return r;
			now = view_snap(v);
		}
		snap_put(*snap);
		*snap = now;
	}
	return -EIO;
}

int view_unmount(struct view *v)
{
	struct wire_path request = { .head = wire_head(WIRE_UMOUNT, 0, sizeof(request)) };
	struct link_wait w;

	return call(v, &request.head, &request.mount, LINK_REQUEST_MS, &w);
}

int view_prefetch(struct view *v, const char *path, size_t len)
{
	union {
		struct wire_path request;
		char bytes[sizeof(struct wire_path) + 1024];
	} m = { .request.path_len = (uint16_t)len };
	struct link_wait w;

	if (len > sizeof(m) - sizeof(m.request))
		return -ENAMETOOLONG;
	mem_copy(m.request.path, path, len);
	m.request.head = wire_head(WIRE_PREFETCH, 0, (uint32_t)(sizeof(m.request) + len));
	return call(v, &m.request.head, &m.request.mount, LINK_REQUEST_MS, &w);
}
