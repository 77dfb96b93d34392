/*
 * osscd: the daemon.  Options, start, signals and end; everything else is
 * somebody else's.  Parts are made from the bottom up and end from the top down.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/strbuf.h"
#include "daemon/base/audit.h"
#include "daemon/base/sdnotify.h"
#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/cache/memavail.h"
#include "daemon/cache/memhome.h"
#include "daemon/config/settings.h"
#include "daemon/mount/mount.h"
#include "daemon/net/source.h"
#include "daemon/session/place.h"
#include "daemon/session/session.h"
#include "daemon/status/logplace.h"
#include "daemon/status/report.h"

#define LOG_MODULE "osscd"
#include "daemon/base/log.h"

#define HUGE_PAGE_LEN	     (2u << 20) /* x86-64 and arm64 with 4 KiB pages */
#define LIST_CONCURRENCY_MAX 1024
#define PRINT_MAX	     (1u << 20)
#define TEXT_MAX	     1024

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_CHECKED 1
#endif
#endif
#ifndef LEAKS_ARE_CHECKED
#define LEAKS_ARE_CHECKED 0
#endif

struct options {
	const char *config;
	const char *socket;
	long idle_exit_sec; /* -1: stay */
	bool check_config, print_config;
};

/* Keys of stores that were in the environment; wiped there. */
struct own_keys {
	char *access_key, *secret, *token;
};

struct daemon {
	struct options options;
	char *config_path;     /* absolute; NULL: none */
	struct settings *boot; /* what parts may still point into; lives as long as they do */
	struct settings *now;
	struct own_keys keys;
	struct place place;
	struct logplace logs;
	struct worker *control;
	struct cache *cache;
	struct mounts *mounts;
	struct sessions *sessions;
	struct event *on_term, *on_int, *on_hup, *idle;
	struct timespec started;
};

/* ---- options ---------------------------------------------------------------------- */

static const char usage[] =
	"usage: osscd [--config FILE] [--socket PATH] [--idle-exit SEC]\n"
	"       osscd --check-config [FILE]\n"
	"       osscd --print-config [--config FILE]\n"
	"\n"
	"Downloads objects of a store into shared memory and lets client processes read them.\n"
	"Runs in the foreground.\n"
	"\n"
	"  --config FILE      configuration, YAML or JSON; else $OSSC_CONFIG, else config.yaml or\n"
	"                     config.json in /etc/oss-connector, else the defaults\n"
	"  --socket PATH      control socket; else $OSSC_SOCKET, else the key `socket`, else\n"
	"                     /run/oss-connector/osscd.sock (root), "
	"$XDG_RUNTIME_DIR/oss-connector\n"
	"                     or /tmp/ossc-UID\n"
	"  --idle-exit SEC    end when nobody has needed the daemon for so long\n"
	"  --check-config     say every fault of the configuration; exit 1 if there is any\n"
	"  --print-config     print every key with its value, default and meaning\n"
	"  --version, --help\n"
	"\n"
	"See osscd(8) and osscd.yaml(5).\n";

static int parse_options(int argc, char **argv, struct options *o)
{
	enum {
		OPT_CONFIG = 1000,
		OPT_SOCKET,
		OPT_IDLE,
		OPT_CHECK,
		OPT_PRINT,
		OPT_VERSION,
		OPT_HELP,
	};
	static const struct option known[] = {
		{ "config", required_argument, NULL, OPT_CONFIG },
		{ "socket", required_argument, NULL, OPT_SOCKET },
		{ "idle-exit", required_argument, NULL, OPT_IDLE },
		{ "check-config", optional_argument, NULL, OPT_CHECK },
		{ "print-config", no_argument, NULL, OPT_PRINT },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, OPT_HELP },
		{ 0 },
	};
	char *end;
	int c;

	*o = (struct options){ .idle_exit_sec = -1 };
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", known, NULL)) != -1) {
		switch (c) {
		case OPT_CONFIG:
			o->config = optarg;
			break;
		case OPT_SOCKET:
			o->socket = optarg;
			break;
		case OPT_IDLE:
			o->idle_exit_sec = strtol(optarg, &end, 10);
			if (*end != '\0' || end == optarg || o->idle_exit_sec < 0 ||
			    o->idle_exit_sec > 31536000) {
				fprintf(stderr, "osscd: --idle-exit wants seconds, not %s\n",
					optarg);
				return 2;
			}
			break;
		case OPT_CHECK:
			o->check_config = true;
			o->config = optarg != NULL ? optarg : o->config;
			break;
		case OPT_PRINT:
			o->print_config = true;
			break;
		case OPT_VERSION:
			puts("osscd " OSSC_VERSION);
			return -1;
		case OPT_HELP:
			fputs(usage, stdout);
			return -1;
		case ':':
			fprintf(stderr, "osscd: %s wants a value; see osscd --help\n",
				argv[optind - 1]);
			return 2;
		default:
			fprintf(stderr, "osscd: unknown option %s; see osscd --help\n",
				argv[optind - 1]);
			return 2;
		}
	}
	if (o->check_config && o->config == NULL && optind == argc - 1)
		o->config = argv[optind++];
	if (optind == argc)
		return 0;
	fprintf(stderr, "osscd: unexpected argument %s; see osscd --help\n", argv[optind]);
	return 2;
}

/* ---- the process ------------------------------------------------------------------- */

/* What a caller closed would otherwise become a socket that prints hit. */
static void open_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void harden(void)
{
	const struct rlimit no_core = { 0, 0 }, wanted = { 1 << 16, 1 << 16 };
	struct rlimit files;

	/* Keys of stores are in this memory. */
	setrlimit(RLIMIT_CORE, &no_core);
	if (!LEAKS_ARE_CHECKED)
		prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	umask(022);
	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return;
	/* Room for the objects that cache.maxObjects allows; only root may raise its hard limit. */
	if (files.rlim_max >= wanted.rlim_max || setrlimit(RLIMIT_NOFILE, &wanted) == -1) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* The value, which is no longer in the environment nor in the memory it came from. */
static char *take_secret(const char *name)
{
	char *value = getenv(name), *copy;

	if (value == NULL)
		return NULL;
	copy = value[0] != '\0' ? xstrdup(value) : NULL;
	wipe_string(value);
	unsetenv(name);
	return copy;
}

static void take_keys(struct own_keys *k)
{
	k->access_key = take_secret("OSS_ACCESS_KEY_ID");
	k->secret = take_secret("OSS_ACCESS_KEY_SECRET");
	k->token = take_secret("OSS_SESSION_TOKEN");
}

static void drop_keys(struct own_keys *k)
{
	wipe_string(k->access_key);
	wipe_string(k->secret);
	wipe_string(k->token);
	free(k->access_key);
	free(k->secret);
	free(k->token);
}

/* ---- configuration ------------------------------------------------------------------- */

static void print_problem(bool is_error, const char *text, void *arg)
{
	(void)arg;
	fprintf(stderr, "osscd: %s%s\n", is_error ? "" : "warning: ", text);
}

static void log_problem(bool is_error, const char *text, void *arg)
{
	(void)arg;
	if (is_error)
		log_error("%s", text);
	else
		log_warn("%s", text);
}

static int check_config(const char *path)
{
	struct settings *s = settings_new();
	unsigned nr;

	nr = settings_load(s, path, print_problem, NULL);
	settings_free(s);
	if (nr == 0)
		printf("%s: no errors\n", path != NULL ? path : "defaults (there is no file)");
	return nr != 0;
}

static int print_config(const char *path)
{
	struct settings *s = settings_new();
	struct strbuf out;
	unsigned nr;

	nr = settings_load(s, path, print_problem, NULL);
	if (nr == 0) {
		strbuf_init(&out, PRINT_MAX);
		conf_print(s->conf, &out);
		fputs(strbuf_str(&out), stdout);
		strbuf_fini(&out);
	}
	settings_free(s);
	return nr != 0;
}

static unsigned nr_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (unsigned)CPU_COUNT(&set);
	return (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
}

static const char *or_null(const char *s)
{
	return s[0] != '\0' ? s : NULL;
}

/* Each open object takes two descriptors; an eighth, of few a half, is for connections and clients. */
static unsigned objects_most(unsigned wanted)
{
	struct rlimit files;
	rlim_t spare, most;

	if (getrlimit(RLIMIT_NOFILE, &files) == -1 || files.rlim_cur == RLIM_INFINITY)
		return wanted;
	spare = files.rlim_cur / (files.rlim_cur < 2048 ? 2 : 8);
	most = (files.rlim_cur - spare) / 2;
	return most < wanted ? (unsigned)most : wanted;
}

static void fill_cache_conf(const struct settings *s, struct cache_conf *ret)
{
	static_assert(SETTINGS_VERIFY_OFF == (int)VERIFY_OFF &&
			      SETTINGS_VERIFY_ON == (int)VERIFY_ON &&
			      SETTINGS_VERIFY_STRICT == (int)VERIFY_STRICT,
		      "the words stand in the order of the modes");
	*ret = (struct cache_conf){
		.size = s->cache.size,
		.chunk_shift = (unsigned)__builtin_ctzll(s->cache.chunk_size),
		.expire_ms = s->cache.expire_sec * 1000,
		.max_objects = objects_most(s->cache.max_objects),
		.verify = (enum verify_mode)s->cache.verify,
		.nr_cpus = nr_cpus(),
	};
}

static enum memfile_pages want_pages(const struct cache_settings *s)
{
	if (s->chunk_size < HUGE_PAGE_LEN || s->huge_pages == SETTINGS_HUGE_OFF)
		return MEMFILE_SMALL;
	if (s->huge_pages == SETTINGS_HUGE_AUTO)
		return memavail_is_taken_back("") ? MEMFILE_LARGE : MEMFILE_HUGE;
	return s->huge_pages == SETTINGS_HUGE_ON ? MEMFILE_HUGE : MEMFILE_LARGE;
}

/* Object memory that only this daemon can write; the mount point is beside the socket. */
static int make_home(const struct daemon *d, struct cache_conf *ret)
{
	static_assert(SETTINGS_MEMORY_AUTO == (int)MEMHOME_AUTO &&
			      SETTINGS_MEMORY_TMPFS == (int)MEMHOME_TMPFS &&
			      SETTINGS_MEMORY_MEMFD == (int)MEMHOME_MEMFD,
		      "the words stand in the order of the kinds");
	const struct cache_settings *s = &d->now->cache;
	char parent[PLACE_PATH_MAX];
	struct memhome_conf conf = {
		.kind = (enum memhome_kind)s->memory,
		.pages = want_pages(s),
		.parent = parent,
		.cache_size = s->size,
	};

	memcpy(parent, d->place.path, sizeof(parent));
	*strrchr(parent, '/') = '\0';
	return memhome_open(&conf, &ret->memory_dir, &ret->pages);
}

static void fill_mounts_conf(const struct settings *s, struct mounts_conf *ret)
{
	unsigned cpus = nr_cpus(), listings = s->mount.list_vcpus * s->mount.list_workers;
	unsigned threads = s->mount.prefetch_vcpus < cpus ? s->mount.prefetch_vcpus : cpus;
	unsigned ranges = s->mount.prefetch_vcpus * s->mount.prefetch_workers;

	*ret = (struct mounts_conf){
		.ranges_per_worker = (ranges + threads - 1) / threads,
		.nr_workers = threads,
		.list_concurrency =
			listings < LIST_CONCURRENCY_MAX ? listings : LIST_CONCURRENCY_MAX,
		.refresh_ms = s->mount.refresh_sec * 1000,
		.expire_ms = s->cache.expire_sec * 1000,
		.connect_timeout_ms = s->network.connect_timeout_sec * 1000,
		.idle_timeout_ms = s->network.idle_timeout_sec * 1000,
		.retry_budget_ms = s->network.retry_sec * 1000,
		.tls_ca_file = or_null(s->network.ca_file),
		.cred_file = or_null(s->mount.cred_file),
		.sources = or_null(s->network.source_ip),
		.endpoint = or_null(s->network.endpoint),
		.region = or_null(s->network.region),
		.path_style = settings_path_styles[s->network.path_style],
	};
}

/* ---- reload ---------------------------------------------------------------------------- */

static void say_change(const struct conf_key *key, const char *before, const char *after, void *arg)
{
	(void)arg;
	if ((key->flags & CONF_RELOAD) != 0)
		log_info("%s: %s, was %s", key->name, after, before);
	else
		log_warn("%s: %s takes effect after a restart; %s stays until then", key->name,
			 after, before);
}

static void grow_home(uint64_t cache_size)
{
	int r = memhome_grow(cache_size);

	if (r != 0)
		log_error("cache.size: the memory for objects cannot grow (%s): a larger cache "
			  "takes a restart",
			  strerror(-r));
}

static void reload(struct daemon *d)
{
	struct settings *fresh = settings_new();
	struct mounts_conf mounts;
	struct cache_conf cache;

	if (settings_load(fresh, d->config_path, log_problem, NULL) != 0) {
		log_error("the configuration stays as it was; correct it and send SIGHUP again");
		settings_free(fresh);
		return;
	}
	conf_carry_over(fresh->conf, d->now->conf, say_change, NULL);
	fill_cache_conf(fresh, &cache);
	fill_mounts_conf(fresh, &mounts);
	log_set_level((enum log_level)fresh->log.level);
	grow_home(cache.size);
	cache_reconfigure(d->cache, &cache);
	if (mounts_reconfigure(d->mounts, &mounts) != 0)
		log_error("the mounts keep their former settings");
	sessions_set_bounds(d->sessions, fresh->socket.max_sessions,
			    fresh->socket.max_sessions_per_user);
	sessions_set_mmap(d->sessions, (unsigned)fresh->mount.mmap);
	if (d->now != d->boot)
		settings_free(d->now);
	d->now = fresh;
	log_info("reloaded %s", d->config_path != NULL ? d->config_path : "the defaults");
}

static void on_reload(evutil_socket_t signo, short what, void *arg)
{
	struct daemon *d = arg;

	(void)signo;
	(void)what;
	(void)sdnotify_reloading();
	logplace_reopen(&d->logs);
	reload(d);
	(void)sdnotify("READY=1");
}

/* ---- the end ------------------------------------------------------------------------------ */

static void on_stop(evutil_socket_t signo, short what, void *arg)
{
	struct daemon *d = arg;

	(void)what;
	log_info("ending: %s", signo == SIGTERM ? "SIGTERM" : "SIGINT");
	worker_stop(d->control);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;
	const struct timeval again = { .tv_sec = d->options.idle_exit_sec };

	(void)fd;
	(void)what;
	if (sessions_count(d->sessions) == 0 && mounts_is_idle(d->mounts)) {
		log_info("ending: nobody has needed the daemon for %ld s",
			 d->options.idle_exit_sec);
		worker_stop(d->control);
	} else if (sessions_count(d->sessions) == 0) {
		event_add(d->idle, &again);
	}
}

static void on_sessions_changed(unsigned nr_sessions, void *arg)
{
	struct daemon *d = arg;
	const struct timeval soon = { .tv_sec = d->options.idle_exit_sec };

	if (d->idle == NULL)
		return;
	if (nr_sessions > 0)
		event_del(d->idle);
	else
		event_add(d->idle, &soon);
}

static int on_report(uid_t viewer, struct strbuf *out, void *arg)
{
	struct daemon *d = arg;
	struct report_sources from = {
		.settings = d->now,
		.cache = d->cache,
		.mounts = d->mounts,
		.sessions = d->sessions,
		.socket_path = d->place.path,
		.config_path = d->config_path,
		.log_path = or_null(d->logs.log_path),
	};
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	from.uptime_ms = (uint64_t)(now.tv_sec - d->started.tv_sec) * 1000 +
			 (uint64_t)(now.tv_nsec / 1000000) -
			 (uint64_t)(d->started.tv_nsec / 1000000);
	return report_write(&from, viewer, out);
}

/* ---- the start ------------------------------------------------------------------------------ */

/* Bad start: one line that names the remedy. */
static int refuse(const char *text)
{
	fprintf(stderr, "osscd: %s\n", text);
	return -1;
}

static int refuse_error(const char *what, int error)
{
	fprintf(stderr, "osscd: %s: %s\n", what, strerror(-error));
	return -1;
}

/* The addresses are looked at now, not when the first connection fails. */
static int check_sources(const struct settings *s)
{
	struct source_set *set = NULL;
	char why[TEXT_MAX], text[TEXT_MAX + 64];

	if (source_set_parse(s->network.source_ip, &set, why, sizeof(why)) != 0) {
		snprintf(text, sizeof(text), "network.sourceIp (HTTP_SOURCE_IP): %s", why);
		return refuse(text);
	}
	source_set_unref(set);
	return 0;
}

static int check_ca_file(const struct settings *s)
{
	char text[TEXT_MAX];

	if (s->network.ca_file[0] == '\0' || access(s->network.ca_file, R_OK) == 0)
		return 0;
	snprintf(text, sizeof(text), "network.caFile: %s cannot be read: %s", s->network.ca_file,
		 strerror(errno));
	return refuse(text);
}

static int make_parts(struct daemon *d)
{
	struct sessions_conf sessions = {
		.max_sessions = d->now->socket.max_sessions,
		.max_per_user = d->now->socket.max_sessions_per_user,
		.mmap = (unsigned)d->now->mount.mmap,
		.on_report = on_report,
		.on_change = on_sessions_changed,
		.arg = d,
	};
	struct mounts_conf mounts;
	struct cache_conf cache;
	int r;

	/* A file of keys was asked for by name: it comes before what the environment holds. */
	if (d->now->mount.cred_file[0] == '\0') {
		sessions.access_key = d->keys.access_key;
		sessions.secret = d->keys.secret;
		sessions.token = d->keys.token;
	}
	fill_cache_conf(d->now, &cache);
	fill_mounts_conf(d->now, &mounts);
	r = worker_new("osscd", &d->control);
	if (r != 0)
		return refuse_error("the event loop cannot be made", r);
	r = make_home(d, &cache);
	if (r != 0)
		return refuse_error("no tmpfs for object memory (cache.memory)", r);
	r = cache_new(&cache, &d->cache);
	if (r != 0)
		return refuse_error("the cache cannot be made (cache.size)", r);
	r = mounts_new(d->control, d->cache, &mounts, &d->mounts);
	if (r == -EINVAL && mounts.tls_ca_file != NULL)
		return refuse("network.caFile: it holds no certificate; PEM is wanted, text that "
			      "begins with -----BEGIN CERTIFICATE-----");
	if (r != 0)
		return refuse_error("the network workers cannot be made (prefetch.vcpus, "
				    "network.caFile)",
				    r);
	r = sessions_new(d->control, d->cache, d->mounts, &sessions, &d->sessions);
	return r != 0 ? refuse_error("the sessions cannot be made", r) : 0;
}

static int make_events(struct daemon *d)
{
	struct event_base *base = worker_base(d->control);

	d->on_term = evsignal_new(base, SIGTERM, on_stop, d);
	d->on_int = evsignal_new(base, SIGINT, on_stop, d);
	d->on_hup = evsignal_new(base, SIGHUP, on_reload, d);
	if (d->on_term == NULL || d->on_int == NULL || d->on_hup == NULL ||
	    evsignal_add(d->on_term, NULL) == -1 || evsignal_add(d->on_int, NULL) == -1 ||
	    evsignal_add(d->on_hup, NULL) == -1)
		return refuse("signals cannot be watched");
	if (d->options.idle_exit_sec >= 0) {
		d->idle = evtimer_new(base, on_idle, d);
		if (d->idle == NULL)
			return refuse("no timer can be made");
		on_sessions_changed(0, d);
	}
	return 0;
}

static int open_socket(struct daemon *d)
{
	mode_t mode = geteuid() == 0 ? 0666 : 0600;
	char text[TEXT_MAX];
	int fd;

	if (d->now->socket.mode != -1)
		mode = (mode_t)d->now->socket.mode;
	fd = place_listen(&d->place, mode, text, sizeof(text));
	if (fd < 0)
		return refuse(text);
	if (sessions_listen(d->sessions, fd) != 0)
		return refuse("the socket cannot be watched");
	return 0;
}

static int start(struct daemon *d)
{
	const struct place_wish wish = {
		.option = d->options.socket,
		.configured = d->boot->socket.path,
	};
	char text[TEXT_MAX];

	if (check_sources(d->boot) != 0 || check_ca_file(d->boot) != 0)
		return -1;
	if (place_claim(&d->place, &wish, text, sizeof(text)) != 0)
		return refuse(text);
	if (logplace_open(&d->logs, &d->boot->log, d->place.path, text, sizeof(text)) != 0)
		return refuse(text);
	if (chdir("/") == -1)
		return refuse_error("/", -errno);
	if (make_parts(d) != 0 || make_events(d) != 0 || open_socket(d) != 0)
		return -1;
	log_info("osscd " OSSC_VERSION " serves %s, pid %d, uid %u, configuration %s",
		 d->place.path, (int)getpid(), (unsigned)geteuid(),
		 d->config_path != NULL ? d->config_path : "all default");
	(void)sdnotify("READY=1");
	/* Who starts it by hand need not look for the log to see that it runs. */
	if (d->logs.log_path[0] != '\0' && isatty(STDERR_FILENO) == 1)
		fprintf(stderr, "osscd: serves %s, logs to %s; Ctrl-C ends it\n", d->place.path,
			d->logs.log_path);
	return 0;
}

static void free_event(struct event *ev)
{
	if (ev != NULL)
		event_free(ev);
}

static void stop(struct daemon *d)
{
	(void)sdnotify("STOPPING=1");
	free_event(d->idle);
	d->idle = NULL;
	if (d->cache != NULL)
		cache_end(d->cache);
	if (d->sessions != NULL)
		sessions_shut(d->sessions, "the daemon ends");
	mounts_free(d->mounts);
	sessions_free(d->sessions);
	if (d->cache != NULL)
		cache_free(d->cache);
	memhome_close();
	free_event(d->on_term);
	free_event(d->on_int);
	free_event(d->on_hup);
	worker_free(d->control);
	place_release(&d->place);
	drop_keys(&d->keys);
	if (d->sessions != NULL)
		log_info("ended");
	logplace_close(&d->logs);
	if (d->now != d->boot)
		settings_free(d->now);
	settings_free(d->boot);
	free(d->config_path);
}

static int run(struct daemon *d)
{
	int r;

	d->boot = d->now = settings_new();
	if (settings_load(d->boot, d->config_path, print_problem, NULL) != 0) {
		fputs("osscd: correct the configuration; osscd --check-config says all faults\n",
		      stderr);
		return 1;
	}
	if (start(d) != 0)
		return 1;
	r = worker_run(d->control);
	if (r != 0)
		log_error("the event loop broke: %s", strerror(-r));
	return r != 0;
}

int main(int argc, char **argv)
{
	struct daemon d = { .place.lock_fd = -1 };
	const char *file;
	int r;

	open_standard_files();
	r = parse_options(argc, argv, &d.options);
	if (r != 0)
		return r == -1 ? 0 : r;
	harden();
	take_keys(&d.keys);
	file = settings_find_file(d.options.config);
	if (d.options.check_config || d.options.print_config) {
		r = d.options.check_config ? check_config(file) : print_config(file);
		drop_keys(&d.keys);
		return r;
	}
	/* Absolute, for SIGHUP: the daemon leaves this directory. */
	if (file != NULL)
		d.config_path = realpath(file, NULL);
	if (file != NULL && d.config_path == NULL)
		d.config_path = xstrdup(file);
	clock_gettime(CLOCK_MONOTONIC, &d.started);
	r = run(&d);
	stop(&d);
	return r;
}
