/*
 * OSS4-HMAC-SHA256 and AWS4-HMAC-SHA256.  They differ in the rows below and in which headers are
 * signed by rule: OSS signs x-oss-*, content-type and content-md5 whenever they are there and
 * lists only the others; AWS signs exactly what it lists.
 */
#include "test/server/srv_sign.h"

#include "test/server/srv_text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#define SIGNED_MAX 64

struct v4_rules {
	const char *scheme;
	const char *key_prefix;
	const char *terminator;
	const char *date_field;
	const char *sha_field;
	const char *token_field;
	const char *header_list; /* parameter of Authorization that lists headers */
	const char *q_credential;
	const char *q_date;
	const char *q_expires;
	const char *q_token;
	const char *q_header_list;
	const char *q_signature;
	bool s3;
};

static const struct v4_rules oss_rules = {
	.scheme = "OSS4-HMAC-SHA256",
	.key_prefix = "aliyun_v4",
	.terminator = "aliyun_v4_request",
	.date_field = "x-oss-date",
	.sha_field = "x-oss-content-sha256",
	.token_field = "x-oss-security-token",
	.header_list = "AdditionalHeaders",
	.q_credential = "x-oss-credential",
	.q_date = "x-oss-date",
	.q_expires = "x-oss-expires",
	.q_token = "x-oss-security-token",
	.q_header_list = "x-oss-additional-headers",
	.q_signature = "x-oss-signature",
};

static const struct v4_rules s3_rules = {
	.scheme = "AWS4-HMAC-SHA256",
	.key_prefix = "AWS4",
	.terminator = "aws4_request",
	.date_field = "x-amz-date",
	.sha_field = "x-amz-content-sha256",
	.token_field = "x-amz-security-token",
	.header_list = "SignedHeaders",
	.q_credential = "X-Amz-Credential",
	.q_date = "X-Amz-Date",
	.q_expires = "X-Amz-Expires",
	.q_token = "X-Amz-Security-Token",
	.q_header_list = "X-Amz-SignedHeaders",
	.q_signature = "X-Amz-Signature",
	.s3 = true,
};

/* The parts of a claim, as the client wrote them. */
struct claim {
	char credential[512]; /* cut into the five below */
	const char *scope_date;
	const char *region;
	const char *product;
	const char *terminator;
	char headers[1024]; /* ';' between them */
	const char *date;
	const char *token;
	const char *payload;
};

static bool copy_text(char *dst, size_t cap, const char *src, size_t n)
{
	if (n >= cap)
		return false;
	memcpy(dst, src, n);
	dst[n] = '\0';
	return true;
}

/* AK/date/region/product/terminator; the key id itself may hold slashes. */
static bool cut_credential(struct claim *c, struct srv_verdict *v)
{
	const char *part[4];
	int i;

	for (i = 3; i >= 0; i--) {
		char *slash = strrchr(c->credential, '/');

		if (slash == NULL)
			return false;
		*slash = '\0';
		part[i] = slash + 1;
	}
	c->scope_date = part[0];
	c->region = part[1];
	c->product = part[2];
	c->terminator = part[3];
	return c->credential[0] != '\0' &&
	       copy_text(v->ak, sizeof(v->ak), c->credential, strlen(c->credential));
}

static bool read_header_claim(const struct srv_req *r, const struct v4_rules *rules,
			      struct claim *c, struct srv_verdict *v)
{
	const char *p = srv_req_field(r, "authorization") + strlen(rules->scheme) + 1;

	while (*p != '\0') {
		size_t n, name;
		bool ok = true;

		p += strspn(p, " ,");
		n = strcspn(p, ",");
		while (n > 0 && p[n - 1] == ' ')
			n--;
		name = strcspn(p, "=,");
		if (n == 0)
			break;
		if (name >= n || p[name] != '=')
			return false;
		if (name == 10 && strncmp(p, "Credential", 10) == 0)
			ok = copy_text(c->credential, sizeof(c->credential), p + 11, n - 11);
		else if (name == 9 && strncmp(p, "Signature", 9) == 0)
			ok = copy_text(v->signature, sizeof(v->signature), p + 10, n - 10);
		else if (name == strlen(rules->header_list) &&
			 strncmp(p, rules->header_list, name) == 0)
			ok = copy_text(c->headers, sizeof(c->headers), p + name + 1, n - name - 1);
		else
			ok = false;
		if (!ok)
			return false;
		p += strcspn(p, ",");
	}
	c->date = srv_req_field(r, rules->date_field);
	c->token = srv_req_field(r, rules->token_field);
	c->payload = srv_req_field(r, rules->sha_field);
	return c->credential[0] != '\0' && v->signature[0] != '\0';
}

static bool read_query_claim(const struct srv_req *r, const struct v4_rules *rules, struct claim *c,
			     struct srv_verdict *v)
{
	const char *credential = srv_req_value(r, rules->q_credential);
	const char *signature = srv_req_value(r, rules->q_signature);
	const char *list = srv_req_value(r, rules->q_header_list);

	if (credential == NULL || signature == NULL)
		return false;
	if (list == NULL)
		list = "";
	c->date = srv_req_value(r, rules->q_date);
	c->token = srv_req_value(r, rules->q_token);
	c->payload = rules->s3 ? srv_req_field(r, rules->sha_field) : NULL;
	if (c->payload == NULL)
		c->payload = "UNSIGNED-PAYLOAD";
	return copy_text(c->credential, sizeof(c->credential), credential, strlen(credential)) &&
	       copy_text(v->signature, sizeof(v->signature), signature, strlen(signature)) &&
	       copy_text(c->headers, sizeof(c->headers), list, strlen(list));
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One "name=value" per parameter, encoded, sorted by the encoded name. */
static bool add_query(struct srv_buf *out, const struct srv_req *r, const struct v4_rules *rules)
{
	char *line[SRV_PARAMS_MAX];
	size_t i, nr = 0;

	for (i = 0; i < r->nr_params; i++) {
		const struct srv_param *p = &r->params[i];
		struct srv_buf b = { 0 };

		if (p->name_len == strlen(rules->q_signature) &&
		    memcmp(p->name, rules->q_signature, p->name_len) == 0)
			continue;
		srv_buf_uri(&b, p->name, p->name_len, false);
		/* \1 sorts before every byte of an encoded name, as the name's end must. */
		srv_buf_char(&b, '\1');
		srv_buf_uri(&b, p->value, p->len, false);
		line[nr++] = b.p;
	}
	qsort(line, nr, sizeof(line[0]), compare_text);
	for (i = 0; i < nr; i++) {
		char *value = strchr(line[i], '\1');

		*value++ = '\0';
		if (i > 0)
			srv_buf_char(out, '&');
		srv_buf_str(out, line[i]);
		if (*value != '\0' || rules->s3)
			srv_buf_fmt(out, "=%s", value);
		free(line[i]);
	}
	return true;
}

/* Runs of blanks become one blank (AWS only). */
static void add_squeezed(struct srv_buf *out, const char *s)
{
	bool blank = false;

	for (; *s != '\0'; s++) {
		if (*s != ' ' || !blank)
			srv_buf_char(out, *s);
		blank = *s == ' ';
	}
}

static void add_field_line(struct srv_buf *out, const struct srv_req *r, const char *name, bool s3)
{
	bool first = true;
	size_t i;

	srv_buf_fmt(out, "%s:", name);
	for (i = 0; i < r->nr_fields; i++) {
		if (strcmp(r->fields[i].name, name) != 0)
			continue;
		if (!first)
			srv_buf_char(out, ',');
		first = false;
		if (s3)
			add_squeezed(out, r->fields[i].value);
		else
			srv_buf_str(out, r->fields[i].value);
	}
	srv_buf_char(out, '\n');
}

static bool oss_signs_always(const char *name)
{
	return strncmp(name, "x-oss-", 6) == 0 || strcmp(name, "content-type") == 0 ||
	       strcmp(name, "content-md5") == 0;
}

static bool add_name(const char **names, size_t *nr, const char *name)
{
	size_t i;

	for (i = 0; i < *nr; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	if (*nr == SIGNED_MAX)
		return false;
	names[(*nr)++] = name;
	return true;
}

/* Header lines and the list line.  list is cut up on the way. */
static bool add_headers(struct srv_buf *out, const struct srv_req *r, const struct v4_rules *rules,
			const char *headers)
{
	const char *names[SIGNED_MAX];
	char list[1024], *save = NULL, *name;
	size_t i, nr = 0;
	bool host = false;

	strcpy(list, headers);
	for (name = strtok_r(list, ";", &save); name != NULL; name = strtok_r(NULL, ";", &save)) {
		if (srv_req_field(r, name) == NULL || !add_name(names, &nr, name))
			return false;
		host = host || strcmp(name, "host") == 0;
	}
	if (rules->s3 && !host)
		return false;
	for (i = 0; i < r->nr_fields; i++) {
		const char *field = r->fields[i].name;

		if (!rules->s3 && oss_signs_always(field)) {
			if (!add_name(names, &nr, field))
				return false;
		}
		/* AWS: every x-amz- header that is sent must be listed. */
		if (rules->s3 && strncmp(field, "x-amz-", 6) == 0) {
			size_t before = nr;

			if (!add_name(names, &nr, field) || nr != before)
				return false;
		}
	}
	qsort(names, nr, sizeof(names[0]), compare_text);
	for (i = 0; i < nr; i++)
		add_field_line(out, r, names[i], rules->s3);
	srv_buf_fmt(out, "\n%s\n", headers);
	return true;
}

static void add_resource(struct srv_buf *out, const struct srv_req *r, const struct v4_rules *rules)
{
	if (rules->s3) {
		srv_buf_uri(out, r->path, r->path_len, true);
		return;
	}
	srv_buf_char(out, '/');
	if (r->bucket[0] == '\0')
		return;
	srv_buf_uri(out, r->bucket, strlen(r->bucket), true);
	srv_buf_char(out, '/');
	if (r->key != NULL)
		srv_buf_uri(out, r->key, r->key_len, true);
}

static void mac(unsigned char out[32], const void *key, size_t key_len, const char *text)
{
	unsigned n = 32;

	HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)text, strlen(text), out, &n);
}

static void sign(struct srv_buf *out, const struct srv_cred *k, const struct claim *c,
		 const struct v4_rules *rules, const char *string_to_sign)
{
	char seed[SRV_CRED_TEXT + 16];
	unsigned char a[32], b[32];

	strcpy(seed, rules->key_prefix);
	strcat(seed, k->sk);
	mac(a, seed, strlen(seed), c->scope_date);
	mac(b, a, sizeof(a), c->region);
	mac(a, b, sizeof(b), c->product);
	mac(b, a, sizeof(a), rules->terminator);
	mac(a, b, sizeof(b), string_to_sign);
	srv_buf_hex(out, a, sizeof(a), false);
}

/* Everything about time: format, skew or expiry, agreement with the scope. */
static bool check_time(const struct srv_req *r, const struct v4_rules *rules, const struct claim *c,
		       bool in_query, struct srv_verdict *v)
{
	const char *expires = srv_req_value(r, rules->q_expires);
	int64_t now = srv_clock_now();
	uint64_t life;

	if (c->date == NULL || !srv_date_parse_basic(c->date, &v->request_time)) {
		v->error = SRV_E_BAD_DATE;
		return false;
	}
	if (strncmp(c->date, c->scope_date, 8) != 0 || strlen(c->scope_date) != 8) {
		v->error = SRV_E_BAD_CREDENTIAL;
		return false;
	}
	if (!in_query)
		return srv_sign_check_skew(v);
	if (expires == NULL || !srv_parse_u64(expires, &life) || life < 1 || life > 604800)
		v->error = SRV_E_EXPIRES_RANGE;
	else if (v->request_time > now + SRV_SKEW_SECONDS)
		v->error = SRV_E_NOT_YET_VALID;
	else if (now > v->request_time + (int64_t)life)
		v->error = SRV_E_URL_EXPIRED;
	return v->error == SRV_E_NONE;
}

static bool check_scope(const struct v4_rules *rules, const struct srv_sign_rules *want,
			const struct claim *c, struct srv_verdict *v)
{
	if (strcmp(c->terminator, rules->terminator) != 0)
		v->error = SRV_E_BAD_CREDENTIAL;
	else if (!want->any_region && strcmp(c->region, want->region) != 0)
		v->error = SRV_E_WRONG_REGION;
	else if (strcmp(c->product, rules->s3 ? "s3" : want->product) != 0)
		v->error = SRV_E_WRONG_PRODUCT;
	return v->error == SRV_E_NONE;
}

static bool check_payload(const struct v4_rules *rules, const struct claim *c,
			  struct srv_verdict *v)
{
	if (c->payload == NULL || (!rules->s3 && strcmp(c->payload, "UNSIGNED-PAYLOAD") != 0) ||
	    !copy_text(v->payload_sha256, sizeof(v->payload_sha256), c->payload,
		       strlen(c->payload)))
		v->error = SRV_E_SHA256_NOT_UNSIGNED;
	return v->error == SRV_E_NONE;
}

static void compare_signature(const struct srv_req *r, const struct v4_rules *rules,
			      const struct claim *c, const struct srv_cred *k,
			      struct srv_verdict *v)
{
	unsigned char hash[32];
	struct srv_buf want = { 0 };
	unsigned n = sizeof(hash);

	srv_buf_fmt(&v->canonical, "%s\n", r->method_name);
	add_resource(&v->canonical, r, rules);
	srv_buf_char(&v->canonical, '\n');
	add_query(&v->canonical, r, rules);
	srv_buf_char(&v->canonical, '\n');
	if (!add_headers(&v->canonical, r, rules, c->headers)) {
		v->error = SRV_E_BAD_AUTHORIZATION;
		return;
	}
	srv_buf_str(&v->canonical, c->payload);

	EVP_Digest(v->canonical.p, v->canonical.len, hash, &n, EVP_sha256(), NULL);
	srv_buf_fmt(&v->string_to_sign, "%s\n%s\n%s/%s/%s/%s\n", rules->scheme, c->date,
		    c->scope_date, c->region, c->product, c->terminator);
	srv_buf_hex(&v->string_to_sign, hash, sizeof(hash), false);
	sign(&want, k, c, rules, v->string_to_sign.p);
	if (!srv_sign_same(want.p, v->signature))
		v->error = SRV_E_SIGNATURE;
	srv_buf_free(&want);
}

void srv_sign_v4(const struct srv_req *r, struct srv_creds *creds,
		 const struct srv_sign_rules *want, bool in_query, struct srv_verdict *v)
{
	const struct v4_rules *rules = r->dialect == SRV_S3 ? &s3_rules : &oss_rules;
	struct claim c = { 0 };
	struct srv_cred k;
	bool read;

	read = in_query ? read_query_claim(r, rules, &c, v) : read_header_claim(r, rules, &c, v);
	if (!read) {
		v->error = SRV_E_BAD_AUTHORIZATION;
		return;
	}
	if (!cut_credential(&c, v)) {
		v->error = SRV_E_BAD_CREDENTIAL;
		return;
	}
	if (!srv_sign_find_key(creds, c.token, v, &k))
		return;
	if (!check_time(r, rules, &c, in_query, v) || !check_scope(rules, want, &c, v) ||
	    !check_payload(rules, &c, v))
		return;
	compare_signature(r, rules, &c, &k, v);
}
