#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/net/source.h"

#define LOG_MODULE "mount"
#include "daemon/base/log.h"

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static const char *either(const char *own, const char *other)
{
	return is_set(own) ? own : is_set(other) ? other : "";
}

static int parse_location(struct mounts *ms, const struct mount_spec *spec, struct mount_key *key,
			  char *text, size_t text_len)
{
	struct oss_endpoint_conf conf = {
		.path = spec->oss_path,
		.endpoint = either(spec->endpoint, ms->conf.endpoint),
		.region = either(spec->region, ms->conf.region),
	};

	if (!is_set(spec->oss_path)) {
		snprintf(text, text_len,
			 "OSS_PATH is not set: it must be oss://bucket/prefix/ or "
			 "s3://bucket/prefix/");
		return -EINVAL;
	}
	if (is_set(ms->conf.path_style) &&
	    oss_addressing_parse(ms->conf.path_style, &conf.addressing) != 0) {
		snprintf(text, text_len,
			 "network.pathStyle \"%s\" is none of auto, path, virtual, cname",
			 ms->conf.path_style);
		return -EINVAL;
	}
	return oss_endpoint_parse(&conf, &key->endpoint, &key->location, text, text_len);
}

/* The daemon's own keys, for a client of its own user that brings none. */
static int open_file(struct mounts *ms, struct cred_source **ret_creds, char *text, size_t text_len)
{
	if (access(ms->conf.cred_file, F_OK) == -1 && errno == ENOENT) {
		log_info("%s is not there: a mount without keys is anonymous", ms->conf.cred_file);
		return -ENOENT;
	}
	return cred_source_new_file(ms->conf.cred_file, ret_creds, text, text_len);
}

static int parse_keys(struct mounts *ms, const struct mount_spec *spec, struct mount_key *key,
		      struct cred_source **ret_creds, char *text, size_t text_len)
{
	struct cred *cred;
	int r;

	key->keys = MOUNT_KEYS_NONE;
	if (!is_set(spec->access_key) && !is_set(spec->secret) && spec->uid == geteuid() &&
	    is_set(ms->conf.cred_file)) {
		r = open_file(ms, ret_creds, text, text_len);
		if (r == 0)
			key->keys = MOUNT_KEYS_FILE;
		if (r != -ENOENT)
			return r;
	}
	r = cred_source_new_static(spec->access_key, spec->secret, spec->token, ret_creds, text,
				   text_len);
	if (r != 0)
		return r;
	cred = cred_source_get(*ret_creds);
	if (!cred_is_anonymous(cred)) {
		key->keys = MOUNT_KEYS_OWN;
		r = cred_digest(cred, key->digest);
		if (r != 0)
			snprintf(text, text_len, "the access keys could not be compared: %s",
				 strerror(-r));
	}
	cred_unref(cred);
	if (r != 0)
		cred_source_unref(*ret_creds);
	return r;
}

int mount_key_parse(struct mounts *ms, const struct mount_spec *spec, struct mount_key *ret_key,
		    struct cred_source **ret_creds, char *text, size_t text_len)
{
	int r;

	memset(ret_key, 0, sizeof(*ret_key));
	ret_key->uid = spec->uid;
	ret_key->sources = either(spec->sources, ms->conf.sources);
	r = parse_location(ms, spec, ret_key, text, text_len);
	if (r != 0)
		return r;
	return parse_keys(ms, spec, ret_key, ret_creds, text, text_len);
}

static bool uses(const struct mount *m, const struct mount_sources *s)
{
	return m->sources == s->set;
}

/* How many lists one user has in use. */
static unsigned nr_lists_of(const struct mounts *ms, uid_t uid)
{
	const struct mount *m;
	unsigned i, nr = 0;

	for (i = 0; i < ms->nr_sources; i++) {
		TAILQ_FOREACH(m, &ms->list, link)
		{
			if (m->uid == uid && uses(m, &ms->sources[i])) {
				nr++;
				break;
			}
		}
	}
	return nr;
}

/* Room for one more list: the oldest that no mount uses gives way. */
static bool make_room(struct mounts *ms)
{
	const struct mount *m;
	unsigned i;

	if (ms->nr_sources < MOUNT_SOURCES_MOST)
		return true;
	for (i = 0; i < ms->nr_sources; i++) {
		TAILQ_FOREACH(m, &ms->list, link)
		{
			if (uses(m, &ms->sources[i]))
				break;
		}
		if (m != NULL)
			continue;
		free(ms->sources[i].list);
		source_set_unref(ms->sources[i].set);
		ms->nr_sources--;
		memmove(&ms->sources[i], &ms->sources[i + 1],
			(ms->nr_sources - i) * sizeof(ms->sources[0]));
		return true;
	}
	return false;
}

char *mount_key_store(const struct mount_key *key)
{
	char account[2 * CRED_DIGEST_LEN + 1] = "";
	int i;

	for (i = 0; i < CRED_DIGEST_LEN && key->keys == MOUNT_KEYS_OWN; i++)
		snprintf(account + 2 * i, 3, "%02x", key->digest[i]);
	return xasprintf("%s:%u/%s %d%s", key->endpoint.host, (unsigned)key->endpoint.port,
			 key->location.bucket, (int)key->keys, account);
}

int mounts_sources(struct mounts *ms, const struct mount_key *key, struct source_set **ret_set,
		   char *text, size_t text_len)
{
	struct source_set *set;
	char why[256];
	unsigned i;
	int r;

	*ret_set = NULL;
	if (!is_set(key->sources))
		return 0;
	for (i = 0; i < ms->nr_sources; i++) {
		if (strcmp(ms->sources[i].list, key->sources) == 0) {
			*ret_set = ms->sources[i].set;
			return 0;
		}
	}
	if (nr_lists_of(ms, key->uid) >= MOUNT_LISTS_OF_UID || !make_room(ms)) {
		snprintf(text, text_len,
			 "too many different lists in HTTP_SOURCE_IP: use one of those in use");
		return -ENOSPC;
	}
	r = source_set_parse(key->sources, &set, why, sizeof(why));
	if (r != 0)
		snprintf(text, text_len, "HTTP_SOURCE_IP: %s", why);
	if (r != 0 || set == NULL)
		return r;
	ms->sources[ms->nr_sources].list = xstrdup(key->sources);
	ms->sources[ms->nr_sources].set = set;
	ms->nr_sources++;
	*ret_set = set;
	return 0;
}
