/*
 * srv_object.h - one object as it was at one moment: what it is called, what it is made of, and
 * where its bytes lie.  Never changes once it is in the index, except that its CRC becomes known;
 * a new version is a new object.
 *
 * Threads: any; references are atomic.
 */
#ifndef TEST_SERVER_SRV_OBJECT_H
#define TEST_SERVER_SRV_OBJECT_H

#include "test/server/srv_crc.h"
#include "test/server/srv_req.h"

#include <stdatomic.h>
#include <sys/stat.h>

/* A file larger than this gets no checksum: reading it would take too long. */
#define SRV_CRC_FILE_MAX  (UINT64_C(256) << 30)
#define SRV_CRC_SYNTH_MAX (UINT64_C(1) << 40)

enum srv_crc_state {
	SRV_CRC_UNKNOWN = 0,
	SRV_CRC_KNOWN,
	SRV_CRC_NONE, /* there will be none */
};

struct srv_object {
	_Atomic unsigned refs;
	char *key;
	size_t key_len;
	uint64_t size;
	int64_t mtime;
	char etag[80]; /* as OSS writes it, without quotes */
	char type[16];
	char storage_class[24];
	char content_type[128];
	char restore[96];      /* "": never archived or not asked for */
	char *meta;	       /* user metadata, "name:value\n" each; NULL: none */
	unsigned char md5[16]; /* of the content, if has_md5 */
	bool has_md5;

	char *path;	/* the file; NULL: synthetic */
	bool owns_path; /* unlink it with the last reference (side table) */
	dev_t dev;
	ino_t ino;
	int64_t mtime_ns;

	uint64_t seed;
	uint32_t version;

	_Atomic int crc_state;
	uint64_t crc[SRV_CRC_KINDS]; /* read only after crc_state says KNOWN (acquire) */
};

/* One reference for the caller. */
struct srv_object *srv_object_new(const char *key, size_t key_len);
struct srv_object *srv_object_ref(struct srv_object *o);
void srv_object_unref(struct srv_object *o);
/* A copy that may be changed, with one reference. */
struct srv_object *srv_object_copy(const struct srv_object *o);

/* The content is the file at path, as st describes it: size, times, an ETag made from those. */
void srv_object_set_file(struct srv_object *o, const char *path, const struct stat *st);
bool srv_object_same_file(const struct srv_object *o, const struct stat *st);
/* The content follows from seed and version. */
void srv_object_set_synth(struct srv_object *o, uint64_t size, uint64_t seed, uint32_t version);

void srv_object_set_crc(struct srv_object *o, const uint64_t crc[SRV_CRC_KINDS]);
/* Read or reckon both CRCs now. */
void srv_object_find_crc(struct srv_object *o);
bool srv_object_crc_pending(const struct srv_object *o);

/* The seed that the bytes are made with: every version has its own. */
uint64_t srv_object_seed(const struct srv_object *o);

const char *srv_content_type(const char *key, size_t len);

#endif
