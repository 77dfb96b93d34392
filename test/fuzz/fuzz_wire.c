/*
 * Messages on the control socket.  The input is a sequence of packets, each
 * after its length in two bytes; before a packet the head's magic, length and
 * version may be put right (bits of the length's upper half), so that the
 * fuzzer need not guess them.
 */
#include "test/unit/session_fixture.h"

#include "daemon/base/log.h"

#define PACKETS_MAX 64
#define LEN_MASK    0x3fffu
#define PUT_RIGHT   0x8000u
#define SAY_HELLO   0x4000u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void turns(struct fixture *f)
{
	int i;

	for (i = 0; i < 4; i++)
		event_base_loop(f->base, EVLOOP_NONBLOCK);
}

/* Answers are read and dropped, their descriptors with them. */
static void drain(struct client *c)
{
	char answer[WIRE_MAX];
	ssize_t n;

	while ((n = recv(c->fd, answer, sizeof(answer), MSG_DONTWAIT)) > 0) {
		const struct wire_head *h = (const struct wire_head *)answer;

		if ((size_t)n < sizeof(*h) || h->magic != WIRE_MAGIC || h->len != (uint32_t)n)
			abort(); /* the daemon's own messages are always right */
		if (h->status < 0 && (size_t)n != sizeof(struct wire_error))
			abort();
	}
}

static void send_packet(struct fixture *f, const uint8_t *bytes, size_t len, unsigned flags)
{
	char packet[LEN_MASK + 1];
	struct wire_head *h = (struct wire_head *)packet;

	memcpy(packet, bytes, len);
	if ((flags & PUT_RIGHT) != 0 && len >= sizeof(*h)) {
		h->magic = WIRE_MAGIC;
		h->version = WIRE_VERSION;
		h->len = (uint32_t)len;
		h->type %= WIRE_NR_TYPES;
	}
	if (send(f->c.fd, packet, len, MSG_DONTWAIT | MSG_NOSIGNAL) == -1 && errno != EPIPE &&
	    errno != ECONNRESET && errno != EAGAIN)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct fixture *f;
	unsigned i;

	log_set_level(LOG_LEVEL_ERROR);
	f = fixture_new();
	for (i = 0; i < PACKETS_MAX && len >= 2; i++) {
		unsigned flags = bytes[0] | (unsigned)bytes[1] << 8;
		size_t n = flags & LEN_MASK;

		bytes += 2;
		len -= 2;
		n = n < len ? n : len;
		if ((flags & SAY_HELLO) != 0) {
			const struct wire_hello hello = {
				.head = wire_head(WIRE_HELLO, 1, sizeof(hello)),
				.wire_version = WIRE_VERSION,
			};

			(void)send(f->c.fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_NOSIGNAL);
		}
		if (n > 0)
			send_packet(f, bytes, n, flags);
		bytes += n;
		len -= n;
		turns(f);
		drain(&f->c);
		if (sessions_count(f->ss) == 0) {
			client_close(&f->c);
			client_connect(f, &f->c);
		}
	}
	fixture_free(f);
	return 0;
}
