/* OPEN, CLOSE, PIN, UNPIN: single files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

#define PINS_A_CHUNK_MAX   UINT8_MAX
#define PINS_A_SESSION_MAX (1u << 22)

/* ---- OPEN ----------------------------------------------------------------------------- */

static void audit_open_of(struct session *s, const char *what, int error, uint64_t size)
{
	const struct audit_who who = session_who(s);

	audit_write(&who, "open", what, error, size);
}

static void answer_open(struct session *s, const struct wire_head *req, uint32_t number,
			const struct mount_file *file)
{
	struct wire_open_answer answer = {
		.object = number,
		.mmap = s->all->conf.mmap,
		.size = file->size,
		.first_word = file->object != NULL ? object_first_word(file->object) : 0,
		.ino = file->ino,
		.mtime_ns = file->mtime_ns,
	};
	/* An empty file has no memory: what stands for it reads as the end of the file. */
	const int fd = file->object != NULL ? object_client_fd(file->object) : s->all->spare_fd;

	snprintf(answer.etag, sizeof(answer.etag), "%s", file->etag != NULL ? file->etag : "");
	session_answer(s, req->type, req->seq, &answer.head, sizeof(answer), &fd, 1);
}

static void open_path(struct session *s, const struct wire_open *msg, struct mount *m,
		      const char *what)
{
	const struct wire_head *req = &msg->head;
	char text[WIRE_ERROR_TEXT] = "";
	struct mount_file file = { 0 };
	uint32_t number;
	int r;

	r = mount_open(m, msg->path, msg->path_len, &file, text, sizeof(text));
	if (r == 0 && session_hold(s, msg->mount, file.object, &number) != 0) {
		r = -EMFILE;
		snprintf(text, sizeof(text), "a client may have %d files open",
			 SESSION_OBJECTS_MAX);
		if (file.object != NULL) {
			object_unuse(file.object);
			object_unref(file.object);
		}
	}
	audit_open_of(s, what, r, r == 0 ? file.size : 0);
	if (r != 0)
		session_refuse(s, req->type, req->seq, r, "%s",
			       text[0] != '\0' ? text : strerror(-r));
	else
		answer_open(s, req, number, &file);
}

void op_open(struct session *s, const struct wire_head *req)
{
	const struct wire_open *msg = (const struct wire_open *)req;
	struct mount *m = session_mount(s, msg->mount);
	struct wire_str path;
	const char *base;
	char *what;

	if (wire_unpack(msg, req->len, offsetof(struct wire_open, path), &msg->path_len, &path,
			1) != 0) {
		session_refuse(s, req->type, req->seq, -EPROTO,
			       "OPEN: the path does not fill the message");
		return;
	}
	if (path.len == 0 || path.len > SESSION_PATH_MAX ||
	    memchr(path.s, '\0', path.len) != NULL) {
		session_refuse(s, req->type, req->seq,
			       path.len > SESSION_PATH_MAX ? -ENAMETOOLONG : -EINVAL,
			       "OPEN: a path of 1 to %d bytes without NUL is wanted",
			       SESSION_PATH_MAX);
		return;
	}
	if (m == NULL) {
		session_refuse(s, req->type, req->seq, -EBADF, "OPEN: this session has no mount %u",
			       msg->mount);
		return;
	}
	base = mount_oss_path(m);
	what = xasprintf("%s%s%.*s", base,
			 base[0] != '\0' && base[strlen(base) - 1] == '/' ? "" : "/", (int)path.len,
			 path.s);
	open_path(s, msg, m, what);
	free(what);
}

/* ---- CLOSE, PIN, UNPIN ------------------------------------------------------------------ */

static void answer_done(struct session *s, const struct wire_head *req)
{
	struct wire_head answer = { 0 };

	session_answer(s, req->type, req->seq, &answer, sizeof(answer), NULL, 0);
}

static void refuse_number(struct session *s, const struct wire_head *req, uint32_t number)
{
	session_refuse(s, req->type, req->seq, -EBADF, "this session has no open object %u",
		       number);
}

void op_close_number(struct session *s, uint32_t number)
{
	struct pending *p, *next;

	for (p = TAILQ_FIRST(&s->pending); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->type != WIRE_VERIFY || p->object != number)
			continue;
		session_refuse(s, p->type, p->seq, -ECANCELED, "the object was closed meanwhile");
		if (session_is_dead(s))
			return;
		pending_free(p);
	}
	session_release(s, number);
}

void op_close(struct session *s, const struct wire_head *req)
{
	const uint32_t number = ((const struct wire_object *)req)->object;

	if (session_held(s, number) == NULL) {
		refuse_number(s, req, number);
		return;
	}
	op_close_number(s, number);
	if (!session_is_dead(s))
		answer_done(s, req);
}

/* The object and its range; NULL: the client was told what is wrong. */
static struct held *check_pin(struct session *s, const struct wire_pin *msg)
{
	struct held *h = session_held(s, msg->object);

	if (h == NULL) {
		refuse_number(s, &msg->head, msg->object);
		return NULL;
	}
	if (msg->nr_chunks == 0 || msg->first_chunk >= h->nr_chunks ||
	    msg->nr_chunks > h->nr_chunks - msg->first_chunk) {
		session_refuse(s, msg->head.type, msg->head.seq, -EINVAL,
			       "chunks %u to %llu of an object that has %u", msg->first_chunk,
			       (unsigned long long)msg->first_chunk + msg->nr_chunks, h->nr_chunks);
		return NULL;
	}
	return h;
}

/* Has every chunk of the range between `least` and `most` pins of this session? */
static bool pins_are_within(const struct held *h, const struct wire_pin *msg, unsigned least,
			    unsigned most)
{
	uint32_t i;

	for (i = msg->first_chunk; i < msg->first_chunk + msg->nr_chunks; i++) {
		unsigned nr = h->pins != NULL ? h->pins[i] : 0;

		if (nr < least || nr > most)
			return false;
	}
	return true;
}

void op_pin(struct session *s, const struct wire_head *req)
{
	const struct wire_pin *msg = (const struct wire_pin *)req;
	struct held *h = check_pin(s, msg);
	uint32_t i;
	int r;

	if (h == NULL)
		return;
	if (!pins_are_within(h, msg, 0, PINS_A_CHUNK_MAX - 1) ||
	    s->nr_pins + msg->nr_chunks > PINS_A_SESSION_MAX)
		r = -ENOSPC;
	else
		r = chunk_pin(h->object, msg->first_chunk, msg->nr_chunks);
	if (r == -ENOSPC) {
		session_refuse(s, req->type, req->seq, r,
			       "%u chunks cannot be pinned: too much of the cache is pinned "
			       "already; release mappings or raise cache.size",
			       msg->nr_chunks);
		return;
	}
	if (r != 0) {
		session_refuse(s, req->type, req->seq, r, "%u chunks cannot be pinned: %s",
			       msg->nr_chunks, strerror(-r));
		return;
	}
	if (h->pins == NULL)
		h->pins = xcalloc(h->nr_chunks, sizeof(*h->pins));
	for (i = 0; i < msg->nr_chunks; i++)
		h->pins[msg->first_chunk + i]++;
	s->nr_pins += msg->nr_chunks;
	answer_done(s, req);
}

void op_unpin(struct session *s, const struct wire_head *req)
{
	const struct wire_pin *msg = (const struct wire_pin *)req;
	struct held *h;
	uint32_t i;

	/* What was asked for before it was pinned, and read by now, is not held any longer. */
	(void)ringops_pulse(s);
	if (session_is_dead(s))
		return;
	h = check_pin(s, msg);
	if (h == NULL)
		return;
	if (!pins_are_within(h, msg, 1, PINS_A_CHUNK_MAX)) {
		session_refuse(s, req->type, req->seq, -EINVAL,
			       "some of %u chunks are not pinned by this session", msg->nr_chunks);
		return;
	}
	chunk_unpin(h->object, msg->first_chunk, msg->nr_chunks);
	for (i = 0; i < msg->nr_chunks; i++)
		h->pins[msg->first_chunk + i]--;
	s->nr_pins -= msg->nr_chunks;
	answer_done(s, req);
}
