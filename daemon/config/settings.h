/*
 * settings.h - the keys of osscd, one table for each part of it, and the file
 * they come from.  What a part does with its values is that part's business.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_CONFIG_SETTINGS_H
#define DAEMON_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/config/conf.h"

#define SETTINGS_LOG_PATH   "/var/log/oss-connector/connector.log"
#define SETTINGS_AUDIT_PATH "/var/log/oss-connector/audit.log"

struct log_settings {
	unsigned level; /* enum log_level */
	char *path;
	char *audit_path;
};

enum settings_verify {
	SETTINGS_VERIFY_OFF = 0,
	SETTINGS_VERIFY_ON,
	SETTINGS_VERIFY_STRICT,
};

enum settings_memory { /* the order of settings_memory_words[] */
	SETTINGS_MEMORY_AUTO = 0,
	SETTINGS_MEMORY_TMPFS,
	SETTINGS_MEMORY_MEMFD,
};

enum settings_huge_pages {
	SETTINGS_HUGE_OFF = 0,
	SETTINGS_HUGE_ON,
	SETTINGS_HUGE_AUTO,
	SETTINGS_HUGE_LARGE,
};

struct cache_settings {
	uint64_t size; /* bytes; 0: from the memory available */
	uint64_t chunk_size;
	unsigned max_objects;
	unsigned expire_sec;
	int verify;	/* enum settings_verify */
	int memory;	/* enum settings_memory */
	int huge_pages; /* enum settings_huge_pages */
};

struct mount_settings {
	unsigned prefetch_vcpus, prefetch_workers;
	unsigned list_vcpus, list_workers;
	unsigned refresh_sec;
	int mmap; /* enum wire_mmap: what clients are told */
	char *cred_file;
};

struct network_settings {
	unsigned connect_timeout_sec, idle_timeout_sec, retry_sec;
	char *source_ip;
	int path_style; /* settings_path_styles[] */
	char *ca_file;
	char *endpoint;
	char *region;
};

struct socket_settings {
	char *path;
	int mode; /* -1: by the kind of daemon */
	unsigned max_sessions;
	unsigned max_sessions_per_user;
};

struct settings {
	struct log_settings log;
	struct cache_settings cache;
	struct mount_settings mount;
	struct network_settings network;
	struct socket_settings socket;
	struct conf *conf;
};

extern const char *const settings_path_styles[];
extern const char *const settings_verify_words[];
extern const char *const settings_memory_words[];
extern const char *const settings_mmap_words[];

/* Defaults everywhere. */
struct settings *settings_new(void);
void settings_free(struct settings *s);

/*
 * The file to read: the option, else $OSSC_CONFIG, else config.yaml or
 * config.json of /etc/oss-connector, whichever is there.  NULL: none.
 */
const char *settings_find_file(const char *option);
/* Environment, then the file (NULL: none), then what one key alone cannot tell.  Number of errors. */
unsigned settings_load(struct settings *s, const char *file, conf_problem_fn *on_problem,
		       void *arg);

#endif
