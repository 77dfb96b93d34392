/*
 * srv_intake.h - the body of one request: taken out of chunked and aws-chunked coding, summed, and
 * put into memory or into a file.
 */
#ifndef TEST_SERVER_SRV_INTAKE_H
#define TEST_SERVER_SRV_INTAKE_H

#include "test/server/srv_crc.h"
#include "test/server/srv_req.h"

#include <openssl/types.h>

#define SRV_MEMORY_MAX (8u << 20)

enum srv_intake_kind {
	SRV_INTAKE_DISCARD = 0,
	SRV_INTAKE_MEMORY,
	SRV_INTAKE_FILE,
};

/* One chunked coding; aws-chunked is the same with extensions that are not looked at. */
struct srv_dechunk {
	int state;
	uint64_t left;
	size_t line_len;
	char line[512];
	struct srv_buf trailer; /* "name:value\n" each, names in lower case */
};

struct srv_intake {
	enum srv_intake_kind kind;
	uint64_t left; /* of Content-Length */
	bool chunked;
	bool aws_chunked;
	bool done;
	bool too_large;
	bool broken; /* framing, or the file cannot be written */
	struct srv_dechunk outer;
	struct srv_dechunk inner;
	struct srv_buf memory;
	int fd;
	char *path; /* of the file; unlinked unless taken */
	EVP_MD_CTX *md5;
	EVP_MD_CTX *sha256;
	uint64_t size; /* decoded bytes */
	uint64_t crc[SRV_CRC_KINDS];
	uint32_t crc32;
	unsigned char md5_sum[16]; /* when done, not for DISCARD */
	char sha256_hex[65];	   /* when done, if asked for */
};

/* path: for FILE, taken over.  False: the file cannot be made. */
bool srv_intake_start(struct srv_intake *in, const struct srv_req *r, enum srv_intake_kind kind,
		      char *path, bool want_sha256);
/* Feeds bytes; returns how many belonged to the body.  Look at done, too_large and broken. */
size_t srv_intake_feed(struct srv_intake *in, const char *p, size_t n);
/* A trailer that came behind an aws-chunked body; NULL: none.  free() it. */
char *srv_intake_trailer(const struct srv_intake *in, const char *lower_name);
void srv_intake_fini(struct srv_intake *in);

#endif
