#include "libclient/core/file.h"
#include "libclient/core/arena.h"
#include "libclient/core/dir.h"
#include "libclient/core/epoch.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/viewstate.h"

#define OPEN_MS	    60000u
#define REVIVE_MS   20000u
#define NR_TRIES    3u
#define PATH_LEN    1088u /* a key has at most 1023 bytes */
#define PAGE	    4096u
#define VERIFY_RATE (4u << 20) /* bytes a second, at the least */

/* An answered OPEN: the object, and its memory. */
struct opened {
	struct wire_open_answer answer;
	uint32_t serial;
	int fd; /* -1: taken or closed */
};

static uint32_t bucket_of(const char *path, size_t len)
{
	uint32_t h = 2166136261u;
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)path[i]) * 16777619u;
	return h % VIEW_NR_BUCKETS;
}

/* ---- OPEN and CLOSE ------------------------------------------------------------------- */

static void close_object(struct view *v, uint32_t serial, uint32_t object)
{
	struct wire_object request = {
		.head = wire_head(WIRE_CLOSE, 0, sizeof(request)),
		.object = object,
	};
	struct link_wait w;

	if (object != 0 && link_serial(v->link) == serial)
		link_call(v->link, &request.head, sizeof(request.head), LINK_REQUEST_MS, &w);
}

static void release(struct view *v, struct opened *o)
{
	if (o->fd >= 0)
		sys_close(o->fd);
	o->fd = -1;
	close_object(v, o->serial, o->answer.object);
}

static int judge(const struct view *v, const struct opened *o)
{
	const struct table_map *t = __atomic_load_n(&v->table, __ATOMIC_ACQUIRE);
	const struct wire_open_answer *a = &o->answer;
	uint64_t nr = chunk_count(a->size, v->chunk_shift);
	struct stat st;

	if (a->etag[sizeof(a->etag) - 1] != '\0')
		return -EPROTO;
	if (a->size == 0)
		return 0;
	if (o->fd < 0 || a->object == 0 || a->size > INT64_MAX)
		return -EPROTO;
	if (a->first_word > t->nr_words || nr > t->nr_words - a->first_word)
		return -EPROTO;
	/* A file that is shorter than the object would mean SIGBUS. */
	if (sys_fstat(o->fd, &st) < 0 || (uint64_t)st.st_size < a->size)
		return -EPROTO;
	return 0;
}

static int ask_open(struct view *v, const char *path, size_t len, struct opened *ret)
{
	union {
		struct wire_open request;
		char bytes[sizeof(struct wire_open) + PATH_LEN];
	} m = { .request.path_len = (uint16_t)len };
	struct link_wait w;
	int r;

	if (len > PATH_LEN)
		return -ENAMETOOLONG;
	mem_copy(m.request.path, path, len);
	m.request.mount = __atomic_load_n(&v->mount, __ATOMIC_RELAXED);
	m.request.head = wire_head(WIRE_OPEN, 0, (uint32_t)(sizeof(m.request) + len));
	r = link_call(v->link, &m.request.head, sizeof(ret->answer), OPEN_MS, &w);
	if (r != 0)
		return r;
	mem_copy(&ret->answer, w.answer.bytes, sizeof(ret->answer));
	ret->serial = w.serial;
	ret->fd = -1;
	if (w.nr_fds == 1) {
		ret->fd = w.fds[0];
		w.fds[0] = -1;
	}
	r = w.nr_fds > 1 ? -EPROTO : judge(v, ret);
	link_forget(v->link, &w); /* closes what is left */
	if (r != 0) {
		link_set_error_text(v->link, "the daemon's answer to OPEN makes no sense: it is of "
					     "another release");
		release(v, ret);
	}
	return r;
}

/* In a session that began while the mount is listed the daemon may not know the path yet. */
static int make_known(struct view *v, const char *path, size_t len)
{
	struct snap *snap = view_snap(v);
	uint32_t entry;
	int r = snap != NULL ? view_find(v, &snap, path, len, false, &entry) : 0;

	snap_put(snap);
	return r;
}

/* OPEN in whatever session there is, or can be had within wait_ms. */
static int open_object(struct view *v, const char *path, size_t len, unsigned wait_ms,
		       struct opened *ret)
{
	unsigned i;
	int r;

	for (i = 0; i < NR_TRIES; i++) {
		r = view_attach_within(v, wait_ms);
		if (r == 0)
			r = make_known(v, path, len);
		if (r != 0)
			return r;
		r = ask_open(v, path, len, ret);
		if (!view_is_lost(r))
			return r;
	}
	return r;
}

/* ---- the place of an open object -------------------------------------------------------- */

bool file_look(const struct file *f, struct file_place *ret, uint32_t *ret_seq)
{
	/* Acquire pairs with the release in settle(); checked again by file_moved(). */
	uint32_t seq = __atomic_load_n(&f->seq, __ATOMIC_ACQUIRE);

	ret->epoch = __atomic_load_n(&f->place.epoch, __ATOMIC_RELAXED);
	ret->serial = __atomic_load_n(&f->place.serial, __ATOMIC_RELAXED);
	ret->object = __atomic_load_n(&f->place.object, __ATOMIC_RELAXED);
	ret->shift = __atomic_load_n(&f->place.shift, __ATOMIC_RELAXED);
	ret->words = __atomic_load_n(&f->place.words, __ATOMIC_RELAXED);
	*ret_seq = seq;
	return (seq & 1) == 0 && !file_moved(f, seq) && ret->epoch == epoch_now();
}

bool file_moved(const struct file *f, uint32_t seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&f->seq, __ATOMIC_RELAXED) != seq;
}

static void settle(struct file *f, const struct opened *o, void *mem)
{
	const struct view *v = f->view;
	const struct table_map *t = __atomic_load_n(&v->table, __ATOMIC_ACQUIRE);
	struct stat st = { 0 };
	/* Odd already: a fork, or the end of another thread, came in the middle of this. */
	uint32_t seq = (f->seq + 1) | 1;
	unsigned i;

	__atomic_store_n(&f->seq, seq, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (f->base == NULL)
		f->base = mem;
	else
		/* The address stays; who copies from it right now sees that seq has moved. */
		sys_mremap(mem, f->map_len, f->map_len, MREMAP_MAYMOVE | MREMAP_FIXED,
			   (void *)(uintptr_t)f->base);
	sys_fstat(o->fd, &st);
	f->memory_dev = st.st_dev;
	f->memory_ino = st.st_ino;
	f->mmap_mode = o->answer.mmap;
	for (i = 0; i < FILE_NR_RECENT; i++)
		__atomic_store_n(&f->recent[i], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&f->place.epoch, epoch_now(), __ATOMIC_RELAXED);
	__atomic_store_n(&f->place.serial, o->serial, __ATOMIC_RELAXED);
	__atomic_store_n(&f->place.object, o->answer.object, __ATOMIC_RELAXED);
	__atomic_store_n(&f->place.shift, v->chunk_shift, __ATOMIC_RELAXED);
	__atomic_store_n(&f->place.words, t->table->words + o->answer.first_word, __ATOMIC_RELAXED);
	/* Release pairs with file_look(). */
	__atomic_store_n(&f->seq, seq + 1, __ATOMIC_RELEASE);
}

/* Map the opened object's memory into f; the descriptor is closed. */
static int map_object(struct file *f, struct opened *o)
{
	void *mem = sys_mmap(NULL, f->map_len, PROT_READ, MAP_SHARED | MAP_NORESERVE, o->fd, 0);

	if (sys_is_error(mem))
		return (int)(long)mem;
	settle(f, o, mem);
	sys_close(o->fd);
	o->fd = -1;
	return 0;
}

static bool is_alive(const struct file *f)
{
	return (f->seq & 1) == 0 && f->place.object != 0 && f->place.epoch == epoch_now() &&
	       f->place.serial == view_serial(f->view);
}

/* What a reader is told when its open file cannot be had again. */
static int reopen_error(const struct view *v, int error)
{
	switch (error) {
	case -ESTALE:
	case -EACCES:
		return error;
	case -ENOENT:
		/* With a mount: the object is gone.  Without one: no daemon, no primary. */
		return view_serial(v) != 0 ? -ESTALE : -EIO;
	}
	return -EIO;
}

/* No longer than an open would wait, where the user has said how long. */
static unsigned revive_ms(const struct view *v)
{
	return v->wait_ms != 0 && v->wait_ms < REVIVE_MS ? v->wait_ms : REVIVE_MS;
}

static bool is_version(const struct file *f, const struct opened *o)
{
	return o->answer.size == f->size && mem_len(o->answer.etag) == mem_len(f->etag) &&
	       mem_equal(o->answer.etag, f->etag, mem_len(f->etag));
}

int file_revive(struct file *f)
{
	struct opened o;
	int r;

	r = gate_enter(&f->gate, 2 * REVIVE_MS);
	if (r != 0)
		return -EIO;
	if (is_alive(f))
		goto out;
	r = open_object(f->view, f->path, f->path_len, revive_ms(f->view), &o);
	if (r == 0) {
		r = is_version(f, &o) ? map_object(f, &o) : -ESTALE;
		if (r == -ESTALE)
			link_set_error_text(f->view->link, "the object was replaced in the store "
							   "since it was opened: open it again");
		if (r != 0)
			release(f->view, &o);
	}
out:
	gate_leave(&f->gate);
	return r == 0 ? 0 : reopen_error(f->view, r);
}

/* ---- open files of a process --------------------------------------------------------------- */

static struct file *find_locked(struct view *v, uint32_t bucket, const char *path, size_t len,
				const char *etag, size_t etag_len)
{
	struct file *f;

	for (f = v->files[bucket]; f != NULL; f = f->next)
		if (f->path_len == len && mem_equal(f->path, path, len) &&
		    mem_len(f->etag) == etag_len && mem_equal(f->etag, etag, etag_len))
			return f;
	return NULL;
}

static void unlink_locked(struct view *v, struct file *f)
{
	struct file **at;

	for (at = &v->files[f->bucket]; *at != NULL && *at != f; at = &(*at)->next)
		;
	if (*at == f)
		*at = f->next;
}

/*
 * One more holder of a file of the table.  False: it was idle, and the daemon has closed it; it is
 * in the table no more and the caller's to free.
 */
static bool hold_locked(struct view *v, struct file *f)
{
	if (f->refs == 0) {
		v->idle[f->slot] = NULL;
		if (f->place.epoch != epoch_now() ||
		    !link_idle_take(v->link, f->place.serial, f->slot, f->place.object, f)) {
			unlink_locked(v, f);
			return false;
		}
	}
	f->refs++;
	return true;
}

static void free_file(struct file *f)
{
	if (f->base != NULL)
		sys_munmap((void *)(uintptr_t)f->base, f->map_len);
	arena_free(f->pin_counts);
	arena_free(f->path);
	arena_free(f);
}

static struct file *take(struct view *v, const char *path, size_t len, const char *etag,
			 size_t etag_len)
{
	uint64_t signals = lock_enter(&v->lock);
	struct file *f = find_locked(v, bucket_of(path, len), path, len, etag, etag_len);
	bool held = f != NULL && hold_locked(v, f);

	lock_leave(&v->lock, signals);
	if (f != NULL && !held)
		free_file(f);
	return held ? f : NULL;
}

static struct file *new_file(struct view *v, const char *path, size_t len)
{
	struct file *f = arena_alloc(sizeof(*f));

	if (f == NULL)
		return NULL;
	f->path = arena_copy(path, len);
	if (f->path == NULL) {
		arena_free(f);
		return NULL;
	}
	f->view = v;
	f->path_len = len;
	f->bucket = bucket_of(path, len);
	f->refs = 1;
	return f;
}

/* Into the table, unless another thread was quicker: then that one, with a reference. */
static struct file *enter(struct view *v, struct file *f)
{
	uint64_t signals = lock_enter(&v->lock);
	struct file *other =
		find_locked(v, f->bucket, f->path, f->path_len, f->etag, mem_len(f->etag));
	bool held = other != NULL && hold_locked(v, other);

	if (!held) {
		f->next = v->files[f->bucket];
		v->files[f->bucket] = f;
	}
	lock_leave(&v->lock, signals);
	if (other != NULL && !held)
		free_file(other);
	return held ? other : f;
}

/* The daemon opened it: a file of that version. */
static int make_file(struct view *v, const char *path, size_t len, struct opened *o,
		     struct file **ret)
{
	struct file *f = new_file(v, path, len), *entered;
	int r = 0;

	if (f == NULL)
		return -ENOMEM;
	f->size = o->answer.size;
	f->ino = o->answer.ino;
	f->mtime_ns = o->answer.mtime_ns;
	mem_copy(f->etag, o->answer.etag, sizeof(f->etag));
	f->map_len = (f->size + PAGE - 1) & ~(size_t)(PAGE - 1);
	if (f->size != 0)
		r = map_object(f, o);
	if (r != 0) {
		free_file(f);
		return r;
	}
	entered = enter(v, f);
	if (entered != f) {
		free_file(f);
		release(v, o);
	}
	*ret = entered;
	return 0;
}

static int open_entry(struct view *v, struct snap *snap, const struct dir_entry *e,
		      struct file **ret)
{
	const struct snapshot *s = snap_tree(snap);
	const struct snapshot_entry *entry = &s->entries[e->entry];
	char path[PATH_LEN + 1];
	struct opened o;
	int len, r;

	/* As the listing writes it: without "..", "." and double slashes. */
	len = snapshot_path(s, e->entry, path, sizeof(path));
	if (len < 0)
		return len;
	*ret = take(v, path, (size_t)len, s->strings + entry->etag_off, entry->etag_len);
	if (*ret != NULL)
		return 0;
	if (e->size == 0) {
		struct file *f = new_file(v, path, (size_t)len);

		if (f == NULL)
			return -ENOMEM;
		f->ino = e->ino;
		f->mtime_ns = e->mtime_ns;
		/* Not in the table: there is nothing to share. */
		f->bucket = VIEW_NR_BUCKETS;
		*ret = f;
		return 0;
	}
	r = open_object(v, path, (size_t)len, v->wait_ms, &o);
	if (r != 0)
		return r;
	r = make_file(v, path, (size_t)len, &o, ret);
	if (r != 0)
		release(v, &o);
	return r;
}

int file_open(struct view *v, const char *path, size_t len, struct file **ret_file)
{
	struct dir_entry e;
	struct snap *snap;
	uint32_t entry;
	int r;

	snap = view_snap(v);
	if (snap == NULL) {
		r = view_attach(v);
		if (r != 0)
			return r;
		snap = view_snap(v);
	}
	r = snap != NULL ? view_find(v, &snap, path, len, false, &entry) : 0;
	if (r != 0)
		goto out;
	r = dir_stat(snap, path, len, &e);
	if (r == 0 && e.is_dir)
		r = -EISDIR;
	if (r == 0)
		r = open_entry(v, snap, &e, ret_file);
	else
		link_set_error_text(v->link, "");
out:
	snap_put(snap);
	return r;
}

int file_recall(struct view *v, const char *path, const char *etag, uint64_t size, uint64_t ino,
		struct file **ret_file)
{
	size_t etag_len = mem_len(etag);
	struct file *f;

	if (etag_len >= sizeof(f->etag) || size > INT64_MAX)
		return -EINVAL;
	f = new_file(v, path, mem_len(path));
	if (f == NULL)
		return -ENOMEM;
	f->size = size;
	f->ino = ino;
	mem_copy(f->etag, etag, etag_len + 1);
	f->map_len = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
	f->bucket = VIEW_NR_BUCKETS; /* not in the table: what is there is open */
	*ret_file = f;
	return 0;
}

struct file *file_ref(struct file *f)
{
	uint64_t signals = lock_enter(&f->view->lock);

	f->refs++;
	lock_leave(&f->view->lock, signals);
	return f;
}

/* Leave it with the session, for whoever opens it again soon.  *ret_old: one that the daemon closed. */
static bool leave_idle_locked(struct view *v, struct file *f, struct file **ret_old)
{
	int slot;

	if (f->place.object == 0 || f->place.epoch != epoch_now())
		return false;
	slot = link_idle_put(v->link, f->place.serial, f->place.object, f);
	if (slot < 0)
		return false;
	*ret_old = v->idle[slot];
	if (*ret_old != NULL)
		unlink_locked(v, *ret_old);
	f->slot = (uint32_t)slot;
	v->idle[slot] = f;
	return true;
}

void file_put(struct file *f)
{
	struct file *old = NULL;
	bool last, idle = false;
	uint64_t signals;
	struct view *v;

	if (f == NULL)
		return;
	v = f->view;
	signals = lock_enter(&v->lock);
	last = --f->refs == 0;
	if (last && f->bucket < VIEW_NR_BUCKETS) {
		idle = leave_idle_locked(v, f, &old);
		if (!idle)
			unlink_locked(v, f);
	}
	lock_leave(&v->lock, signals);
	if (old != NULL)
		free_file(old);
	if (!last || idle)
		return;
	if (f->place.epoch == epoch_now())
		close_object(v, f->place.serial, f->place.object);
	free_file(f);
}

void file_forget_idle(struct view *v)
{
	struct file *f;
	unsigned i;

	for (i = 0; i < WIRE_NR_IDLE; i++) {
		f = v->idle[i];
		if (f != NULL) {
			unlink_locked(v, f);
			free_file(f);
		}
	}
}

uint64_t file_size(const struct file *f)
{
	return f->size;
}

uint64_t file_ino(const struct file *f)
{
	return f->ino;
}

int64_t file_mtime_ns(const struct file *f)
{
	return f->mtime_ns;
}

const char *file_etag(const struct file *f)
{
	return f->etag;
}

const char *file_path(const struct file *f)
{
	return f->path;
}

struct view *file_view(const struct file *f)
{
	return f->view;
}

unsigned file_mmap_mode(const struct file *f)
{
	return __atomic_load_n(&f->mmap_mode, __ATOMIC_RELAXED);
}

unsigned file_chunk_shift(const struct file *f)
{
	unsigned shift = __atomic_load_n(&f->place.shift, __ATOMIC_RELAXED);

	return shift != 0 ? shift : CHUNK_SHIFT_MIN;
}

/* ---- requests about an open object ------------------------------------------------------------ */

static int ask_crc(struct file *f, uint32_t flags, uint64_t *ret_crc, bool *ret_known)
{
	struct wire_object request = {
		.head = wire_head(WIRE_VERIFY, 0, sizeof(request)),
		.flags = flags,
	};
	const struct wire_verify_answer *a;
	struct link_wait w;
	unsigned i, timeout_ms;
	int r = 0;

	if (f->size == 0) {
		*ret_crc = 0;
		*ret_known = true;
		return 0;
	}
	timeout_ms = LINK_REQUEST_MS;
	if (f->size / VERIFY_RATE < INT32_MAX / 1000)
		timeout_ms += (unsigned)(f->size / VERIFY_RATE) * 1000;
	for (i = 0; i < NR_TRIES; i++) {
		r = file_revive(f);
		if (r != 0)
			return r;
		request.object = __atomic_load_n(&f->place.object, __ATOMIC_RELAXED);
		r = link_call(f->view->link, &request.head, sizeof(*a), timeout_ms, &w);
		if (!view_is_lost(r))
			break;
	}
	if (r != 0)
		return r;
	a = (const void *)w.answer.bytes;
	*ret_crc = a->crc64;
	*ret_known = a->known != 0;
	return 0;
}

int file_verify(struct file *f, uint64_t *ret_crc, bool *ret_known)
{
	return ask_crc(f, 0, ret_crc, ret_known);
}

int file_stored_crc(struct file *f, uint64_t *ret_crc, bool *ret_known)
{
	return ask_crc(f, WIRE_VERIFY_STORE, ret_crc, ret_known);
}

int file_memory_fd(struct file *f, const struct pin *pin)
{
	struct opened o;
	struct stat st;
	int r;

	if (pin->serial == 0 || pin->serial != view_serial(f->view))
		return -EAGAIN;
	r = ask_open(f->view, f->path, f->path_len, &o);
	if (r != 0)
		return view_is_lost(r) ? -EAGAIN : r;
	if (o.serial == pin->serial && sys_fstat(o.fd, &st) == 0 && st.st_dev == pin->memory_dev &&
	    st.st_ino == pin->memory_ino) {
		r = o.fd;
		o.fd = -1;
	} else {
		r = is_version(f, &o) ? -EAGAIN : -ESTALE;
	}
	release(f->view, &o);
	return r;
}
