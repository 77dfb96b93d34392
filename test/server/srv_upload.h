/*
 * srv_upload.h - multipart uploads under way.  Any thread may call.
 */
#ifndef TEST_SERVER_SRV_UPLOAD_H
#define TEST_SERVER_SRV_UPLOAD_H

#include "test/server/srv_object.h"

#define SRV_PARTS_MAX 10000

struct srv_part {
	unsigned number;
	char *path;
	uint64_t size;
	unsigned char md5[16];
	uint64_t crc[SRV_CRC_KINDS];
	int64_t mtime;
};

struct srv_upload {
	struct srv_upload *next;
	char id[40];
	char bucket[72];
	struct srv_object *object; /* with key, type and metadata */
	int64_t made;
	struct srv_part *parts; /* sorted by number */
	size_t nr;
};

/* What a request calls it by. */
struct srv_upload_name {
	const char *id;
	const char *bucket;
	const char *key;
	size_t key_len;
};

struct srv_uploads;

struct srv_uploads *srv_uploads_new(void);
void srv_uploads_free(struct srv_uploads *u);
/* Takes the object over. */
void srv_uploads_add(struct srv_uploads *u, struct srv_upload *upload);
/* Takes it out of the set: the caller puts it back or frees it. */
struct srv_upload *srv_uploads_take(struct srv_uploads *u, const struct srv_upload_name *name);
/* Calls with() under the lock; false if there is no such upload. */
bool srv_uploads_with(struct srv_uploads *u, const struct srv_upload_name *name,
		      void (*with)(struct srv_upload *up, void *arg), void *arg);
void srv_uploads_each(struct srv_uploads *u, const char *bucket,
		      void (*each)(const struct srv_upload *up, void *arg), void *arg);
void srv_upload_free(struct srv_upload *up);
/* Takes the part's path over; replaces a part of the same number. */
void srv_upload_set_part(struct srv_upload *up, const struct srv_part *part);

#endif
