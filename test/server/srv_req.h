/*
 * srv_req.h - one HTTP/1.1 request head, taken apart.  Knows HTTP and how a bucket and a key are
 * found in host and path; knows nothing of signatures or objects.
 *
 * All strings belong to the request, end in a NUL and live until srv_req_reset().
 */
#ifndef TEST_SERVER_SRV_REQ_H
#define TEST_SERVER_SRV_REQ_H

#include "test/server/srv_buf.h"

#define SRV_HEAD_MAX   65536
#define SRV_FIELDS_MAX 128
#define SRV_PARAMS_MAX 64
#define SRV_KEY_MAX    1023

enum srv_method {
	SRV_GET = 0,
	SRV_HEAD,
	SRV_PUT,
	SRV_POST,
	SRV_DELETE,
};

enum srv_dialect {
	SRV_OSS = 0,
	SRV_S3,
};

struct srv_field {
	const char *name; /* lower case */
	const char *value;
};

struct srv_param {
	const char *name; /* decoded, may hold NULs */
	size_t name_len;
	const char *value;
	size_t len;
};

struct srv_req {
	struct srv_buf store; /* the head, cut into strings */
	enum srv_method method;
	const char *method_name;
	const char *target; /* as received, for the log */
	char *path;	    /* decoded, with its first slash */
	size_t path_len;
	struct srv_field fields[SRV_FIELDS_MAX];
	size_t nr_fields;
	struct srv_param params[SRV_PARAMS_MAX];
	size_t nr_params;
	int64_t content_length; /* -1: not given */
	bool chunked;
	bool keep_alive;
	bool expect_continue;

	/* Filled by srv_req_resource(). */
	enum srv_dialect dialect;
	const char *host; /* Host header, with port; never NULL */
	bool path_style;
	char bucket[72]; /* "" for a request to the service */
	const char *key; /* into path; NULL for a request to a bucket */
	size_t key_len;
};

/* Returns 0 or the HTTP status to refuse with. */
int srv_req_parse(struct srv_req *r, const char *head, size_t len);
void srv_req_reset(struct srv_req *r);
void srv_req_fini(struct srv_req *r);

/* NULL where there is none; the first one where there are several. */
const char *srv_req_field(const struct srv_req *r, const char *lower_name);
const struct srv_param *srv_req_param(const struct srv_req *r, const char *name);
/* The value, "" if empty, NULL if there is no such parameter. */
const char *srv_req_value(const struct srv_req *r, const char *name);

/*
 * Find bucket and key.  A host that ends in one of the suffixes (NULL-terminated list) names the
 * bucket, any other host is path style.  Returns false if the bucket name cannot be one.
 */
bool srv_req_resource(struct srv_req *r, const char *const *suffixes);

#endif
