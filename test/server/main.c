/* ossstore - the test store: OSS and S3 over a folder, with a control URL to make it misbehave. */
#include "test/server/srv_hash.h"
#include "test/server/srv_loop.h"
#include "test/server/srv_text.h"
#include "test/server/srv_tls.h"
#include "test/server/srv_upload.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
	"usage: ossstore --root DIR [options]\n"
	"  --listen ADDRESS:PORT      plain HTTP; may be repeated (default 127.0.0.1:0)\n"
	"  --tls-cert F --tls-key F --tls-listen ADDRESS:PORT\n"
	"  --threads N                default 2\n"
	"  --region R                 default cn-hangzhou; '*' takes any\n"
	"  --product P                of OSS V4, default oss\n"
	"  --key AK:SK[:TOKEN[:EXPIRY]]  may be repeated; without any, everybody may do anything\n"
	"  --anonymous BUCKET         may be read without a key; may be repeated\n"
	"  --host-suffix S            BUCKET.S names a bucket; may be repeated (default "
	"oss.test.local)\n"
	"  --virtual-only             answer path style with SecondLevelDomainForbidden\n"
	"  --allow-path-style         the default\n"
	"  --dialect auto|oss|s3      refuse the other one's signatures\n"
	"  --min-part BYTES           least part size, default 102400\n"
	"  --ready-file F             written once the store answers\n"
	"  --verbose                  one line a request on stderr\n";

enum {
	O_LISTEN = 256,
	O_TLS_CERT,
	O_TLS_KEY,
	O_TLS_LISTEN,
	O_ROOT,
	O_THREADS,
	O_REGION,
	O_PRODUCT,
	O_KEY,
	O_ANONYMOUS,
	O_PATH_STYLE,
	O_VIRTUAL_ONLY,
	O_SUFFIX,
	O_DIALECT,
	O_MIN_PART,
	O_READY,
	O_VERBOSE,
	O_HELP,
};

static const struct option long_options[] = {
	{ "listen", required_argument, NULL, O_LISTEN },
	{ "tls-cert", required_argument, NULL, O_TLS_CERT },
	{ "tls-key", required_argument, NULL, O_TLS_KEY },
	{ "tls-listen", required_argument, NULL, O_TLS_LISTEN },
	{ "root", required_argument, NULL, O_ROOT },
	{ "threads", required_argument, NULL, O_THREADS },
	{ "region", required_argument, NULL, O_REGION },
	{ "product", required_argument, NULL, O_PRODUCT },
	{ "key", required_argument, NULL, O_KEY },
	{ "anonymous", required_argument, NULL, O_ANONYMOUS },
	{ "allow-path-style", no_argument, NULL, O_PATH_STYLE },
	{ "virtual-only", no_argument, NULL, O_VIRTUAL_ONLY },
	{ "host-suffix", required_argument, NULL, O_SUFFIX },
	{ "dialect", required_argument, NULL, O_DIALECT },
	{ "min-part", required_argument, NULL, O_MIN_PART },
	{ "ready-file", required_argument, NULL, O_READY },
	{ "verbose", no_argument, NULL, O_VERBOSE },
	{ "help", no_argument, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

static void __attribute__((noreturn)) die(const char *what, const char *about)
{
	fprintf(stderr, "ossstore: %s: %s\n", what, about);
	exit(1);
}

/* Appends to a NULL-terminated list of SRV_LISTEN_MAX. */
static void append(const char **list, const char *value)
{
	size_t n = 0;

	while (list[n] != NULL)
		n++;
	if (n == SRV_LISTEN_MAX)
		die("too many of one option", value);
	list[n] = value;
}

/* AK:SK[:TOKEN[:EXPIRY]]; a token may hold colons, so the expiry is what follows the last one. */
static void add_key(struct srv_creds *creds, const char *text)
{
	char *copy = srv_strndup(text, strlen(text));
	char *sk = strchr(copy, ':');
	char *token = sk != NULL ? strchr(sk + 1, ':') : NULL;
	char *expiry = token != NULL ? strrchr(token + 1, ':') : NULL;
	uint64_t expires = 0;

	if (sk == NULL)
		die("--key must be AK:SK[:TOKEN[:EXPIRY]]", "no colon");
	*sk++ = '\0';
	if (token != NULL)
		*token++ = '\0';
	if (expiry != NULL && srv_parse_u64(expiry + 1, &expires))
		*expiry = '\0';
	if (!srv_creds_set(creds, copy, sk, token != NULL ? token : "", (int64_t)expires))
		die("--key must be AK:SK[:TOKEN[:EXPIRY]]", "a part is empty or too long");
	free(copy);
}

static void set_dialect(struct srv_sign_rules *rules, const char *value)
{
	if (strcmp(value, "oss") == 0) {
		rules->oss_only = true;
	} else if (strcmp(value, "s3") == 0) {
		rules->s3_only = true;
		rules->fallback = SRV_S3;
	} else if (strcmp(value, "auto") != 0) {
		die("--dialect must be auto, oss or s3", value);
	}
}

static uint64_t number(const char *value, uint64_t min, uint64_t max)
{
	uint64_t n;

	if (!srv_parse_u64(value, &n) || n < min || n > max)
		die("not a number in range", value);
	return n;
}

static void set_option(struct srv_options *o, struct srv_store *s, const char **anonymous, int c)
{
	switch (c) {
	case O_LISTEN:
		append(o->listen, optarg);
		break;
	case O_TLS_CERT:
		o->tls_cert = optarg;
		break;
	case O_TLS_KEY:
		o->tls_key = optarg;
		break;
	case O_TLS_LISTEN:
		append(o->tls_listen, optarg);
		break;
	case O_ROOT:
		o->root = optarg;
		break;
	case O_THREADS:
		o->threads = (unsigned)number(optarg, 1, 64);
		break;
	case O_REGION:
		o->region = strcmp(optarg, "*") == 0 ? o->region : optarg;
		o->sign.any_region = strcmp(optarg, "*") == 0;
		break;
	case O_PRODUCT:
		o->sign.product = optarg;
		break;
	case O_KEY:
		add_key(s->creds, optarg);
		break;
	case O_ANONYMOUS:
		append(anonymous, optarg);
		break;
	case O_PATH_STYLE:
		o->virtual_only = false;
		break;
	case O_VIRTUAL_ONLY:
		o->virtual_only = true;
		break;
	case O_SUFFIX:
		append(o->suffixes, optarg);
		break;
	case O_DIALECT:
		set_dialect(&o->sign, optarg);
		break;
	case O_MIN_PART:
		o->min_part = number(optarg, 0, UINT64_C(5) << 30);
		break;
	case O_READY:
		o->ready_file = optarg;
		break;
	case O_VERBOSE:
		o->verbose = true;
		break;
	case O_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		exit(1);
	}
}

/* Splits ADDRESS:PORT; an IPv6 address stands in brackets. */
static int open_listener(const char *where, char *ret_name, size_t cap)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	char *host = srv_strndup(where, strlen(where));
	char *port = strrchr(host, ':'), text[64], service[16];
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addrinfo *ai;
	int fd, one = 1, r;

	if (port == NULL)
		die("not ADDRESS:PORT", where);
	*port++ = '\0';
	if (host[0] == '[' && port[-2] == ']')
		port[-2] = '\0';
	r = getaddrinfo(host[0] == '[' ? host + 1 : host, port, &hints, &ai);
	if (r != 0)
		die(where, gai_strerror(r));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		die(where, strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == -1 || listen(fd, 4096) == -1)
		die(where, strerror(errno));
	freeaddrinfo(ai);
	free(host);
	getsockname(fd, (struct sockaddr *)&ss, &len);
	getnameinfo((struct sockaddr *)&ss, len, text, sizeof(text), service, sizeof(service),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(ret_name, cap, ss.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", text, service);
	return fd;
}

/* One line of JSON that says where we are. */
static void announce(const struct srv_options *o, char http[][96], char https[][96])
{
	struct srv_buf b = { 0 };
	FILE *f;
	size_t i;

	srv_buf_fmt(&b, "{\"http\":\"%s\",", http[0]);
	if (o->tls_listen[0] != NULL)
		srv_buf_fmt(&b, "\"https\":\"%s\",", https[0]);
	else
		srv_buf_str(&b, "\"https\":null,");
	srv_buf_fmt(&b, "\"control\":\"http://%s/.ctl\",\"all\":[", http[0]);
	for (i = 0; o->listen[i] != NULL; i++)
		srv_buf_fmt(&b, "%s\"%s\"", i > 0 ? "," : "", http[i]);
	srv_buf_fmt(&b, "],\"pid\":%d}\n", (int)getpid());
	if (o->ready_file != NULL) {
		f = fopen(o->ready_file, "w");
		if (f == NULL || fputs(b.p, f) == EOF || fclose(f) == EOF)
			die(o->ready_file, strerror(errno));
	}
	fputs(b.p, stdout);
	fflush(stdout);
	srv_buf_free(&b);
}

static int open_all(const struct srv_options *o, int *fds, bool *tls, char http[][96],
		    char https[][96])
{
	int nr = 0, i;

	for (i = 0; o->listen[i] != NULL; i++) {
		tls[nr] = false;
		fds[nr++] = open_listener(o->listen[i], http[i], 96);
	}
	for (i = 0; o->tls_listen[i] != NULL; i++) {
		tls[nr] = true;
		fds[nr++] = open_listener(o->tls_listen[i], https[i], 96);
	}
	return nr;
}

static void raise_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

static void complete_options(struct srv_options *o)
{
	char *root;

	if (o->root == NULL)
		die("--root is missing", "the folder that holds the buckets");
	root = realpath(o->root, NULL);
	if (root == NULL)
		die(o->root, strerror(errno));
	o->root = root;
	if (o->listen[0] == NULL)
		o->listen[0] = "127.0.0.1:0";
	if (o->suffixes[0] == NULL)
		o->suffixes[0] = "oss.test.local";
	o->sign.region = o->region;
	if (o->tls_listen[0] != NULL && (o->tls_cert == NULL || o->tls_key == NULL))
		die("--tls-listen", "needs --tls-cert and --tls-key");
}

int main(int argc, char **argv)
{
	struct srv_options options = { .region = "cn-hangzhou",
				       .threads = 2,
				       .min_part = 102400,
				       .sign = { .product = "oss" } };
	struct srv_store store = { .options = &options };
	char http[SRV_LISTEN_MAX][96] = { "" }, https[SRV_LISTEN_MAX][96] = { "" };
	const char *anonymous[SRV_LISTEN_MAX + 1] = { NULL };
	int fds[2 * SRV_LISTEN_MAX], c, nr, i, sig;
	bool tls[2 * SRV_LISTEN_MAX];
	sigset_t set;

	store.creds = srv_creds_new();
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(&options, &store, anonymous, c);
	if (optind != argc)
		die("what is this?", argv[optind]);
	complete_options(&options);

	/* All threads inherit the mask; main alone takes these signals. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_limit();
	srv_crc_init();
	srv_limits_init(&store.limits);
	srv_counts_init(&store.counts);
	store.faults = srv_faults_new();
	store.uploads = srv_uploads_new();
	store.index = srv_index_new(options.root);
	for (i = 0; anonymous[i] != NULL; i++)
		srv_index_set_anonymous(store.index, anonymous[i]);
	if (options.tls_listen[0] != NULL) {
		store.tls = srv_tls_new(options.tls_cert, options.tls_key);
		if (store.tls == NULL)
			die(options.tls_cert, "certificate or key cannot be used");
	}
	nr = open_all(&options, fds, tls, http, https);
	store.hasher = srv_hasher_new(&store);
	c = srv_loops_start(&store, fds, tls, (size_t)nr);
	if (c != 0)
		die("cannot start", strerror(-c));
	srv_hasher_add_all(store.hasher);
	announce(&options, http, https);

	sigwait(&set, &sig);
	srv_hasher_stop(store.hasher);
	srv_loops_stop(&store);
	srv_hasher_free(store.hasher);
	srv_uploads_free(store.uploads);
	srv_index_free(store.index);
	srv_faults_free(store.faults);
	srv_creds_free(store.creds);
	srv_counts_fini(&store.counts);
	srv_tls_free(store.tls);
	free((char *)options.root);
	return 0;
}
