#include "test/server/srv_cred.h"

#include "test/server/srv_buf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct srv_creds {
	pthread_mutex_t lock;
	struct srv_cred **list;
	size_t nr;
};

struct srv_creds *srv_creds_new(void)
{
	struct srv_creds *c = srv_alloc(sizeof(*c));

	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void srv_creds_free(struct srv_creds *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->nr; i++)
		free(c->list[i]);
	free(c->list);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static struct srv_cred *find_locked(struct srv_creds *c, const char *ak)
{
	size_t i;

	for (i = 0; i < c->nr; i++) {
		if (strcmp(c->list[i]->ak, ak) == 0)
			return c->list[i];
	}
	return NULL;
}

bool srv_creds_set(struct srv_creds *c, const char *ak, const char *sk, const char *token,
		   int64_t expires)
{
	struct srv_cred *k;

	if (ak[0] == '\0' || sk[0] == '\0' || strlen(ak) >= SRV_CRED_TEXT ||
	    strlen(sk) >= SRV_CRED_TEXT || strlen(token) >= SRV_TOKEN_MAX)
		return false;
	pthread_mutex_lock(&c->lock);
	k = find_locked(c, ak);
	if (k == NULL) {
		c->list = realloc(c->list, (c->nr + 1) * sizeof(struct srv_cred *));
		if (c->list == NULL)
			abort();
		k = srv_alloc(sizeof(*k));
		c->list[c->nr++] = k;
	}
	strcpy(k->ak, ak);
	strcpy(k->sk, sk);
	strcpy(k->token, token);
	k->expires = expires;
	pthread_mutex_unlock(&c->lock);
	return true;
}

void srv_creds_remove(struct srv_creds *c, const char *ak)
{
	size_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < c->nr; i++) {
		if (strcmp(c->list[i]->ak, ak) == 0) {
			free(c->list[i]);
			c->list[i] = c->list[--c->nr];
			break;
		}
	}
	pthread_mutex_unlock(&c->lock);
}

bool srv_creds_get(struct srv_creds *c, const char *ak, struct srv_cred *ret)
{
	struct srv_cred *k;

	pthread_mutex_lock(&c->lock);
	k = find_locked(c, ak);
	if (k != NULL)
		*ret = *k;
	pthread_mutex_unlock(&c->lock);
	return k != NULL;
}

bool srv_creds_empty(struct srv_creds *c)
{
	bool r;

	pthread_mutex_lock(&c->lock);
	r = c->nr == 0;
	pthread_mutex_unlock(&c->lock);
	return r;
}
