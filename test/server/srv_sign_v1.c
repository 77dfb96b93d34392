/* OSS V1: HMAC-SHA1 over a few header lines and the raw resource. */
#include "test/server/srv_sign.h"

#include "test/server/srv_text.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

/* Query parameters that belong to the resource; so does every x-oss-*.  Sorted. */
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

static int compare_name(const void *a, const void *b)
{
	return strcmp(a, *(const char *const *)b);
}

static bool in_resource(const char *name)
{
	return strncmp(name, "x-oss-", 6) == 0 ||
	       bsearch(name, sub_resources, sizeof(sub_resources) / sizeof(sub_resources[0]),
		       sizeof(sub_resources[0]), compare_name) != NULL;
}

static int compare_param(const void *a, const void *b)
{
	const struct srv_param *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void add_resource(struct srv_buf *out, const struct srv_req *r)
{
	const struct srv_param *list[SRV_PARAMS_MAX];
	size_t i, nr = 0;

	srv_buf_char(out, '/');
	if (r->bucket[0] != '\0')
		srv_buf_fmt(out, "%s/", r->bucket);
	if (r->key != NULL)
		srv_buf_add(out, r->key, r->key_len);
	for (i = 0; i < r->nr_params; i++) {
		if (in_resource(r->params[i].name))
			list[nr++] = &r->params[i];
	}
	qsort(list, nr, sizeof(list[0]), compare_param);
	for (i = 0; i < nr; i++) {
		srv_buf_fmt(out, "%c%s", i == 0 ? '?' : '&', list[i]->name);
		if (list[i]->len != 0) {
			srv_buf_char(out, '=');
			srv_buf_add(out, list[i]->value, list[i]->len);
		}
	}
}

static int compare_field(const void *a, const void *b)
{
	const struct srv_field *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void add_oss_fields(struct srv_buf *out, const struct srv_req *r)
{
	const struct srv_field *list[SRV_FIELDS_MAX];
	size_t i, nr = 0;

	for (i = 0; i < r->nr_fields; i++) {
		if (strncmp(r->fields[i].name, "x-oss-", 6) == 0)
			list[nr++] = &r->fields[i];
	}
	qsort(list, nr, sizeof(list[0]), compare_field);
	for (i = 0; i < nr; i++)
		srv_buf_fmt(out, "%s:%s\n", list[i]->name, list[i]->value);
}

static const char *or_empty(const char *s)
{
	return s != NULL ? s : "";
}

static bool read_claim(const struct srv_req *r, bool in_query, struct srv_verdict *v,
		       const char **ret_token)
{
	const char *ak, *signature;
	size_t ak_len;

	if (in_query) {
		ak = srv_req_value(r, "OSSAccessKeyId");
		ak_len = strlen(ak);
		signature = srv_req_value(r, "Signature");
		*ret_token = srv_req_value(r, "security-token");
	} else {
		ak = srv_req_field(r, "authorization") + 4;
		ak_len = strcspn(ak, ":");
		signature = ak[ak_len] == ':' ? ak + ak_len + 1 : NULL;
		*ret_token = srv_req_field(r, "x-oss-security-token");
	}
	if (signature == NULL || ak_len == 0 || ak_len >= sizeof(v->ak) ||
	    strlen(signature) >= sizeof(v->signature))
		return false;
	memcpy(v->ak, ak, ak_len);
	v->ak[ak_len] = '\0';
	strcpy(v->signature, signature);
	return true;
}

/* Sets *ret_line to what stands in the date line. */
static bool check_time(const struct srv_req *r, bool in_query, struct srv_verdict *v,
		       const char **ret_line)
{
	uint64_t expires;

	if (in_query) {
		*ret_line = or_empty(srv_req_value(r, "Expires"));
		if (!srv_parse_u64(*ret_line, &expires) || expires > INT64_MAX)
			v->error = SRV_E_BAD_EXPIRES;
		else if (srv_clock_now() > (int64_t)expires)
			v->error = SRV_E_URL_EXPIRED;
		return v->error == SRV_E_NONE;
	}
	*ret_line = srv_req_field(r, "x-oss-date");
	if (*ret_line == NULL)
		*ret_line = or_empty(srv_req_field(r, "date"));
	if (!srv_date_parse_http(*ret_line, &v->request_time)) {
		v->error = SRV_E_BAD_DATE;
		return false;
	}
	return srv_sign_check_skew(v);
}

void srv_sign_v1(const struct srv_req *r, struct srv_creds *creds, bool in_query,
		 struct srv_verdict *v)
{
	struct srv_buf want = { 0 };
	unsigned char hash[20];
	const char *token, *date;
	struct srv_cred k;
	unsigned n = sizeof(hash);

	if (!read_claim(r, in_query, v, &token)) {
		v->error = SRV_E_BAD_AUTHORIZATION;
		return;
	}
	if (!srv_sign_find_key(creds, token, v, &k) || !check_time(r, in_query, v, &date))
		return;

	srv_buf_fmt(&v->string_to_sign, "%s\n%s\n%s\n%s\n", r->method_name,
		    or_empty(srv_req_field(r, "content-md5")),
		    or_empty(srv_req_field(r, "content-type")), date);
	add_oss_fields(&v->string_to_sign, r);
	add_resource(&v->string_to_sign, r);
	HMAC(EVP_sha1(), k.sk, (int)strlen(k.sk), (const unsigned char *)v->string_to_sign.p,
	     v->string_to_sign.len, hash, &n);
	srv_buf_base64(&want, hash, sizeof(hash));
	if (!srv_sign_same(want.p, v->signature))
		v->error = SRV_E_SIGNATURE;
	srv_buf_free(&want);
}
