#include "test/server/srv_send.h"

#include "test/server/srv_loop.h"
#include "test/server/srv_synth.h"
#include "test/server/srv_text.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* One connection's turn. */
#define TURN_BYTES (4u << 20)

int srv_send_unsent(const struct srv_conn *c)
{
	int n = 0;

	return ioctl(c->fd, SIOCOUTQ, &n) == -1 ? 0 : n;
}

static void count_bytes(struct srv_conn *c, uint64_t n)
{
	if (!c->in_flight)
		return; /* controls are not the store's work */
	srv_counts_add(&c->store->counts.bytes, n);
	srv_counts_add(&c->source_tally->bytes, n);
	srv_counts_add(&c->conn_tally->bytes, n);
	srv_counts_add(&c->key_tally->bytes, n);
}

static char *scratch(struct srv_conn *c)
{
	if (c->out.scratch == NULL)
		c->out.scratch = srv_alloc(SRV_SCRATCH);
	return c->out.scratch;
}

/* Put up to want bytes of the object at offset into the scratch buffer. */
static ssize_t load(struct srv_conn *c, uint64_t offset, uint64_t want)
{
	struct srv_object *o = c->reply.object;
	char *buf = scratch(c);
	size_t n = want < SRV_SCRATCH ? (size_t)want : SRV_SCRATCH;
	struct srv_synth_run run;
	ssize_t got;

	if (o->path != NULL) {
		got = pread(c->out.fd, buf, n, (off_t)offset);
		/* The file shrank under us: the length was promised, so break off. */
		return got > 0 ? got : -EIO;
	}
	srv_synth_run(srv_object_seed(o), offset, n, &run);
	if (run.p != NULL)
		memcpy(buf, run.p, (size_t)run.len);
	else
		synth_fill(srv_object_seed(o), offset, buf, (size_t)run.len);
	return (ssize_t)run.len;
}

/* The next bytes of the body in memory, at most want of them. */
static int make_pending(struct srv_conn *c, uint64_t want)
{
	struct srv_out *out = &c->out;
	uint64_t offset = c->reply.first + out->at;
	ssize_t n;

	if (out->at >= out->real) {
		n = (ssize_t)(want < SRV_SCRATCH ? want : SRV_SCRATCH);
		memset(scratch(c), 'X', (size_t)n);
	} else if (c->reply.object == NULL) {
		out->pending = c->reply.text.p + out->at;
		out->pending_len = (size_t)want;
		return 0;
	} else {
		n = load(c, offset, want);
		if (n < 0)
			return (int)n;
		if (c->plan.flip_at >= 0 && (uint64_t)c->plan.flip_at >= offset &&
		    (uint64_t)c->plan.flip_at < offset + (uint64_t)n)
			out->scratch[(uint64_t)c->plan.flip_at - offset] ^= (char)0xff;
	}
	out->pending = out->scratch;
	out->pending_len = (size_t)n;
	return 0;
}

/* Where sendfile can take the next bytes from; false: they must pass through memory. */
static bool find_run(struct srv_conn *c, uint64_t want, struct srv_synth_run *run)
{
	struct srv_object *o = c->reply.object;
	uint64_t offset = c->reply.first + c->out.at;
	int64_t flip = c->plan.flip_at;

	if (c->ssl != NULL || o == NULL || c->out.at >= c->out.real)
		return false;
	/* Stop short of the byte to flip, and pass a little from there through memory. */
	if (flip >= 0 && (uint64_t)flip >= offset && (uint64_t)flip < offset + want) {
		want = (uint64_t)flip - offset;
		if (want == 0)
			return false;
	}
	if (o->path != NULL) {
		run->fd = c->out.fd;
		run->fd_offset = (off_t)offset;
		run->len = want;
		return true;
	}
	srv_synth_run(srv_object_seed(o), offset, want, run);
	return run->fd != -1;
}

/* One piece of the body of at most want bytes.  Bytes sent or a negative errno. */
static ssize_t send_piece(struct srv_conn *c, uint64_t want)
{
	struct srv_out *out = &c->out;
	struct srv_synth_run run;
	bool more;
	ssize_t n;
	int r;

	if (out->pending_len == 0 && find_run(c, want, &run)) {
		n = sendfile(c->fd, run.fd, &run.fd_offset, (size_t)run.len);
		if (n == 0)
			return -EIO;
		return n < 0 ? -errno : n;
	}
	if (out->pending_len == 0) {
		if (out->at < out->real && want > out->real - out->at)
			want = out->real - out->at;
		r = make_pending(c, want);
		if (r != 0)
			return r;
	}
	n = (ssize_t)(out->pending_len < want ? out->pending_len : (size_t)want);
	more = out->at + (uint64_t)n < out->stop;
	n = srv_conn_send(c, out->pending, (size_t)n, more);
	if (n > 0) {
		out->pending += n;
		out->pending_len -= (size_t)n;
	}
	return n;
}

static int send_head(struct srv_conn *c)
{
	struct srv_out *out = &c->out;
	ssize_t n;

	while (out->head_at < out->head.len) {
		n = srv_conn_send(c, out->head.p + out->head_at, out->head.len - out->head_at,
				  out->stop > 0);
		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		out->head_at += (size_t)n;
	}
	return 1;
}

int srv_send_step(struct srv_conn *c)
{
	struct srv_out *out = &c->out;
	struct srv_limits *limits = &c->store->limits;
	uint64_t turn = 0, want, may;
	ssize_t n;
	int r;

	r = send_head(c);
	if (r <= 0)
		return r;
	while (out->at < out->stop) {
		if (turn >= TURN_BYTES) {
			srv_loop_again(c);
			return 0;
		}
		want = out->stop - out->at;
		if (want > TURN_BYTES - turn)
			want = TURN_BYTES - turn;
		may = c->in_flight ? srv_limits_take(limits, &out->level, c->plan.drip, want,
						     &c->wake_ns)
				   : want;
		if (may == 0)
			return 0;
		n = send_piece(c, may);
		if (n <= 0 && c->in_flight)
			srv_limits_give_back(limits, &out->level, may);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		if (c->in_flight)
			srv_limits_give_back(limits, &out->level, may - (uint64_t)n);
		out->at += (uint64_t)n;
		turn += (uint64_t)n;
		count_bytes(c, (uint64_t)n);
	}
	return 1;
}
