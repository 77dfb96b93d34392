#include "libclient/core/link.h"
#include "libclient/core/arena.h"
#include "libclient/core/epoch.h"
#include "libclient/core/linkstate.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"

#include <poll.h>

void (*link_on_wait)(struct link *l, uint64_t now_ms);

int link_new(const struct link_conf *conf, struct link **ret_link)
{
	struct link *l = arena_alloc(sizeof(*l));
	int r;

	if (l == NULL)
		return -ENOMEM;
	r = locate_read(&l->locations, conf->envp, conf->socket);
	if (r != 0) {
		arena_free(l);
		return r;
	}
	l->spawn = conf->spawn;
	l->socket.fd = l->kick.fd = l->notify.fd = -1;
	*ret_link = l;
	return 0;
}

void link_free(struct link *l)
{
	if (l == NULL)
		return;
	/* Before the socket: while it is mapped the daemon takes us for somebody who reads on. */
	if (l->memory != NULL)
		sys_munmap(l->memory, sizeof(*l->memory));
	/* In a forked child the numbers are its own copies: closing them ends nothing of the parent. */
	if (own_fd_is_ours(&l->socket)) {
		sys_close(l->socket.fd);
		if (own_fd_is_ours(&l->kick))
			sys_close(l->kick.fd);
		if (own_fd_is_ours(&l->notify))
			sys_close(l->notify.fd);
	}
	locate_fini(&l->locations);
	arena_free(l);
}

bool own_fd_is_ours(const struct own_fd *f)
{
	struct stat st;

	return f->fd >= 0 && sys_fstat(f->fd, &st) == 0 && st.st_dev == f->dev &&
	       st.st_ino == f->ino;
}

uint32_t link_serial(const struct link *l)
{
	/* Acquire pairs with the release when a session is installed. */
	uint64_t session = __atomic_load_n(&l->session, __ATOMIC_ACQUIRE);

	return (uint32_t)(session >> 32) == epoch_now() ? (uint32_t)session : 0;
}

void link_down(struct link *l, uint32_t serial)
{
	struct link_wait *w, *next;
	uint64_t signals = lock_enter(&l->lock);
	uint64_t session = l->session;

	if ((uint32_t)session == serial && (uint32_t)(session >> 32) == epoch_now()) {
		__atomic_store_n(&l->session, 0, __ATOMIC_RELEASE);
		for (w = l->waits, l->waits = NULL; w != NULL; w = next) {
			next = w->next;
			/* The last touch: its owner may be gone right after. */
			__atomic_store_n(&w->result, -ECONNRESET, __ATOMIC_RELEASE);
		}
	}
	lock_leave(&l->lock, signals);
	__atomic_add_fetch(&l->turn, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&l->turn, INT32_MAX);
}

int link_check(struct link *l, uint32_t serial)
{
	struct pollfd p = { .fd = l->socket.fd };

	if (serial == 0 || link_serial(l) != serial)
		return -ECONNRESET;
	if (!own_fd_is_ours(&l->socket) ||
	    (sys_poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)) {
		link_down(l, serial);
		return -ECONNRESET;
	}
	return 0;
}

void link_error_text(struct link *l, char *buf, size_t cap)
{
	uint64_t signals;
	struct text t;

	text_init(&t, buf, cap);
	signals = lock_enter(&l->lock);
	text_adds(&t, l->text);
	lock_leave(&l->lock, signals);
}

void link_set_error_text(struct link *l, const char *str)
{
	uint64_t signals = lock_enter(&l->lock);
	struct text t;

	text_init(&t, l->text, sizeof(l->text));
	text_adds(&t, str);
	lock_leave(&l->lock, signals);
}

int link_socket_path(struct link *l, char *buf, size_t cap)
{
	uint64_t signals;
	struct text t;

	text_init(&t, buf, cap);
	signals = lock_enter(&l->lock);
	text_adds(&t, l->path);
	lock_leave(&l->lock, signals);
	return text_is_cut(&t) ? -ENAMETOOLONG : 0;
}

int link_daemon(struct link *l, struct wire_hello_answer *ret)
{
	uint64_t signals = lock_enter(&l->lock);

	mem_copy(ret, &l->hello, sizeof(*ret));
	lock_leave(&l->lock, signals);
	return ret->head.magic == WIRE_MAGIC ? 0 : -ENOTCONN;
}

/* ---- rings ------------------------------------------------------------------------ */

static void kick(const struct own_fd *f)
{
	uint64_t one = 1;

	/* After a closefrom() the number may be somebody else's: look before writing. */
	if (own_fd_is_ours(f))
		sys_write(f->fd, &one, sizeof(one));
}

int link_submit(struct link *l, uint32_t serial, const struct wire_submission *s)
{
	uint64_t signals = lock_enter(&l->submit_lock);
	bool wake = false;
	uint32_t slot;
	int r;

	r = serial != 0 && link_serial(l) == serial ? ring_reserve(&l->submit, &slot) : -ECONNRESET;
	if (r == 0) {
		l->memory->submissions[slot] = *s;
		wake = ring_publish(&l->submit);
	}
	lock_leave(&l->submit_lock, signals);

	if (wake)
		kick(&l->kick);
	if (r == -EPROTO) {
		link_set_error_text(l, "the daemon broke the session's ring; the session is over");
		link_down(l, serial);
		return -ECONNRESET;
	}
	return r;
}

void link_touch(struct link *l, uint32_t object, uint32_t chunk)
{
	struct wire_session *m = l->memory;
	uint32_t at = __atomic_fetch_add(&m->touch_tail, 1, __ATOMIC_RELAXED);

	/* Release pairs with the daemon's acquire of the slot; a slot that it meets empty is skipped. */
	__atomic_store_n(&m->touches[at % WIRE_NR_TOUCHES], (uint64_t)object << 32 | (chunk + 1u),
			 __ATOMIC_RELEASE);
	if (__atomic_load_n(&m->want_touch, __ATOMIC_RELAXED) == 0)
		return;
	/* Against the daemon's ring_sleep(): it sees our touch or we see its flag. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((__atomic_load_n(&m->submit.flags, __ATOMIC_RELAXED) & RING_NEED_WAKEUP) != 0)
		kick(&l->kick);
}

/*
 * Under the submit lock, like all that writes numbers of a session into its memory: a new session's
 * memory takes the place of the old one's under that lock.
 */
int link_idle_put(struct link *l, uint32_t serial, uint32_t object, const void *owner)
{
	int slot = -EAGAIN;
	bool wake = false;
	uint32_t i, none;

	lock_enter_inner(&l->submit_lock);
	if (serial != 0 && link_serial(l) == serial &&
	    __atomic_load_n(&l->memory->takes_idle, __ATOMIC_RELAXED) != 0)
		for (i = 0; i < WIRE_NR_IDLE && slot < 0; i++) {
			none = 0;
			/* Against the daemon's last look: it sees the slot or we see that it sleeps. */
			if (__atomic_compare_exchange_n(&l->memory->idle[i], &none, object, false,
							__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
				slot = (int)i;
		}
	if (slot >= 0) {
		l->idle_owners[slot] = owner;
		wake = __atomic_load_n(&l->memory->is_watching, __ATOMIC_SEQ_CST) == 0;
	}
	lock_leave_inner(&l->submit_lock);
	if (wake)
		kick(&l->kick);
	return slot;
}

bool link_idle_take(struct link *l, uint32_t serial, unsigned slot, uint32_t object,
		    const void *owner)
{
	bool taken;

	lock_enter_inner(&l->submit_lock);
	taken = serial != 0 && link_serial(l) == serial && l->idle_owners[slot] == owner &&
		__atomic_compare_exchange_n(&l->memory->idle[slot], &object, 0, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	lock_leave_inner(&l->submit_lock);
	return taken;
}

int link_complete(struct link *l, uint32_t serial, struct wire_completion *ret)
{
	uint64_t signals = lock_enter(&l->complete_lock);
	uint32_t slot;
	int r;

	r = serial != 0 && link_serial(l) == serial ? ring_peek(&l->complete, &slot) : -ECONNRESET;
	if (r == 0) {
		*ret = l->memory->completions[slot];
		ring_consumed(&l->complete);
	}
	lock_leave(&l->complete_lock, signals);
	if (r == -EPROTO)
		link_down(l, serial);
	return r;
}

int link_complete_sleep(struct link *l, uint32_t serial)
{
	uint64_t signals = lock_enter(&l->complete_lock), count;
	int r = -ECONNRESET;

	if (serial != 0 && link_serial(l) == serial) {
		/* Take the signal first: one that comes after the flag is set must stay. */
		sys_read(l->notify.fd, &count, sizeof(count));
		r = ring_sleep(&l->complete) ? -EAGAIN : 0;
		if (r == -EAGAIN)
			ring_awake(&l->complete);
	}
	lock_leave(&l->complete_lock, signals);
	return r;
}

int link_notify_fd(struct link *l)
{
	return link_serial(l) != 0 ? l->notify.fd : -ENOTCONN;
}

int link_socket_fd(struct link *l)
{
	return link_serial(l) != 0 ? l->socket.fd : -ENOTCONN;
}
