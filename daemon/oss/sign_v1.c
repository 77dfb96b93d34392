#include "daemon/oss/sign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/oss/cred.h"
#include "daemon/oss/date.h"
#include "daemon/oss/digest.h"

/* Query parameters that are part of the resource; sorted, for bsearch(). */
static const char *const sub_resources[] = {
	"acl",
	"append",
	"bucketInfo",
	"callback",
	"callback-var",
	"cloudboxes",
	"cname",
	"comp",
	"continuation-token",
	"cors",
	"delete",
	"encryption",
	"endTime",
	"group",
	"img",
	"inventory",
	"inventoryId",
	"lifecycle",
	"link",
	"live",
	"location",
	"logging",
	"metaQuery",
	"objectInfo",
	"objectMeta",
	"partNumber",
	"policy",
	"position",
	"qos",
	"qosInfo",
	"referer",
	"regionList",
	"replication",
	"replicationLocation",
	"replicationProgress",
	"requestPayment",
	"resourceGroup",
	"response-cache-control",
	"response-content-disposition",
	"response-content-encoding",
	"response-content-language",
	"response-content-type",
	"response-expires",
	"restore",
	"security-token",
	"sequential",
	"startTime",
	"stat",
	"status",
	"style",
	"styleName",
	"symlink",
	"tagging",
	"transferAcceleration",
	"uploadId",
	"uploads",
	"versionId",
	"versioning",
	"versions",
	"vod",
	"website",
	"worm",
	"wormExtend",
	"wormId",
};

static int compare_names(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static bool is_sub_resource(const char *name)
{
	return strncmp(name, "x-oss-", 6) == 0 ||
	       bsearch(name, sub_resources, sizeof(sub_resources) / sizeof(sub_resources[0]),
		       sizeof(sub_resources[0]), compare_names) != NULL;
}

static int compare_params(const void *va, const void *vb)
{
	const struct oss_param *a = va, *b = vb;

	return strcmp(a->name, b->name);
}

/* Raw, as V1 wants it: nothing is encoded. */
static int add_resource(struct strbuf *sb, const struct sign_request *req,
			const struct oss_param *query, size_t nr_query)
{
	struct oss_param chosen[CANON_MAX_PARAMS];
	size_t i, nr = 0;

	strbuf_addc(sb, '/');
	if (req->bucket != NULL)
		strbuf_addf(sb, "%s/", req->bucket);
	if (req->key != NULL)
		strbuf_adds(sb, req->key);

	if (nr_query > CANON_MAX_PARAMS)
		return -E2BIG;
	for (i = 0; i < nr_query; i++) {
		if (is_sub_resource(query[i].name))
			chosen[nr++] = query[i];
	}
	qsort(chosen, nr, sizeof(chosen[0]), compare_params);
	for (i = 0; i < nr; i++) {
		strbuf_addc(sb, i == 0 ? '?' : '&');
		strbuf_adds(sb, chosen[i].name);
		if (chosen[i].value != NULL && chosen[i].value[0] != '\0')
			strbuf_addf(sb, "=%s", chosen[i].value);
	}
	return strbuf_error(sb);
}

static const char *find_header(const struct sign_request *req, const char *name)
{
	size_t i;

	for (i = 0; i < req->nr_headers; i++) {
		if (strcasecmp(req->headers[i].name, name) == 0)
			return req->headers[i].value;
	}
	return "";
}

static int add_oss_headers(struct strbuf *sb, const struct sign_request *req, const char *token)
{
	struct canon_fields fields = { .nr = 0 };
	size_t i;
	int r = 0;

	if (token != NULL)
		r = canon_fields_add(&fields, "x-oss-security-token", token, false);
	for (i = 0; i < req->nr_headers && r == 0; i++) {
		if (strncasecmp(req->headers[i].name, "x-oss-", 6) == 0)
			r = canon_fields_add(&fields, req->headers[i].name, req->headers[i].value,
					     false);
	}
	if (r != 0)
		return r;
	canon_fields_sort(&fields);
	canon_fields_lines(&fields, false, sb);
	return strbuf_error(sb);
}

/* date: the DATE line.  token: the one that goes as a header, or NULL. */
static int compute(const struct sign_request *req, const struct cred *cred, const char *date,
		   const char *token, const struct oss_param *query, size_t nr_query,
		   char ret_signature[DIGEST_BASE64_LEN])
{
	unsigned char hash[DIGEST_SHA1_LEN];
	struct strbuf to_sign;
	int r;

	strbuf_init(&to_sign, SIGN_MAX_BYTES);
	strbuf_addf(&to_sign, "%s\n%s\n%s\n%s\n", req->method, find_header(req, "content-md5"),
		    find_header(req, "content-type"), date);
	r = add_oss_headers(&to_sign, req, token);
	if (r == 0)
		r = add_resource(&to_sign, req, query, nr_query);
	if (r == 0)
		r = digest_hmac_sha1(cred_secret(cred), strlen(cred_secret(cred)),
				     strbuf_str(&to_sign), strbuf_len(&to_sign), hash);
	if (r == 0) {
		digest_base64(hash, ret_signature);
		if (req->trace != NULL) {
			strbuf_add(&req->trace->string_to_sign, strbuf_str(&to_sign),
				   strbuf_len(&to_sign));
			memcpy(req->trace->signature, ret_signature, DIGEST_BASE64_LEN);
		}
	}
	strbuf_wipe(&to_sign);
	return r;
}

static int sign(const struct sign_request *req, const struct cred *cred,
		struct signature *ret_signature)
{
	struct signature s = { .nr_headers = 0 };
	char date[DATE_HTTP_LEN], hash[DIGEST_BASE64_LEN];
	char authorization[CRED_KEY_MAX + DIGEST_BASE64_LEN + 8];
	const char *own_date = find_header(req, "x-oss-date");
	int r = 0;

	date_format_http(req->unix_time, date);
	if (own_date[0] == '\0')
		r = signature_add(&s, "Date", date);
	if (r == 0 && cred_token(cred) != NULL)
		r = signature_add(&s, "x-oss-security-token", cred_token(cred));
	if (r == 0)
		r = compute(req, cred, own_date[0] == '\0' ? date : own_date, cred_token(cred),
			    req->query, req->nr_query, hash);
	if (r == 0) {
		snprintf(authorization, sizeof(authorization), "OSS %s:%s", cred_id(cred), hash);
		r = signature_add(&s, "Authorization", authorization);
		explicit_bzero(authorization, sizeof(authorization));
	}
	if (r != 0)
		signature_fini(&s);
	else
		*ret_signature = s;
	return r;
}

static int sign_query(const struct sign_request *req, const struct cred *cred,
		      struct strbuf *ret_query)
{
	struct oss_param params[CANON_MAX_PARAMS];
	char expires[24], hash[DIGEST_BASE64_LEN];
	size_t nr = req->nr_query;
	int r;

	if (nr + 4 > CANON_MAX_PARAMS)
		return -E2BIG;
	if (nr > 0)
		memcpy(params, req->query, nr * sizeof(params[0]));
	if (cred_token(cred) != NULL)
		params[nr++] = (struct oss_param){ "security-token", cred_token(cred) };
	snprintf(expires, sizeof(expires), "%lld", (long long)req->unix_time + req->expires_s);
	r = compute(req, cred, expires, NULL, params, nr, hash);
	if (r != 0)
		return r;
	params[nr++] = (struct oss_param){ "OSSAccessKeyId", cred_id(cred) };
	params[nr++] = (struct oss_param){ "Expires", expires };
	params[nr++] = (struct oss_param){ "Signature", hash };
	return canon_query(ret_query, params, nr, false);
}

const struct sign_scheme sign_v1 = {
	.name = "OSS V1",
	.sign = sign,
	.sign_query = sign_query,
};
