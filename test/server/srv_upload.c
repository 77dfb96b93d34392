#include "test/server/srv_upload.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct srv_uploads {
	pthread_mutex_t lock;
	struct srv_upload *list;
};

struct srv_uploads *srv_uploads_new(void)
{
	struct srv_uploads *u = srv_alloc(sizeof(*u));

	pthread_mutex_init(&u->lock, NULL);
	return u;
}

static void part_fini(struct srv_part *p)
{
	if (p->path != NULL)
		unlink(p->path);
	free(p->path);
}

void srv_upload_free(struct srv_upload *up)
{
	size_t i;

	for (i = 0; i < up->nr; i++)
		part_fini(&up->parts[i]);
	free(up->parts);
	srv_object_unref(up->object);
	free(up);
}

void srv_uploads_free(struct srv_uploads *u)
{
	struct srv_upload *up;

	if (u == NULL)
		return;
	while ((up = u->list) != NULL) {
		u->list = up->next;
		srv_upload_free(up);
	}
	pthread_mutex_destroy(&u->lock);
	free(u);
}

void srv_uploads_add(struct srv_uploads *u, struct srv_upload *upload)
{
	pthread_mutex_lock(&u->lock);
	upload->next = u->list;
	u->list = upload;
	pthread_mutex_unlock(&u->lock);
}

static struct srv_upload **find_locked(struct srv_uploads *u, const struct srv_upload_name *n)
{
	struct srv_upload **at, *up;

	for (at = &u->list; (up = *at) != NULL; at = &up->next) {
		if (strcmp(up->id, n->id) == 0 && strcmp(up->bucket, n->bucket) == 0 &&
		    up->object->key_len == n->key_len &&
		    memcmp(up->object->key, n->key, n->key_len) == 0)
			break;
	}
	return at;
}

struct srv_upload *srv_uploads_take(struct srv_uploads *u, const struct srv_upload_name *name)
{
	struct srv_upload **at, *up;

	pthread_mutex_lock(&u->lock);
	at = find_locked(u, name);
	up = *at;
	if (up != NULL)
		*at = up->next;
	pthread_mutex_unlock(&u->lock);
	return up;
}

bool srv_uploads_with(struct srv_uploads *u, const struct srv_upload_name *name,
		      void (*with)(struct srv_upload *up, void *arg), void *arg)
{
	struct srv_upload *up;

	pthread_mutex_lock(&u->lock);
	up = *find_locked(u, name);
	if (up != NULL)
		with(up, arg);
	pthread_mutex_unlock(&u->lock);
	return up != NULL;
}

void srv_uploads_each(struct srv_uploads *u, const char *bucket,
		      void (*each)(const struct srv_upload *up, void *arg), void *arg)
{
	struct srv_upload *up;

	pthread_mutex_lock(&u->lock);
	for (up = u->list; up != NULL; up = up->next) {
		if (strcmp(up->bucket, bucket) == 0)
			each(up, arg);
	}
	pthread_mutex_unlock(&u->lock);
}

void srv_upload_set_part(struct srv_upload *up, const struct srv_part *part)
{
	size_t i;

	for (i = 0; i < up->nr && up->parts[i].number < part->number; i++)
		;
	if (i < up->nr && up->parts[i].number == part->number) {
		part_fini(&up->parts[i]);
	} else {
		up->parts = realloc(up->parts, (up->nr + 1) * sizeof(struct srv_part));
		if (up->parts == NULL)
			abort();
		memmove(up->parts + i + 1, up->parts + i, (up->nr - i) * sizeof(struct srv_part));
		up->nr++;
	}
	up->parts[i] = *part;
}
