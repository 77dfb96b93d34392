/*
 * srv_cred.h - the access keys that the store knows.  Any thread may call.
 */
#ifndef TEST_SERVER_SRV_CRED_H
#define TEST_SERVER_SRV_CRED_H

#include <stdbool.h>
#include <stdint.h>

#define SRV_CRED_TEXT 128
#define SRV_TOKEN_MAX 4096

struct srv_cred {
	char ak[SRV_CRED_TEXT];
	char sk[SRV_CRED_TEXT];
	char token[SRV_TOKEN_MAX]; /* "": a long-term key */
	int64_t expires;	   /* unix seconds; 0: never */
};

struct srv_creds;

struct srv_creds *srv_creds_new(void);
void srv_creds_free(struct srv_creds *c);
/* Adds, or replaces the one with the same access key id.  False: a text is too long or empty. */
bool srv_creds_set(struct srv_creds *c, const char *ak, const char *sk, const char *token,
		   int64_t expires);
void srv_creds_remove(struct srv_creds *c, const char *ak);
bool srv_creds_get(struct srv_creds *c, const char *ak, struct srv_cred *ret);
bool srv_creds_empty(struct srv_creds *c);

#endif
