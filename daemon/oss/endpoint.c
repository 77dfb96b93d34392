#include "daemon/oss/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct report {
	char *err;
	size_t err_len;
};

static int __attribute__((format(printf, 2, 3)))
fail(const struct report *rep, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(rep->err, rep->err_len, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* ---- OSS_PATH ------------------------------------------------------------ */

/* For messages: what is not printable becomes '?'. */
static const char *shown(const char *str, char buf[80])
{
	size_t i;

	for (i = 0; i < 79 && str[i] != '\0'; i++)
		buf[i] = str[i] >= 0x20 && str[i] <= 0x7e ? str[i] : '?';
	if (i == 79)
		memcpy(buf + 76, "...", 3);
	buf[i] = '\0';
	return buf;
}

static bool is_bucket_char(char c, enum oss_dialect dialect)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
		return true;
	/* S3 gateways have older names with these, in path style at least. */
	return dialect == OSS_DIALECT_S3 && (c == '.' || c == '_' || (c >= 'A' && c <= 'Z'));
}

static bool is_bucket(const char *name, size_t len, enum oss_dialect dialect)
{
	size_t i;

	if (len < 3 || len > OSS_BUCKET_MAX)
		return false;
	for (i = 0; i < len; i++) {
		if (!is_bucket_char(name[i], dialect))
			return false;
		if (name[i] == '.' && i > 0 && name[i - 1] == '.')
			return false;
	}
	return name[0] != '-' && name[len - 1] != '-' && name[0] != '.' && name[len - 1] != '.';
}

/* A segment that no directory can be named after. */
static bool has_bad_segment(const char *prefix)
{
	const char *at = prefix;

	while (*at != '\0') {
		size_t len = strcspn(at, "/");

		if (len == 0 || (len == 1 && at[0] == '.') ||
		    (len == 2 && at[0] == '.' && at[1] == '.'))
			return true;
		at += len;
		if (*at == '/')
			at++;
	}
	return false;
}

static bool has_control(const char *str)
{
	for (; *str != '\0'; str++) {
		if ((unsigned char)*str < 0x20 || *str == 0x7f)
			return true;
	}
	return false;
}

/* A URL with a password or a signature in it: no path, and not to be repeated. */
static bool may_hold_keys(const char *path)
{
	return strpbrk(path, "@?") != NULL;
}

static const char keys_in_path[] =
	"OSS_PATH has '@' or '?' in it and is no oss://bucket/prefix/: keys belong in "
	"OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET";

static int parse_prefix(const char *prefix, struct oss_location *loc, const struct report *rep)
{
	size_t len = strlen(prefix);

	if (has_control(prefix))
		return fail(rep, "OSS_PATH has a control character after the bucket: remove it");
	if (has_bad_segment(prefix))
		return fail(rep, "OSS_PATH has an empty part, '.' or '..' after the bucket: no "
				 "directory can show such keys; write it without");
	if (len + (len > 0 && prefix[len - 1] != '/') >= OSS_KEY_MAX)
		return fail(rep, "OSS_PATH is longer than a key can be (1023 bytes)");
	snprintf(loc->prefix, sizeof(loc->prefix), "%s%s", prefix,
		 len > 0 && prefix[len - 1] != '/' ? "/" : "");
	return 0;
}

static int parse_path(const char *path, enum oss_dialect *ret_dialect, struct oss_location *loc,
		      const struct report *rep)
{
	char buf[80], name[OSS_BUCKET_MAX + 16];
	const char *at;
	size_t len;

	if (path == NULL || path[0] == '\0')
		return fail(rep, "OSS_PATH is not set: set it to the bucket and the directory to "
				 "show, for example oss://bucket/models/llama/");
	if (strncasecmp(path, "oss://", 6) == 0)
		*ret_dialect = OSS_DIALECT_OSS;
	else if (strncasecmp(path, "s3://", 5) == 0)
		*ret_dialect = OSS_DIALECT_S3;
	else if (may_hold_keys(path))
		return fail(rep, "%s", keys_in_path);
	else
		return fail(rep,
			    "OSS_PATH is '%s': it must start with oss:// or s3://, for example "
			    "oss://bucket/models/llama/",
			    shown(path, buf));
	at = strstr(path, "://") + 3;
	len = strcspn(at, "/");
	if (!is_bucket(at, len, *ret_dialect)) {
		if (len == 0)
			return fail(rep, "OSS_PATH names no bucket: write it as "
					 "oss://bucket/models/llama/");
		if (may_hold_keys(path))
			return fail(rep, "%s", keys_in_path);
		snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 78, at);
		return fail(
			rep,
			"OSS_PATH names the bucket '%s', which cannot be one: a bucket has 3 to "
			"63 lower-case letters, digits and '-', with neither end a '-'",
			shown(name, buf));
	}
	memcpy(loc->bucket, at, len);
	loc->bucket[len] = '\0';
	return parse_prefix(at[len] == '/' ? at + len + 1 : "", loc, rep);
}

/* ---- OSS_ENDPOINT -------------------------------------------------------- */

static bool is_address(const char *host)
{
	unsigned char buf[16];

	return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

static bool is_host_name(const char *host)
{
	size_t i, label = 0;

	for (i = 0; host[i] != '\0'; i++) {
		char c = host[i];

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0;
}

static int parse_port(const char *str, struct oss_endpoint *e, const struct report *rep)
{
	unsigned long port;

	if (str[0] == '\0')
		return 0;
	port = strspn(str, "0123456789") == strlen(str) && strlen(str) <= 5 ? strtoul(str, NULL, 10)
									    : 0;
	if (port == 0 || port > 65535)
		return fail(rep, "OSS_ENDPOINT has a port that is not a number from 1 to 65535");
	e->port = (uint16_t)port;
	return 0;
}

/* host, host:port, [v6], [v6]:port; a bare IPv6 address too. */
static int parse_host_port(const char *str, size_t len, struct oss_endpoint *e,
			   const struct report *rep)
{
	char buf[sizeof(e->host)], *host = buf, *port = NULL;
	char show[80];
	size_t i;

	if (len >= sizeof(e->host))
		return fail(rep, "OSS_ENDPOINT is longer than a host name can be");
	for (i = 0; i < len; i++)
		buf[i] = str[i] >= 'A' && str[i] <= 'Z' ? (char)(str[i] + 32) : str[i];
	buf[len] = '\0';

	if (buf[0] == '[') {
		char *close = strchr(buf, ']');

		if (close == NULL || (close[1] != '\0' && close[1] != ':'))
			return fail(rep, "OSS_ENDPOINT has a '[' without its ']'");
		*close = '\0';
		host = buf + 1;
		port = close[1] == ':' ? close + 2 : NULL;
		if (strchr(host, ':') == NULL)
			return fail(rep, "OSS_ENDPOINT has '[' and ']' around what is not an IPv6 "
					 "address");
	} else if (strchr(buf, ':') != NULL && strchr(buf, ':') == strrchr(buf, ':')) {
		port = strchr(buf, ':');
		*port++ = '\0';
	}
	if (host[0] != '\0' && host[strlen(host) - 1] == '.')
		host[strlen(host) - 1] = '\0';
	if (!is_address(host) && !is_host_name(host))
		return fail(rep,
			    "OSS_ENDPOINT names the host '%s', which cannot be one: write for "
			    "example oss-cn-hangzhou-internal.aliyuncs.com",
			    shown(host, show));
	snprintf(e->host, sizeof(e->host), "%s", host);
	return port != NULL ? parse_port(port, e, rep) : 0;
}

static int parse_url(const char *url, struct oss_endpoint *e, const struct report *rep)
{
	const char *scheme_end = strstr(url, "://");
	const char *at = url;
	size_t len;
	int r;

	e->tls = true;
	if (scheme_end != NULL) {
		if (strncasecmp(url, "http://", 7) == 0)
			e->tls = false;
		else if (strncasecmp(url, "https://", 8) != 0)
			return fail(rep, "OSS_ENDPOINT starts with neither http:// nor https://: "
					 "write one of them, or none for https");
		at = scheme_end + 3;
	}
	e->port = e->tls ? 443 : 80;
	len = strcspn(at, "/?#");
	if (memchr(at, '@', len) != NULL)
		return fail(rep, "OSS_ENDPOINT has a name or password in it: keys belong in "
				 "OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET");
	if (at[len] != '\0' && strcmp(at + len, "/") != 0)
		return fail(rep, "OSS_ENDPOINT has something after the host: bucket and prefix "
				 "belong in OSS_PATH");
	r = parse_host_port(at, len, e, rep);
	return r;
}

/* ---- what a host name tells ---------------------------------------------- */

static bool ends_in(const char *str, const char *end)
{
	size_t len = strlen(str), end_len = strlen(end);

	return len > end_len && strcmp(str + len - end_len, end) == 0;
}

static bool copy_region(char *to, size_t to_len, const char *from, size_t len)
{
	size_t i;

	if (len == 0 || len >= to_len)
		return false;
	for (i = 0; i < len; i++) {
		if (!((from[i] >= 'a' && from[i] <= 'z') || (from[i] >= '0' && from[i] <= '9') ||
		      from[i] == '-'))
			return false;
	}
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

struct known_host {
	bool is_known; /* a host of the store itself, whatever the region */
	char region[64];
	const char *product; /* NULL: the usual one */
};

/* oss-REGION[-internal], the first label of a public or internal endpoint. */
static void read_oss_label(const char *label, size_t len, struct known_host *ret)
{
	static const char internal[] = "-internal";
	size_t suffix = sizeof(internal) - 1;

	ret->is_known = true;
	label += 4;
	len -= 4;
	if (len > suffix && memcmp(label + len - suffix, internal, suffix) == 0)
		len -= suffix;
	if (len >= 10 && strncmp(label, "accelerate", 10) == 0)
		return; /* any region: the bucket's has to be configured */
	copy_region(ret->region, sizeof(ret->region), label, len);
}

static void read_aliyun_host(const char *host, struct known_host *ret)
{
	const char *dot;
	size_t len;

	if (strncmp(host, "s3.", 3) == 0)
		host += 3;
	dot = strchr(host, '.');
	len = dot != NULL ? (size_t)(dot - host) : 0;
	if (dot == NULL)
		return;
	if (strcmp(host, "oss.aliyuncs.com") == 0) {
		ret->is_known = true;
		snprintf(ret->region, sizeof(ret->region), "cn-hangzhou");
	} else if (strcmp(dot, ".aliyuncs.com") == 0 && len > 4 && strncmp(host, "oss-", 4) == 0) {
		read_oss_label(host, len, ret);
	} else if (strcmp(dot, ".oss.aliyuncs.com") == 0) {
		ret->is_known = copy_region(ret->region, sizeof(ret->region), host, len);
	} else if (strcmp(dot, ".oss-data-acc.aliyuncs.com") == 0) {
		ret->is_known = true;
	} else if (strncmp(host, "cb-", 3) == 0 && (ends_in(host, ".oss-cloudbox.aliyuncs.com") ||
						    ends_in(host, ".oss-cloudbox-control."
								  "aliyuncs.com"))) {
		ret->is_known = copy_region(ret->region, sizeof(ret->region), host, len);
		ret->product = "oss-cloudbox";
	}
}

/* s3.amazonaws.com, s3.REGION.amazonaws.com[.cn], s3-REGION.amazonaws.com, s3.dualstack.REGION... */
static void read_amazon_host(const char *host, struct known_host *ret)
{
	const char *at = host, *end = strstr(host, ".amazonaws.com");

	if (end == NULL || strncmp(at, "s3", 2) != 0)
		return;
	ret->is_known = true;
	at += 2;
	if (at == end)
		return;
	at++;
	if (strncmp(at, "fips.", 5) == 0)
		at += 5;
	if (strncmp(at, "dualstack.", 10) == 0)
		at += 10;
	if (at < end && strncmp(at, "accelerate", 10) != 0)
		copy_region(ret->region, sizeof(ret->region), at, (size_t)(end - at));
}

static void read_host(const char *host, struct known_host *ret)
{
	*ret = (struct known_host){ .is_known = false };
	if (ends_in(host, ".aliyuncs.com"))
		read_aliyun_host(host, ret);
	else if (ends_in(host, ".amazonaws.com") || ends_in(host, ".amazonaws.com.cn"))
		read_amazon_host(host, ret);
}

/* Many write the bucket's own host as the endpoint: bucket.oss-REGION.aliyuncs.com. */
static void strip_bucket(struct oss_endpoint *e, const char *bucket, struct known_host *known)
{
	size_t len = strlen(bucket);
	struct known_host rest;

	if (known->is_known || strncmp(e->host, bucket, len) != 0 || e->host[len] != '.')
		return;
	read_host(e->host + len + 1, &rest);
	if (!rest.is_known)
		return;
	memmove(e->host, e->host + len + 1, strlen(e->host + len + 1) + 1);
	*known = rest;
}

/* ---- the three together -------------------------------------------------- */

static int parse_region(const char *region, struct oss_endpoint *e, const struct report *rep)
{
	static const char internal[] = "-internal";
	char show[80];
	size_t len, suffix = sizeof(internal) - 1;

	if (e->dialect == OSS_DIALECT_OSS && strncmp(region, "oss-", 4) == 0)
		region += 4;
	len = strlen(region);
	if (e->dialect == OSS_DIALECT_OSS && len > suffix &&
	    strcmp(region + len - suffix, internal) == 0)
		len -= suffix;
	if (!copy_region(e->region, sizeof(e->region), region, len))
		return fail(rep,
			    "OSS_REGION is '%s', which cannot be a region: write for example "
			    "cn-hangzhou",
			    shown(region, show));
	return 0;
}

static int default_endpoint(const struct oss_endpoint_conf *conf, struct oss_endpoint *e,
			    const struct report *rep)
{
	const char *dns = strncmp(e->region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";

	if (e->region[0] == '\0')
		return fail(rep,
			    "neither OSS_ENDPOINT nor OSS_REGION is set: set one of them, for "
			    "example %s",
			    e->dialect == OSS_DIALECT_OSS
				    ? "OSS_ENDPOINT=oss-cn-hangzhou-internal.aliyuncs.com"
				    : "OSS_REGION=us-east-1");
	e->tls = true;
	e->port = 443;
	if (e->dialect == OSS_DIALECT_S3)
		snprintf(e->host, sizeof(e->host), "s3.%s.%s", e->region, dns);
	else if (ends_in(conf->region, "-internal"))
		snprintf(e->host, sizeof(e->host), "oss-%s-internal.aliyuncs.com", e->region);
	else
		snprintf(e->host, sizeof(e->host), "oss-%s.aliyuncs.com", e->region);
	return 0;
}

static int settle_region(struct oss_endpoint *e, const struct known_host *known,
			 const struct report *rep)
{
	if (known->product != NULL && e->dialect == OSS_DIALECT_OSS) {
		/* What is signed there is the box, not the region that it stands in. */
		memcpy(e->region, known->region, sizeof(e->region));
		snprintf(e->product, sizeof(e->product), "%s", known->product);
		return 0;
	}
	if (known->region[0] != '\0' && e->region[0] != '\0' &&
	    strcmp(known->region, e->region) != 0)
		return fail(rep,
			    "OSS_REGION is '%s' but OSS_ENDPOINT is in region '%s': correct one of "
			    "them, or unset OSS_REGION",
			    e->region, known->region);
	if (e->region[0] == '\0')
		memcpy(e->region, known->region, sizeof(e->region));
	if (e->region[0] == '\0' && e->dialect == OSS_DIALECT_S3)
		/* What MinIO and most gateways sign with. */
		snprintf(e->region, sizeof(e->region), "us-east-1");
	return 0;
}

static void settle_addressing(struct oss_endpoint *e, const struct known_host *known,
			      const char *bucket)
{
	bool local = is_address(e->host) || strcmp(e->host, "localhost") == 0;

	if (e->addressing != OSS_ADDRESS_AUTO)
		return;
	if (local)
		e->addressing = OSS_ADDRESS_PATH;
	else if (e->dialect == OSS_DIALECT_OSS)
		e->addressing = OSS_ADDRESS_VIRTUAL;
	else if (!known->is_known)
		e->addressing = OSS_ADDRESS_PATH;
	else if (strpbrk(bucket, "._ABCDEFGHIJKLMNOPQRSTUVWXYZ") != NULL)
		e->addressing = OSS_ADDRESS_PATH; /* no certificate covers such a name */
	else
		e->addressing = OSS_ADDRESS_VIRTUAL;
}

int oss_endpoint_parse(const struct oss_endpoint_conf *conf, struct oss_endpoint *ret_endpoint,
		       struct oss_location *ret_location, char *err, size_t err_len)
{
	struct report rep = { err, err_len };
	struct oss_endpoint e = { .addressing = conf->addressing };
	struct oss_location loc = { .bucket = "" };
	struct known_host known;
	int r;

	r = parse_path(conf->path, &e.dialect, &loc, &rep);
	if (r != 0)
		return r;
	snprintf(e.product, sizeof(e.product), "%s", e.dialect == OSS_DIALECT_OSS ? "oss" : "s3");
	if (conf->region != NULL && conf->region[0] != '\0')
		r = parse_region(conf->region, &e, &rep);
	if (r != 0)
		return r;
	if (conf->endpoint != NULL && conf->endpoint[0] != '\0')
		r = parse_url(conf->endpoint, &e, &rep);
	else
		r = default_endpoint(conf, &e, &rep);
	if (r != 0)
		return r;

	read_host(e.host, &known);
	strip_bucket(&e, loc.bucket, &known);
	r = settle_region(&e, &known, &rep);
	if (r != 0)
		return r;
	settle_addressing(&e, &known, loc.bucket);
	if (e.addressing == OSS_ADDRESS_VIRTUAL && is_address(e.host))
		return fail(&rep, "OSS_ENDPOINT is an address, before which no bucket name can "
				  "stand: use path style");
	*ret_endpoint = e;
	*ret_location = loc;
	return 0;
}

int oss_addressing_parse(const char *word, enum oss_addressing *ret_addressing)
{
	static const char *const words[] = { "auto", "path", "virtual", "cname" };
	int i;

	for (i = 0; i < 4; i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret_addressing = (enum oss_addressing)i;
			return 0;
		}
	}
	return -EINVAL;
}

int oss_endpoint_dial_host(const struct oss_endpoint *e, const char *bucket, char *buf, size_t len)
{
	bool before = e->addressing == OSS_ADDRESS_VIRTUAL;
	int n = snprintf(buf, len, "%s%s%s", before ? bucket : "", before ? "." : "", e->host);

	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

int oss_endpoint_authority(const struct oss_endpoint *e, const char *bucket, char *buf, size_t len)
{
	bool before = e->addressing == OSS_ADDRESS_VIRTUAL;
	bool v6 = strchr(e->host, ':') != NULL;
	char port[8] = "";
	int n;

	if (e->port != (e->tls ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", e->port);
	n = snprintf(buf, len, "%s%s%s%s%s%s", before ? bucket : "", before ? "." : "",
		     v6 ? "[" : "", e->host, v6 ? "]" : "", port);
	return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

bool oss_endpoint_equal(const struct oss_endpoint *a, const struct oss_endpoint *b)
{
	return a->dialect == b->dialect && a->addressing == b->addressing && a->tls == b->tls &&
	       a->port == b->port && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->region, b->region) == 0 && strcmp(a->product, b->product) == 0;
}
