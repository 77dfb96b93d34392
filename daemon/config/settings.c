#include "daemon/config/settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"

#define MIB 1048576ull

const char *const settings_path_styles[] = { "auto", "path", "virtual", NULL };
const char *const settings_verify_words[] = { "off", "on", "strict", NULL };
const char *const settings_memory_words[] = { "auto", "tmpfs", "memfd", NULL };
static const char *const huge_pages_words[] = { "off", "on", "auto", "large", NULL };
const char *const settings_mmap_words[] = { "auto", "lazy", "resident", NULL };

static const char *check_absolute(const char *value)
{
	return value[0] == '/' ? NULL : "allowed: an absolute path, one that begins with /";
}

static const char *check_addresses(const char *value)
{
	unsigned char binary[16];
	char one[INET6_ADDRSTRLEN + 1];

	while (*value != '\0') {
		size_t len = strcspn(value, ",");
		const char *start = value + strspn(value, " ");

		len -= (size_t)(start - value) < len ? (size_t)(start - value) : len;
		value = start + len;
		while (len > 0 && start[len - 1] == ' ')
			len--;
		if (len == 0 || len >= sizeof(one))
			return "allowed: IP addresses of this node, separated by commas";
		memcpy(one, start, len);
		one[len] = '\0';
		if (inet_pton(AF_INET, one, binary) != 1 && inet_pton(AF_INET6, one, binary) != 1)
			return "allowed: IP addresses of this node, separated by commas";
		value += *value == ',';
	}
	return NULL;
}

static const char *check_endpoint(const char *value)
{
	return strpbrk(value, " @?#") == NULL ? NULL
					      : "allowed: a host name with an optional http:// or "
						"https:// before it and :port after it";
}

#define FIELD(type, field) .offset = offsetof(struct type, field)

static const struct conf_key log_keys[] = {
	{
		.name = "logLevel",
		FIELD(log_settings, level),
		.type = CONF_COUNT,
		.def = "1",
		.max = 3,
		.flags = CONF_RELOAD,
		.doc = "What is logged: 0 debug, 1 info, 2 warnings, 3 errors only.",
	},
	{
		.name = "logPath",
		FIELD(log_settings, path),
		.type = CONF_TEXT,
		.def = SETTINGS_LOG_PATH,
		.check = check_absolute,
		.doc = "The log, opened again on SIGHUP; empty: standard error. A daemon that may "
		       "not "
		       "write the default uses its user's state directory.",
	},
	{
		.name = "auditPath",
		FIELD(log_settings, audit_path),
		.type = CONF_TEXT,
		.def = SETTINGS_AUDIT_PATH,
		.check = check_absolute,
		.doc = "One line of JSON an operation: who, what, result, bytes. Empty: no audit "
		       "log.",
	},
	{ 0 },
};

static const struct conf_key cache_keys[] = {
	{
		.name = "expireTimeSec",
		FIELD(cache_settings, expire_sec),
		.type = CONF_COUNT,
		.def = "120",
		.max = 2592000,
		.flags = CONF_RELOAD,
		.doc = "How long an object stays cached after its last reader has gone; 0 gives it "
		       "up at once.",
	},
	{
		.name = "cache.size",
		FIELD(cache_settings, size),
		.type = CONF_SIZE,
		.def = "0",
		.min = MIB,
		.max = 1ull << 44,
		.flags = CONF_RELOAD | CONF_ZERO_OK,
		.doc = "Most memory that cached chunks may take; 0 means the memory available less "
		       "the larger of 10 % and 4 GiB.",
	},
	{
		.name = "cache.chunkSize",
		FIELD(cache_settings, chunk_size),
		.type = CONF_SIZE,
		.def = "8MiB",
		.min = MIB,
		.max = 64 * MIB,
		.flags = CONF_POWER2,
		.doc = "The unit of download, presence and eviction.",
	},
	{
		.name = "cache.maxObjects",
		FIELD(cache_settings, max_objects),
		.type = CONF_COUNT,
		.def = "16384",
		.min = 1,
		.max = 1000000,
		.doc = "Most objects with open memory; each takes a descriptor of the daemon.",
	},
	{
		.name = "cache.verify",
		.alias = "verify",
		FIELD(cache_settings, verify),
		.type = CONF_WORD,
		.words = settings_verify_words,
		.def = "on",
		.flags = CONF_RELOAD,
		.doc = "CRC-64 of whole objects: off, on (checked when the last chunk has come), "
		       "strict (nothing is served before).",
	},
	{
		.name = "cache.memory",
		FIELD(cache_settings, memory),
		.type = CONF_WORD,
		.words = settings_memory_words,
		.def = "auto",
		.doc = "Where objects lie: tmpfs (of the daemon's own, which takes root or a user "
		       "namespace), memfd, auto (the tmpfs where it may be mounted).",
	},
	{
		.name = "cache.hugePages",
		FIELD(cache_settings, huge_pages),
		.type = CONF_WORD,
		.words = huge_pages_words,
		.def = "auto",
		.doc = "Pages of that tmpfs: off (4 KiB), large (up to 256 KiB), on (2 MiB), auto "
		       "(on; large where the hypervisor takes back free memory).  In larger ones "
		       "mapped files are as quick as in the page cache, and filling is cheaper.",
	},
	{ 0 },
};

static const struct conf_key mount_keys[] = {
	{
		.name = "prefetch.vcpus",
		FIELD(mount_settings, prefetch_vcpus),
		.type = CONF_COUNT,
		.def = "16",
		.min = 1,
		.max = 256,
		.doc = "Network threads; where the process may use fewer CPUs, as many as those.",
	},
	{
		.name = "prefetch.workers",
		FIELD(mount_settings, prefetch_workers),
		.type = CONF_COUNT,
		.def = "16",
		.min = 1,
		.max = 256,
		.flags = CONF_RELOAD,
		.doc = "Range requests in flight for each of prefetch.vcpus, fewer where more "
		       "bring nothing; where there are fewer threads, more a thread.",
	},
	{
		.name = "fastList.vcpus",
		FIELD(mount_settings, list_vcpus),
		.type = CONF_COUNT,
		.def = "1",
		.min = 1,
		.max = 64,
		.doc = "With fastList.workers: listing requests in flight are the product of the "
		       "two.",
	},
	{
		.name = "fastList.workers",
		FIELD(mount_settings, list_workers),
		.type = CONF_COUNT,
		.def = "16",
		.min = 1,
		.max = 256,
		.doc = "Listing requests in flight for each of fastList.vcpus.",
	},
	{
		.name = "mount.refreshSec",
		FIELD(mount_settings, refresh_sec),
		.type = CONF_COUNT,
		.def = "60",
		.max = 2592000,
		.flags = CONF_RELOAD,
		.doc = "An open that finds the listing older than this asks for a new one.",
	},
	{
		.name = "mmap",
		FIELD(mount_settings, mmap),
		.type = CONF_WORD,
		.words = settings_mmap_words,
		.def = "auto",
		.flags = CONF_RELOAD,
		.doc = "How files are mapped: auto, lazy (chunk by chunk on page faults), resident "
		       "(present before mmap returns).",
	},
	{
		.name = "credentials.path",
		FIELD(mount_settings, cred_file),
		.type = CONF_TEXT,
		.def = "",
		.check = check_absolute,
		.doc = "A file with access keys for mounts of the daemon's own user; read again "
		       "when it changes.",
	},
	{ 0 },
};

static const struct conf_key network_keys[] = {
	{
		.name = "network.connectTimeoutSec",
		FIELD(network_settings, connect_timeout_sec),
		.type = CONF_COUNT,
		.def = "5",
		.min = 1,
		.max = 300,
		.flags = CONF_RELOAD,
		.doc = "How long one connect may take before another address is tried.",
	},
	{
		.name = "network.idleTimeoutSec",
		FIELD(network_settings, idle_timeout_sec),
		.type = CONF_COUNT,
		.def = "20",
		.min = 1,
		.max = 3600,
		.flags = CONF_RELOAD,
		.doc = "Longest silence of the store while an answer is due.",
	},
	{
		.name = "network.retrySec",
		FIELD(network_settings, retry_sec),
		.type = CONF_COUNT,
		.def = "60",
		.max = 86400,
		.flags = CONF_RELOAD,
		.doc = "How long one range is tried again before its readers get the error; "
		       "the first listing of a mount at most 10 s.",
	},
	{
		.name = "network.sourceIp",
		FIELD(network_settings, source_ip),
		.type = CONF_LIST,
		.def = "",
		.env = "HTTP_SOURCE_IP",
		.check = check_addresses,
		.doc = "Addresses of this node that connections are spread over; a client's own "
		       "HTTP_SOURCE_IP wins.",
	},
	{
		.name = "network.pathStyle",
		FIELD(network_settings, path_style),
		.type = CONF_WORD,
		.words = settings_path_styles,
		.def = "auto",
		.flags = CONF_RELOAD,
		.doc = "Where the bucket's name goes: auto (by the endpoint), path "
		       "(endpoint/bucket), virtual (bucket.endpoint).",
	},
	{
		.name = "network.caFile",
		FIELD(network_settings, ca_file),
		.type = CONF_TEXT,
		.def = "",
		.check = check_absolute,
		.doc = "Certificates (PEM) that TLS connections are checked against; empty: the "
		       "system's.",
	},
	{
		.name = "endpoint",
		FIELD(network_settings, endpoint),
		.type = CONF_TEXT,
		.def = "",
		.env = "OSS_ENDPOINT",
		.flags = CONF_RELOAD,
		.check = check_endpoint,
		.doc = "The store, for mounts that bring no OSS_ENDPOINT; https unless http:// is "
		       "written.",
	},
	{
		.name = "region",
		FIELD(network_settings, region),
		.type = CONF_TEXT,
		.def = "",
		.env = "OSS_REGION",
		.flags = CONF_RELOAD,
		.doc = "The store's region, for mounts that bring no OSS_REGION.",
	},
	{ 0 },
};

static const struct conf_key socket_keys[] = {
	{
		.name = "socket",
		FIELD(socket_settings, path),
		.type = CONF_TEXT,
		.def = "",
		.check = check_absolute,
		.doc = "The control socket; empty: /run/oss-connector for root, else "
		       "$XDG_RUNTIME_DIR/oss-connector, else /tmp/ossc-UID.",
	},
	{
		.name = "socketMode",
		FIELD(socket_settings, mode),
		.type = CONF_MODE,
		.def = "",
		.doc = "File mode of the socket, octal; empty: 0666 for root (peers are told by "
		       "the kernel who they are), 0600 for a user's daemon.",
	},
	{
		.name = "maxSessions",
		FIELD(socket_settings, max_sessions),
		.type = CONF_COUNT,
		.def = "4096",
		.min = 1,
		.max = 65536,
		.flags = CONF_RELOAD,
		.doc = "Most client processes attached at a time.",
	},
	{
		.name = "maxSessionsPerUser",
		FIELD(socket_settings, max_sessions_per_user),
		.type = CONF_COUNT,
		.def = "2048",
		.min = 1,
		.max = 65536,
		.flags = CONF_RELOAD,
		.doc = "Most client processes of one user attached at a time.",
	},
	{ 0 },
};

struct settings *settings_new(void)
{
	struct settings *s = xcalloc(1, sizeof(*s));
	const struct conf_section sections[] = {
		{ log_keys, &s->log },	     { cache_keys, &s->cache },
		{ mount_keys, &s->mount },   { network_keys, &s->network },
		{ socket_keys, &s->socket }, { NULL, NULL },
	};

	s->conf = conf_new(sections);
	return s;
}

void settings_free(struct settings *s)
{
	if (s == NULL)
		return;
	conf_free(s->conf);
	free(s);
}

const char *settings_find_file(const char *option)
{
	static const char *const usual[] = {
		"/etc/oss-connector/config.yaml",
		"/etc/oss-connector/config.json",
	};
	const char *env = getenv("OSSC_CONFIG");
	size_t i;

	if (option != NULL)
		return option;
	if (env != NULL && env[0] != '\0')
		return env;
	for (i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (access(usual[i], F_OK) == 0)
			return usual[i];
	return NULL;
}

static unsigned check_together(const struct settings *s, const char *file,
			       conf_problem_fn *on_problem, void *arg)
{
	const int index = conf_find(s->conf, "cache.size");
	char text[768];

	if (s->cache.size == 0 || s->cache.size >= 4 * s->cache.chunk_size)
		return 0;
	snprintf(text, sizeof(text),
		 "%.512s:%u: cache.size: %llu bytes hold fewer than four chunks of %llu; "
		 "raise cache.size or lower cache.chunkSize",
		 file != NULL ? file : "defaults", conf_line_at(s->conf, (unsigned)index),
		 (unsigned long long)s->cache.size, (unsigned long long)s->cache.chunk_size);
	on_problem(true, text, arg);
	return 1;
}

unsigned settings_load(struct settings *s, const char *file, conf_problem_fn *on_problem, void *arg)
{
	unsigned nr;

	nr = conf_load_env(s->conf, on_problem, arg);
	if (file != NULL)
		nr += conf_load_file(s->conf, file, on_problem, arg);
	return nr + check_together(s, file, on_problem, arg);
}
