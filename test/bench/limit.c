/*
 * limit.c - the limit that rates are compared with: one thread that does nothing
 * but splice the ranges of some objects from a store, over N connections, into
 * fresh memory files, in pages of 4 KiB, as a program without a mount of its
 * own has them.  No retry, no check: an answer that is not 206 with the
 * length asked for ends the program.
 *
 *	limit [--tls] HOST:PORT CONNECTIONS CHUNK_BYTES SIZE PATH [PATH ...]
 *
 * Every PATH ("/bucket/key") has SIZE bytes.  Prints one line of JSON.
 * --tls: what TLS allows at best: decrypted into one hot buffer, and written to
 * the memory file from there; the certificate is not looked at.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX  8192
#define PIPE_SIZE (1 << 20)
#define HOT_SIZE  (256 << 10)

struct conn {
	int fd;
	SSL *ssl; /* NULL: plain */
	int pipe[2];
	int mem;       /* of the object whose range is under way */
	uint64_t off;  /* where the next byte goes */
	uint64_t left; /* of the body */
	size_t head_len;
	bool in_body;
	char head[HEAD_MAX];
};

static struct {
	struct sockaddr_in addr;
	const char *host;
	char **paths;
	int *mems;
	unsigned nr_paths;
	uint64_t size, chunk;
	unsigned path; /* the next range to hand out */
	uint64_t next;
	uint64_t got;
	SSL_CTX *tls; /* NULL: plain */
	char hot[HOT_SIZE];
} job;

static void die(const char *what)
{
	fprintf(stderr, "limit: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* As recv and send: -1 and EAGAIN when nothing can be had now. */
static ssize_t tls_result(struct conn *c, int n)
{
	if (n > 0)
		return n;
	errno = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
	return -1;
}

static ssize_t take(struct conn *c, void *buf, size_t len)
{
	if (c->ssl == NULL)
		return recv(c->fd, buf, len, 0);
	return tls_result(c, SSL_read(c->ssl, buf, (int)len));
}

static ssize_t put(struct conn *c, const void *buf, size_t len)
{
	if (c->ssl == NULL)
		return write(c->fd, buf, len);
	return tls_result(c, SSL_write(c->ssl, buf, (int)len));
}

/* Ask for the next range; false when all were handed out. */
static bool ask(struct conn *c)
{
	char req[2048];
	uint64_t last;
	int n;

	if (job.path == job.nr_paths)
		return false;
	last = job.next + job.chunk < job.size ? job.next + job.chunk : job.size;
	n = snprintf(req, sizeof(req),
		     "GET %s HTTP/1.1\r\nHost: %s\r\nRange: bytes=%llu-%llu\r\n\r\n",
		     job.paths[job.path], job.host, (unsigned long long)job.next,
		     (unsigned long long)last - 1);
	if (n >= (int)sizeof(req) || put(c, req, (size_t)n) != n)
		die("send request");
	c->mem = job.mems[job.path];
	c->off = job.next;
	c->left = last - job.next;
	c->head_len = 0;
	c->in_body = false;
	job.next = last;
	if (job.next == job.size) {
		job.next = 0;
		job.path++;
	}
	return true;
}

/* The head, and what of the body came with it.  False: more is needed. */
static bool read_head(struct conn *c)
{
	ssize_t n = take(c, c->head + c->head_len, HEAD_MAX - 1 - c->head_len);
	size_t body;
	char *end;

	if (n == -1 && errno == EAGAIN)
		return false;
	if (n <= 0)
		die("receive head");
	c->head_len += (size_t)n;
	c->head[c->head_len] = '\0';
	end = strstr(c->head, "\r\n\r\n");
	if (end == NULL)
		return false;
	if (strncmp(c->head, "HTTP/1.1 206", 12) != 0) {
		fprintf(stderr, "limit: the store answered '%.*s'\n", 40, c->head);
		exit(1);
	}
	end += 4;
	body = c->head_len - (size_t)(end - c->head);
	if (body > 0 && pwrite(c->mem, end, body, (off_t)c->off) != (ssize_t)body)
		die("write");
	c->off += body;
	c->left -= body;
	job.got += body;
	c->in_body = true;
	return true;
}

/* Some of the body into the memory file; 0: nothing can be had now. */
static size_t splice_body(struct conn *c, size_t want)
{
	loff_t off = (loff_t)c->off;
	ssize_t n, m, k;

	n = splice(c->fd, NULL, c->pipe[1], NULL, want, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	if (n == -1 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		die("splice from the socket");
	for (m = n; m > 0; m -= k) {
		k = splice(c->pipe[0], NULL, c->mem, &off, (size_t)m, SPLICE_F_MOVE);
		if (k <= 0)
			die("splice to memory");
	}
	return (size_t)n;
}

/* The same by TLS; a record has 16 KiB, so the hot buffer is filled first. */
static size_t decrypt_body(struct conn *c, size_t want)
{
	size_t have = 0;
	ssize_t n;

	want = want < HOT_SIZE ? want : HOT_SIZE;
	while (have < want) {
		n = take(c, job.hot + have, want - have);
		if (n == -1 && errno == EAGAIN)
			break;
		if (n <= 0)
			die("receive");
		have += (size_t)n;
	}
	if (have > 0 && pwrite(c->mem, job.hot, have, (off_t)c->off) != (ssize_t)have)
		die("write");
	return have;
}

static void move(struct conn *c)
{
	for (;;) {
		size_t want, n;

		if (!c->in_body && !read_head(c))
			return;
		if (c->left == 0) {
			if (!ask(c))
				return;
			continue;
		}
		want = c->left < PIPE_SIZE ? c->left : PIPE_SIZE;
		n = c->ssl != NULL ? decrypt_body(c, want) : splice_body(c, want);
		if (n == 0)
			return;
		c->off += n;
		c->left -= n;
		job.got += n;
	}
}

static void open_conn(struct conn *c, int ep)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1 || connect(c->fd, (struct sockaddr *)&job.addr, sizeof(job.addr)) == -1)
		die("connect");
	if (job.tls != NULL) {
		c->ssl = SSL_new(job.tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1)
			die("TLS");
	}
	if (fcntl(c->fd, F_SETFL, O_NONBLOCK) == -1 || pipe2(c->pipe, O_CLOEXEC) == -1)
		die("pipe");
	fcntl(c->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1)
		die("epoll");
}

static void parse_address(char *where)
{
	char *colon = strrchr(where, ':');

	if (colon == NULL) {
		fprintf(stderr, "limit: '%s' is not HOST:PORT\n", where);
		exit(2);
	}
	*colon = '\0';
	job.addr.sin_family = AF_INET;
	job.addr.sin_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, where, &job.addr.sin_addr) != 1) {
		fprintf(stderr, "limit: '%s' is not an IPv4 address\n", where);
		exit(2);
	}
	*colon = ':';
	job.host = where;
}

static void run(unsigned nr_conns, uint64_t total)
{
	struct conn *conns = calloc(nr_conns, sizeof(*conns));
	struct epoll_event events[64];
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (conns == NULL || ep == -1)
		die("start");
	for (unsigned i = 0; i < nr_conns; i++) {
		open_conn(&conns[i], ep);
		ask(&conns[i]);
	}
	while (job.got < total) {
		int n = epoll_wait(ep, events, 64, 30000);

		if (n <= 0)
			die(n == 0 ? "nothing came for 30 s" : "epoll_wait");
		for (int i = 0; i < n; i++)
			move(events[i].data.ptr);
	}
	for (unsigned i = 0; i < nr_conns; i++) {
		SSL_free(conns[i].ssl);
		close(conns[i].fd);
	}
	free(conns);
	close(ep);
}

int main(int argc, char **argv)
{
	struct rusage ru;
	double start, secs, cpu;
	uint64_t total;

	if (argc > 1 && strcmp(argv[1], "--tls") == 0) {
		job.tls = SSL_CTX_new(TLS_client_method());
		if (job.tls == NULL)
			die("TLS");
		argv++;
		argc--;
	}
	if (argc < 6) {
		fprintf(stderr,
			"usage: limit [--tls] HOST:PORT CONNECTIONS CHUNK_BYTES SIZE PATH...\n");
		return 2;
	}
	parse_address(argv[1]);
	job.chunk = strtoull(argv[3], NULL, 0);
	job.size = strtoull(argv[4], NULL, 0);
	job.paths = argv + 5;
	job.nr_paths = (unsigned)(argc - 5);
	job.mems = calloc(job.nr_paths, sizeof(int));
	if (job.chunk == 0 || job.size == 0 || job.mems == NULL) {
		fprintf(stderr, "limit: CHUNK_BYTES and SIZE must be positive\n");
		return 2;
	}
	for (unsigned i = 0; i < job.nr_paths; i++) {
		job.mems[i] = memfd_create("limit", MFD_CLOEXEC);
		if (job.mems[i] == -1 || ftruncate(job.mems[i], (off_t)job.size) == -1)
			die("memfd");
	}
	total = job.size * job.nr_paths;
	start = now();
	run((unsigned)atoi(argv[2]), total);
	secs = now() - start;
	getrusage(RUSAGE_SELF, &ru);
	cpu = (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	      (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"gb_per_s\": %.3f, \"cpu_s_per_gb\": %.3f}\n",
	       (unsigned long long)total, secs, (double)total / 1e9 / secs,
	       cpu / ((double)total / 1e9));
	return 0;
}
