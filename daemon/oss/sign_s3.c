#include "daemon/oss/sign_v4.h"

const struct sign_dialect sign_dialect_s3 = {
	.algorithm = "AWS4-HMAC-SHA256",
	.key_prefix = "AWS4",
	.terminator = "aws4_request",
	.header_prefix = "x-amz-",
	.date_header = "x-amz-date",
	.payload_header = "x-amz-content-sha256",
	.token_header = "x-amz-security-token",
	.names_key = "SignedHeaders",
	.separator = ", ",
	.query_algorithm = "X-Amz-Algorithm",
	.query_date = "X-Amz-Date",
	.query_expires = "X-Amz-Expires",
	.query_credential = "X-Amz-Credential",
	.query_token = "X-Amz-Security-Token",
	.query_names = "X-Amz-SignedHeaders",
	.query_signature = "X-Amz-Signature",
	.empty_equals = true,
	.signs_host = true,
	.names_all = true,
	.collapse_blanks = true,
};

static int sign(const struct sign_request *req, const struct cred *cred,
		struct signature *ret_signature)
{
	return sign_v4_headers(&sign_dialect_s3, req, cred, ret_signature);
}

static int sign_query(const struct sign_request *req, const struct cred *cred,
		      struct strbuf *ret_query)
{
	return sign_v4_query(&sign_dialect_s3, req, cred, ret_query);
}

const struct sign_scheme sign_s3 = {
	.name = "S3 SigV4",
	.sign = sign,
	.sign_query = sign_query,
};
