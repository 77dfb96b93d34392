/*
 * http_bench - the HTTP client alone: ranges of one URL over N connections,
 * into fresh memory (a memory file for each connection), in one thread.
 *
 *	http_bench [-c connections] [-m range MiB] [-t total GiB] [-s object MiB] [-w] [-k CA] URL
 *
 * -w: take the bytes through write() instead of splice().  Prints GB/s and CPU
 * seconds a GB of this process: not what the server burns, nor what giving the
 * memory back costs (it holds all that it has received until the end).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/http/client.h"
#include "daemon/http/sink.h"

#define CONNECTIONS_MAX 256

struct bench;

/* One connection's worth of work: range after range into a memory file of its own. */
struct lane {
	struct sink sink;
	struct bench *bench;
	struct http_exchange *exchange;
	int memfd;
	loff_t offset;
};

struct bench {
	struct event_base *base;
	struct http_client *client;
	char host[256];
	char target[1024];
	uint16_t port;
	bool tls;
	bool copies;
	uint64_t object_len; /* ranges wrap around here */
	uint64_t next;
	uint64_t end;
	uint64_t received;
	uint64_t range_len;
	unsigned nr_running;
	int error;
	struct lane lanes[CONNECTIONS_MAX];
};

static ssize_t lane_splice(struct sink *s, int pipe_fd, size_t len)
{
	struct lane *l = (struct lane *)s;
	ssize_t n = splice(pipe_fd, NULL, l->memfd, &l->offset, len, SPLICE_F_MOVE);

	return n == -1 ? -errno : n;
}

static int lane_write(struct sink *s, const void *buf, size_t len)
{
	struct lane *l = (struct lane *)s;
	ssize_t n = pwrite(l->memfd, buf, len, l->offset);

	if (n != (ssize_t)len)
		return n == -1 ? -errno : -EIO;
	l->offset += n;
	return 0;
}

static const struct sink_ops splice_ops = { .write = lane_write, .splice = lane_splice };
static const struct sink_ops write_ops = { .write = lane_write };

static void lane_next(struct lane *l);

static int lane_on_head(const struct http_response *res, struct sink **ret_sink, void *arg)
{
	struct lane *l = arg;

	if (http_response_status(res) != 206) {
		fprintf(stderr, "http_bench: status %d\n", http_response_status(res));
		return -EPROTO;
	}
	*ret_sink = &l->sink;
	return 0;
}

static void lane_on_done(int error, const struct http_response *res, void *arg)
{
	struct lane *l = arg;
	struct bench *b = l->bench;

	(void)res;
	b->nr_running--;
	if (error != 0) {
		fprintf(stderr, "http_bench: %s\n", http_error_text(b->client));
		b->error = error;
	} else if (b->next < b->end && b->error == 0) {
		lane_next(l);
	}
	if (b->nr_running == 0)
		event_base_loopbreak(b->base);
}

static void lane_next(struct lane *l)
{
	static const struct http_events events = { .on_head = lane_on_head,
						   .on_done = lane_on_done };
	struct bench *b = l->bench;
	uint64_t from = b->next % b->object_len;
	uint64_t len = b->object_len - from < b->range_len ? b->object_len - from : b->range_len;
	char range[80];
	struct http_header header = { "Range", range };
	struct http_request req = {
		.method = "GET",
		.host = b->host,
		.port = b->port,
		.tls = b->tls,
		.authority = b->host,
		.target = b->target,
		.headers = &header,
		.nr_headers = 1,
	};

	snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, from, from + len - 1);
	b->next += len;
	if (http_start(b->client, &req, &events, l, &l->exchange) != 0) {
		fprintf(stderr, "http_bench: cannot start\n");
		exit(1);
	}
	b->nr_running++;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double wall_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* http://host:port/target */
static int parse_url(struct bench *b, const char *url)
{
	const char *slash;
	char *colon;

	b->tls = strncmp(url, "https://", 8) == 0;
	if (!b->tls && strncmp(url, "http://", 7) != 0)
		return -EINVAL;
	url += b->tls ? 8 : 7;
	slash = strchr(url, '/');
	if (slash == NULL || (size_t)(slash - url) >= sizeof(b->host) ||
	    strlen(slash) >= sizeof(b->target))
		return -EINVAL;
	memcpy(b->host, url, (size_t)(slash - url));
	snprintf(b->target, sizeof(b->target), "%s", slash);
	b->port = b->tls ? 443 : 80;
	colon = strrchr(b->host, ':');
	if (colon != NULL) {
		*colon = '\0';
		b->port = (uint16_t)atoi(colon + 1);
	}
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: http_bench [-c connections] [-m range MiB] [-t total GiB] [-s size "
			"of the object in MiB] [-w] [-k CA file] URL\n");
	return 2;
}

int main(int argc, char **argv)
{
	static struct bench b = { .range_len = 8 << 20, .object_len = 1 << 30 };
	struct http_client_conf conf = { .max_connections = 16 };
	double total_gib = 4, wall, cpu;
	unsigned i, nr = 16;
	int opt;

	while ((opt = getopt(argc, argv, "c:m:t:s:wk:")) != -1) {
		if (opt == 'c')
			nr = (unsigned)atoi(optarg);
		else if (opt == 'm')
			b.range_len = (uint64_t)atoi(optarg) << 20;
		else if (opt == 't')
			total_gib = atof(optarg);
		else if (opt == 's')
			b.object_len = (uint64_t)atoi(optarg) << 20;
		else if (opt == 'w')
			b.copies = true;
		else if (opt == 'k')
			conf.tls_ca_file = optarg;
		else
			return usage();
	}
	if (optind + 1 != argc || nr == 0 || nr > CONNECTIONS_MAX || b.range_len == 0 ||
	    b.object_len == 0 || parse_url(&b, argv[optind]) != 0)
		return usage();

	b.end = (uint64_t)(total_gib * (1 << 30));
	conf.max_connections = nr;
	b.base = event_base_new();
	if (b.base == NULL || http_client_new(b.base, &conf, &b.client) != 0)
		return 1;
	wall = wall_seconds();
	cpu = cpu_seconds();
	for (i = 0; i < nr && b.next < b.end; i++) {
		b.lanes[i].sink.ops = b.copies ? &write_ops : &splice_ops;
		b.lanes[i].bench = &b;
		b.lanes[i].memfd = memfd_create("http_bench", MFD_CLOEXEC);
		if (b.lanes[i].memfd == -1) {
			perror("http_bench: memfd_create");
			return 1;
		}
		lane_next(&b.lanes[i]);
	}
	event_base_loop(b.base, EVLOOP_NO_EXIT_ON_EMPTY);
	wall = wall_seconds() - wall;
	cpu = cpu_seconds() - cpu;
	for (i = 0; i < nr; i++)
		b.received += (uint64_t)b.lanes[i].offset;
	http_client_free(b.client);
	event_base_free(b.base);
	if (b.error != 0)
		return 1;
	printf("%u connections, %s: %.2f GB in %.2f s: %.2f GB/s, %.3f CPU s/GB\n", nr,
	       b.copies ? "write" : "splice", (double)b.received / 1e9, wall,
	       (double)b.received / 1e9 / wall, cpu / ((double)b.received / 1e9));
	return 0;
}
