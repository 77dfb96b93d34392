#include "daemon/oss/sign_v4.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/oss/cred.h"
#include "daemon/oss/date.h"
#include "daemon/oss/digest.h"

#define UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* What one signature is made of, between its two ends. */
struct making {
	const struct sign_dialect *dialect;
	const struct sign_request *req;
	const struct cred *cred;
	struct canon_fields fields;
	char date[DATE_BASIC_LEN];
	char scope[192];
	struct strbuf names;
	char signature[DIGEST_HEX_LEN];
};

static const char *payload_hash(const struct sign_request *req)
{
	return req->payload_hash != NULL ? req->payload_hash : UNSIGNED_PAYLOAD;
}

static int making_init(struct making *m, const struct sign_dialect *dialect,
		       const struct sign_request *req, const struct cred *cred)
{
	int n;

	m->dialect = dialect;
	m->req = req;
	m->cred = cred;
	m->fields.nr = 0;
	strbuf_init(&m->names, SIGN_MAX_BYTES);
	date_format_basic(req->unix_time, m->date);
	n = snprintf(m->scope, sizeof(m->scope), "%.8s/%s/%s/%s", m->date, req->region,
		     req->product, dialect->terminator);
	return n < 0 || (size_t)n >= sizeof(m->scope) ? -E2BIG : 0;
}

static bool is_signed_by_rule(const struct sign_dialect *d, const char *name)
{
	return strncasecmp(name, d->header_prefix, strlen(d->header_prefix)) == 0 ||
	       strcasecmp(name, "content-type") == 0 || strcasecmp(name, "content-md5") == 0;
}

static bool is_asked_for(const struct sign_request *req, const char *name)
{
	size_t i;

	for (i = 0; i < req->nr_also_signed; i++) {
		if (strcasecmp(req->also_signed[i], name) == 0)
			return true;
	}
	return false;
}

/* The headers of the request that enter the signature; the signer's own come before. */
static int add_fields(struct making *m)
{
	const struct sign_request *req = m->req;
	bool host = m->dialect->signs_host;
	size_t i;
	int r = 0;

	if (host)
		r = canon_fields_add(&m->fields, "host", req->host, false);
	for (i = 0; i < req->nr_headers && r == 0; i++) {
		const char *name = req->headers[i].name;

		if (host && strcasecmp(name, "host") == 0)
			continue;
		if (is_signed_by_rule(m->dialect, name))
			r = canon_fields_add(&m->fields, name, req->headers[i].value, false);
		else if (is_asked_for(req, name))
			r = canon_fields_add(&m->fields, name, req->headers[i].value, true);
	}
	if (r != 0)
		return r;
	canon_fields_sort(&m->fields);
	canon_fields_names(&m->fields, !m->dialect->names_all, &m->names);
	return strbuf_error(&m->names);
}

static void add_uri(const struct making *m, struct strbuf *sb)
{
	const struct sign_request *req = m->req;
	bool with_bucket = m->dialect->bucket_always || req->bucket_in_path;

	strbuf_addc(sb, '/');
	if (req->bucket != NULL && with_bucket) {
		canon_encode(sb, req->bucket, strlen(req->bucket), true);
		strbuf_addc(sb, '/');
	}
	if (req->key != NULL)
		canon_encode(sb, req->key, strlen(req->key), true);
}

static int add_canonical_request(const struct making *m, const struct oss_param *query,
				 size_t nr_query, struct strbuf *sb)
{
	int r;

	strbuf_adds(sb, m->req->method);
	strbuf_addc(sb, '\n');
	add_uri(m, sb);
	strbuf_addc(sb, '\n');
	r = canon_query(sb, query, nr_query, m->dialect->empty_equals);
	if (r != 0)
		return r;
	strbuf_addc(sb, '\n');
	canon_fields_lines(&m->fields, m->dialect->collapse_blanks, sb);
	strbuf_addc(sb, '\n');
	strbuf_add(sb, strbuf_str(&m->names), strbuf_len(&m->names));
	strbuf_addc(sb, '\n');
	strbuf_adds(sb, payload_hash(m->req));
	return strbuf_error(sb);
}

/* The chain of keys: date, region, product, terminator. */
static int derive_key(const struct making *m, unsigned char key[4][DIGEST_SHA256_LEN])
{
	const char *links[4] = { m->date, m->req->region, m->req->product, m->dialect->terminator };
	char secret[64 + CRED_KEY_MAX];
	const void *from = secret;
	size_t from_len;
	int i, r = 0;

	from_len = (size_t)snprintf(secret, sizeof(secret), "%s%s", m->dialect->key_prefix,
				    cred_secret(m->cred));
	for (i = 0; i < 4 && r == 0; i++) {
		size_t len = i == 0 ? 8 : strlen(links[i]);

		r = digest_hmac_sha256(from, from_len, links[i], len, key[i]);
		from = key[i];
		from_len = DIGEST_SHA256_LEN;
	}
	explicit_bzero(secret, sizeof(secret));
	return r;
}

static void keep_trace(const struct making *m, const struct strbuf *request,
		       const struct strbuf *to_sign, unsigned char key[4][DIGEST_SHA256_LEN])
{
	struct sign_trace *t = m->req->trace;

	if (t == NULL)
		return;
	strbuf_add(&t->canonical_request, strbuf_str(request), strbuf_len(request));
	strbuf_add(&t->string_to_sign, strbuf_str(to_sign), strbuf_len(to_sign));
	memcpy(t->scope, m->scope, sizeof(t->scope));
	memcpy(t->key, key, sizeof(t->key));
	memcpy(t->signature, m->signature, sizeof(t->signature));
}

/* Everything between the fields and the signature. */
static int compute(struct making *m, const struct oss_param *query, size_t nr_query)
{
	unsigned char key[4][DIGEST_SHA256_LEN], hash[DIGEST_SHA256_LEN];
	char hex[DIGEST_HEX_LEN];
	struct strbuf request, to_sign;
	int r;

	strbuf_init(&request, SIGN_MAX_BYTES);
	strbuf_init(&to_sign, SIGN_MAX_BYTES);
	r = add_canonical_request(m, query, nr_query, &request);
	if (r == 0)
		r = digest_sha256(strbuf_str(&request), strbuf_len(&request), hash);
	if (r != 0)
		goto out;
	digest_hex(hash, hex);
	strbuf_addf(&to_sign, "%s\n%s\n%s\n%s", m->dialect->algorithm, m->date, m->scope, hex);
	r = strbuf_error(&to_sign);
	if (r == 0)
		r = derive_key(m, key);
	if (r == 0)
		r = digest_hmac_sha256(key[3], DIGEST_SHA256_LEN, strbuf_str(&to_sign),
				       strbuf_len(&to_sign), hash);
	if (r == 0) {
		digest_hex(hash, m->signature);
		keep_trace(m, &request, &to_sign, key);
	}
	explicit_bzero(key, sizeof(key));
out:
	strbuf_wipe(&request);
	strbuf_fini(&to_sign);
	return r;
}

static int add_authorization(const struct making *m, struct signature *s)
{
	const struct sign_dialect *d = m->dialect;
	struct strbuf value;
	int r;

	strbuf_init(&value, SIGN_MAX_BYTES);
	strbuf_addf(&value, "%s Credential=%s/%s%s", d->algorithm, cred_id(m->cred), m->scope,
		    d->separator);
	if (strbuf_len(&m->names) > 0)
		strbuf_addf(&value, "%s=%s%s", d->names_key, strbuf_str(&m->names), d->separator);
	strbuf_addf(&value, "Signature=%s", m->signature);
	r = strbuf_error(&value);
	if (r == 0)
		r = signature_add(s, "Authorization", strbuf_str(&value));
	strbuf_wipe(&value);
	return r;
}

int sign_v4_headers(const struct sign_dialect *d, const struct sign_request *req,
		    const struct cred *cred, struct signature *ret_signature)
{
	struct signature s = { .nr_headers = 0 };
	struct making m;
	size_t i;
	int r;

	r = making_init(&m, d, req, cred);
	if (r != 0)
		return r;
	r = signature_add(&s, d->date_header, m.date);
	if (r == 0 && d->payload_header != NULL)
		r = signature_add(&s, d->payload_header, payload_hash(req));
	if (r == 0 && cred_token(cred) != NULL)
		r = signature_add(&s, d->token_header, cred_token(cred));
	for (i = 0; i < s.nr_headers && r == 0; i++)
		r = canon_fields_add(&m.fields, s.headers[i].name, s.headers[i].value, false);
	if (r == 0)
		r = add_fields(&m);
	if (r == 0)
		r = compute(&m, req->query, req->nr_query);
	if (r == 0)
		r = add_authorization(&m, &s);
	strbuf_fini(&m.names);
	if (r != 0)
		signature_fini(&s);
	else
		*ret_signature = s;
	return r;
}

int sign_v4_query(const struct sign_dialect *d, const struct sign_request *req,
		  const struct cred *cred, struct strbuf *ret_query)
{
	struct oss_param params[CANON_MAX_PARAMS];
	char expires[16], credential[CRED_KEY_MAX + 200];
	size_t nr = req->nr_query;
	struct making m;
	int r;

	if (nr + 7 > CANON_MAX_PARAMS)
		return -E2BIG;
	r = making_init(&m, d, req, cred);
	if (r == 0)
		r = add_fields(&m);
	if (r != 0)
		goto out;
	snprintf(expires, sizeof(expires), "%u", req->expires_s);
	snprintf(credential, sizeof(credential), "%s/%s", cred_id(cred), m.scope);
	if (nr > 0)
		memcpy(params, req->query, nr * sizeof(params[0]));
	params[nr++] = (struct oss_param){ d->query_algorithm, d->algorithm };
	params[nr++] = (struct oss_param){ d->query_date, m.date };
	params[nr++] = (struct oss_param){ d->query_expires, expires };
	params[nr++] = (struct oss_param){ d->query_credential, credential };
	if (cred_token(cred) != NULL)
		params[nr++] = (struct oss_param){ d->query_token, cred_token(cred) };
	if (strbuf_len(&m.names) > 0)
		params[nr++] = (struct oss_param){ d->query_names, strbuf_str(&m.names) };
	r = compute(&m, params, nr);
	if (r == 0)
		r = canon_query(ret_query, params, nr, d->empty_equals);
	if (r == 0) {
		strbuf_addf(ret_query, "&%s=%s", d->query_signature, m.signature);
		r = strbuf_error(ret_query);
	}
out:
	strbuf_fini(&m.names);
	return r;
}

const struct sign_dialect sign_dialect_oss = {
	.algorithm = "OSS4-HMAC-SHA256",
	.key_prefix = "aliyun_v4",
	.terminator = "aliyun_v4_request",
	.header_prefix = "x-oss-",
	.date_header = "x-oss-date",
	.payload_header = "x-oss-content-sha256",
	.token_header = "x-oss-security-token",
	.names_key = "AdditionalHeaders",
	.separator = ",",
	.query_algorithm = "x-oss-signature-version",
	.query_date = "x-oss-date",
	.query_expires = "x-oss-expires",
	.query_credential = "x-oss-credential",
	.query_token = "x-oss-security-token",
	.query_names = "x-oss-additional-headers",
	.query_signature = "x-oss-signature",
	.bucket_always = true,
};

static int sign(const struct sign_request *req, const struct cred *cred,
		struct signature *ret_signature)
{
	return sign_v4_headers(&sign_dialect_oss, req, cred, ret_signature);
}

static int sign_query(const struct sign_request *req, const struct cred *cred,
		      struct strbuf *ret_query)
{
	return sign_v4_query(&sign_dialect_oss, req, cred, ret_query);
}

const struct sign_scheme sign_v4 = {
	.name = "OSS V4",
	.sign = sign,
	.sign_query = sign_query,
};
