#include "test/server/srv_sign.h"

#include "test/server/srv_text.h"

#include <openssl/crypto.h>
#include <string.h>

bool srv_sign_same(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

bool srv_sign_check_skew(struct srv_verdict *v)
{
	int64_t off = v->request_time - srv_clock_now();

	if (off <= SRV_SKEW_SECONDS && off >= -SRV_SKEW_SECONDS)
		return true;
	v->error = SRV_E_TIME_SKEWED;
	return false;
}

bool srv_sign_find_key(struct srv_creds *creds, const char *token, struct srv_verdict *v,
		       struct srv_cred *k)
{
	if (token == NULL)
		token = "";
	if (!srv_creds_get(creds, v->ak, k)) {
		v->error = SRV_E_INVALID_AK;
	} else if (k->token[0] != '\0' && token[0] == '\0') {
		/* A temporary key without its token is unknown to the service. */
		v->error = SRV_E_INVALID_AK;
	} else if (k->token[0] == '\0' && token[0] != '\0') {
		v->error = SRV_E_TOKEN_MISMATCH;
	} else if (!srv_sign_same(k->token, token)) {
		v->error = SRV_E_TOKEN_INVALID;
	} else if (k->expires != 0 && srv_clock_now() >= k->expires) {
		v->error = SRV_E_TOKEN_EXPIRED;
	} else {
		return true;
	}
	return false;
}

static bool starts_with(const char *s, const char *start)
{
	return s != NULL && strncmp(s, start, strlen(start)) == 0;
}

static bool has_amz_field(const struct srv_req *r)
{
	size_t i;

	for (i = 0; i < r->nr_fields; i++) {
		if (starts_with(r->fields[i].name, "x-amz-"))
			return true;
	}
	return false;
}

void srv_sign_verify(struct srv_req *r, struct srv_creds *creds, const struct srv_sign_rules *rules,
		     struct srv_verdict *v)
{
	const char *auth = srv_req_field(r, "authorization");
	const char *version = srv_req_value(r, "x-oss-signature-version");
	const char *algorithm = srv_req_value(r, "X-Amz-Algorithm");
	bool s3 = starts_with(auth, "AWS4-HMAC-SHA256 ") || algorithm != NULL;
	bool oss = starts_with(auth, "OSS4-HMAC-SHA256 ") || starts_with(auth, "OSS ") ||
		   version != NULL || srv_req_param(r, "OSSAccessKeyId") != NULL;

	if (s3)
		r->dialect = SRV_S3;
	else if (oss)
		r->dialect = SRV_OSS;
	else
		r->dialect = has_amz_field(r) ? SRV_S3 : rules->fallback;

	if ((s3 && rules->oss_only) || (oss && !s3 && rules->s3_only)) {
		r->dialect = rules->fallback;
		v->error = SRV_E_BAD_AUTHORIZATION;
	} else if (auth != NULL) {
		if (s3 || starts_with(auth, "OSS4-HMAC-SHA256 "))
			srv_sign_v4(r, creds, rules, false, v);
		else if (starts_with(auth, "OSS "))
			srv_sign_v1(r, creds, false, v);
		else
			v->error = SRV_E_BAD_AUTHORIZATION;
	} else if (version != NULL || algorithm != NULL) {
		srv_sign_v4(r, creds, rules, true, v);
	} else if (oss) {
		srv_sign_v1(r, creds, true, v);
	} else {
		v->anonymous = true;
	}
}

void srv_sign_fini(struct srv_verdict *v)
{
	srv_buf_free(&v->canonical);
	srv_buf_free(&v->string_to_sign);
}
