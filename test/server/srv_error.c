#include "test/server/srv_error.h"

#include "test/server/srv_text.h"

#include <stdio.h>
#include <string.h>

#define NO_EC "0000-00000000"

#define ROW(n, s, c, m, e)                                                                         \
	{                                                                                          \
		.name = n, .status = s, .code = c, .message = m, .ec = e                           \
	}
#define ROW_S3(n, s, c, m, e, s3s, s3c)                                                            \
	{                                                                                          \
		.name = n, .status = s, .code = c, .message = m, .ec = e, .s3_status = s3s,        \
		.s3_code = s3c                                                                     \
	}
#define ROW_QOS(n, c, m, e, ms)                                                                    \
	{                                                                                          \
		.name = n, .status = 503, .code = c, .message = m, .ec = e, .s3_code = "SlowDown", \
		.qos_delay_ms = ms                                                                 \
	}

static const struct srv_error rows[SRV_E_COUNT] = {
	[SRV_E_NO_SUCH_KEY] = ROW("no-such-key", 404, "NoSuchKey",
				  "The specified key does not exist.", "0026-00000001"),
	[SRV_E_NO_SUCH_BUCKET] = ROW("no-such-bucket", 404, "NoSuchBucket",
				     "The specified bucket does not exist.", "0015-00000101"),
	[SRV_E_NO_SUCH_UPLOAD] =
		ROW("no-such-upload", 404, "NoSuchUpload",
		    "The specified upload does not exist. The upload ID may be invalid, or the "
		    "upload may have been aborted or completed.",
		    NO_EC),
	[SRV_E_ACCESS_DENIED] = ROW(
		"access-denied", 403, "AccessDenied",
		"You have no right to access this object because of bucket acl.", "0003-00000001"),
	[SRV_E_INVALID_AK] =
		ROW("invalid-ak", 403, "InvalidAccessKeyId",
		    "The OSS Access Key Id you provided does not exist in our records.",
		    "0002-00000902"),
	[SRV_E_SIGNATURE] =
		ROW("signature-mismatch", 403, "SignatureDoesNotMatch",
		    "The request signature we calculated does not match the signature you "
		    "provided. Check your key and signing method.",
		    "0002-00000040"),
	[SRV_E_TOKEN_EXPIRED] = ROW_S3("token-expired", 403, "SecurityTokenExpired",
				       "The security token you provided has expired.",
				       "0002-00000007", 400, "ExpiredToken"),
	[SRV_E_TOKEN_INVALID] = ROW_S3("token-invalid", 403, "InvalidSecurityToken",
				       "The security token you provided is invalid.",
				       "0002-00000006", 400, "InvalidToken"),
	[SRV_E_TIME_SKEWED] =
		ROW("time-skewed", 403, "RequestTimeTooSkewed",
		    "The difference between the request time and the current time is too large.",
		    "0002-00000504"),
	[SRV_E_WRONG_REGION] = ROW_S3("wrong-region", 400, "InvalidArgument",
				      "Invalid signing region in Authorization header.",
				      "0002-00000226", 0, "AuthorizationHeaderMalformed"),
	[SRV_E_WRONG_PRODUCT] = ROW_S3("wrong-product", 400, "InvalidArgument",
				       "Invalid signing product in Authorization header.",
				       "0002-00000227", 0, "AuthorizationHeaderMalformed"),
	[SRV_E_WRONG_ENDPOINT] =
		ROW_S3("wrong-endpoint", 403, "AccessDenied",
		       "The bucket you are attempting to access must be addressed using the "
		       "specified endpoint. Please send all future requests to this endpoint.",
		       NO_EC, 301, "PermanentRedirect"),
	[SRV_E_SECOND_LEVEL] = ROW("second-level-domain", 403, "SecondLevelDomainForbidden",
				   "Please use virtual hosted style to access.", NO_EC),
	[SRV_E_INVALID_RANGE] = ROW("invalid-range", 416, "InvalidRange",
				    "The requested range cannot be satisfied", NO_EC),
	[SRV_E_PRECONDITION] =
		ROW("precondition", 412, "PreconditionFailed",
		    "At least one of the pre-conditions you specified did not hold.", NO_EC),
	[SRV_E_ARCHIVE] = ROW("archive", 403, "InvalidObjectState",
			      "The operation is not valid for the object's state", NO_EC),
	[SRV_E_RESTORE_IN_PROGRESS] = ROW("restore-in-progress", 409, "RestoreAlreadyInProgress",
					  "The restore operation is in progress.", NO_EC),
	[SRV_E_QPS_TOTAL] = ROW_QOS("qps-total", "TotalQpsLimitExceeded",
				    "Max total qps limit is exceeded.", "0004-00000302", 120),
	[SRV_E_QPS_META] = ROW_QOS("qps-meta", "MetaOperationQpsLimitExceeded",
				   "Qps limit for the meta operation is exceeded.", NO_EC, 0),
	[SRV_E_DOWNLOAD_THROTTLED] =
		ROW_QOS("download-throttled", "DownloadTrafficRateLimitExceeded",
			"Please reduce your download request traffic.", NO_EC, 350),
	[SRV_E_UNAVAILABLE] = ROW("service-unavailable", 503, "ServiceUnavailable",
				  "Thread pool is almost full, please retry later.", NO_EC),
	[SRV_E_INTERNAL] =
		ROW("internal", 500, "InternalError",
		    "Please contact the server administrator, oss@service.aliyun.com.", NO_EC),
	[SRV_E_REQUEST_TIMEOUT] =
		ROW("request-timeout", 400, "RequestTimeout",
		    "Your socket connection to the server was not read from or written to within "
		    "the timeout period. Idle connections will be closed.",
		    NO_EC),
	[SRV_E_MAX_KEYS] = ROW("invalid-argument-maxkeys", 400, "InvalidArgument",
			       "Argument max-keys must be an integer between 1 and 1000.", NO_EC),
	[SRV_E_SHA256_NOT_UNSIGNED] = ROW("sha256-not-unsigned", 400, "InvalidArgument",
					  "Invalid x-oss-content-sha256.", "0002-00000214"),
	[SRV_E_INVALID_DIGEST] =
		ROW_S3("invalid-digest", 400, "InvalidDigest",
		       "The Content-MD5 you specified did not match what we received.", NO_EC, 0,
		       "BadDigest"),
	[SRV_E_FILE_EXISTS] =
		ROW("file-exists", 409, "FileAlreadyExists",
		    "The object you specified already exists and can not be overwritten.", NO_EC),
	[SRV_E_URL_EXPIRED] =
		ROW("url-expired", 403, "AccessDenied", "Request has expired.", "0002-00000069"),
	[SRV_E_NOT_YET_VALID] = ROW("not-yet-valid", 403, "AccessDenied",
				    "Request is not yet valid.", "0002-00000235"),
	[SRV_E_EXPIRES_RANGE] = ROW(
		"expires-range", 400, "AuthorizationQueryParametersError",
		"x-oss-expires must be a number of seconds between 1 and 604800.", "0002-00000232"),
	[SRV_E_BAD_EXPIRES] = ROW("bad-expires", 403, "AccessDenied",
				  "Expires must be a time in seconds since 1970.", "0002-00000070"),
	[SRV_E_BAD_AUTHORIZATION] =
		ROW_S3("bad-authorization", 400, "InvalidArgument",
		       "The Authorization header or the signature parameters are malformed.",
		       "0002-00000202", 0, "AuthorizationHeaderMalformed"),
	[SRV_E_BAD_CREDENTIAL] =
		ROW_S3("bad-credential", 400, "InvalidArgument",
		       "The Credential must be key id, date, region, product and terminator.",
		       "0002-00000213", 0, "AuthorizationHeaderMalformed"),
	[SRV_E_BAD_DATE] =
		ROW("bad-date", 403, "AccessDenied",
		    "A valid Date or x-oss-date (x-amz-date) header is required.", "0002-00000505"),
	[SRV_E_TOKEN_MISMATCH] =
		ROW_S3("token-mismatch", 403, "AccessKeyIdAndSecurityTokenNotMatch",
		       "The access key id and the security token do not belong together.",
		       "0002-00000004", 400, "InvalidToken"),
	[SRV_E_ANONYMOUS] =
		ROW("anonymous", 403, "AccessDenied",
		    "Anonymous access is forbidden for this operation.", "0003-00000905"),
	[SRV_E_PAYLOAD_MISMATCH] =
		ROW("payload-mismatch", 400, "XAmzContentSHA256Mismatch",
		    "The signed SHA-256 or the checksum does not match the body.", NO_EC),
	[SRV_E_INVALID_ARGUMENT] =
		ROW("invalid-argument", 400, "InvalidArgument", "An argument is not valid.", NO_EC),
	[SRV_E_BAD_REQUEST] =
		ROW("bad-request", 400, "BadRequest", "The request cannot be understood.", NO_EC),
	[SRV_E_OBJECT_NAME] = ROW("object-name", 400, "InvalidObjectName",
				  "The specified object is not valid.", NO_EC),
	[SRV_E_BUCKET_NAME] = ROW("bucket-name", 400, "InvalidBucketName",
				  "The specified bucket is not valid.", NO_EC),
	[SRV_E_MALFORMED_XML] =
		ROW("malformed-xml", 400, "MalformedXML",
		    "The XML you provided was not well-formed or did not validate.", NO_EC),
	[SRV_E_INVALID_PART] =
		ROW("invalid-part", 400, "InvalidPart",
		    "One or more of the specified parts could not be found or the specified "
		    "entity tag might not have matched the part's entity tag.",
		    NO_EC),
	[SRV_E_PART_ORDER] = ROW("part-order", 400, "InvalidPartOrder",
				 "The list of parts was not in ascending order.", NO_EC),
	[SRV_E_TOO_SMALL] =
		ROW("too-small", 400, "EntityTooSmall",
		    "Your proposed upload is smaller than the minimum allowed size.", NO_EC),
	[SRV_E_TOO_LARGE] =
		ROW("too-large", 400, "EntityTooLarge",
		    "Your proposed upload exceeds the maximum allowed object size.", NO_EC),
	[SRV_E_NO_LENGTH] = ROW("no-length", 411, "MissingContentLength",
				"You must provide the Content-Length HTTP header.", NO_EC),
	[SRV_E_METHOD] = ROW("method", 405, "MethodNotAllowed",
			     "The specified method is not allowed against this resource.", NO_EC),
	[SRV_E_NOT_IMPLEMENTED] =
		ROW("not-implemented", 501, "NotImplemented",
		    "A header or parameter implies functionality that is not implemented.", NO_EC),
	[SRV_E_BUCKET_NOT_EMPTY] =
		ROW("bucket-not-empty", 409, "BucketNotEmpty",
		    "The bucket you tried to delete is not empty.", "0015-00000301"),
	[SRV_E_BOTH_COMPLETE] =
		ROW("both-complete", 400, "InvalidArgument",
		    "Give either a part list or x-oss-complete-all, not both.", "0042-00000216"),
};

const struct srv_error *srv_error_row(enum srv_error_id id)
{
	return &rows[id];
}

enum srv_error_id srv_error_find(const char *name_or_code, int status)
{
	int i;

	for (i = SRV_E_NONE + 1; i < SRV_E_COUNT; i++) {
		if (strcmp(rows[i].name, name_or_code) == 0)
			return (enum srv_error_id)i;
	}
	for (i = SRV_E_NONE + 1; i < SRV_E_COUNT; i++) {
		if (strcmp(rows[i].code, name_or_code) == 0 &&
		    (status == 0 || rows[i].status == status))
			return (enum srv_error_id)i;
	}
	return SRV_E_NONE;
}

static void element(struct srv_buf *out, const char *name, const char *value, size_t len)
{
	srv_buf_fmt(out, "  <%s>", name);
	srv_buf_xml(out, value, len);
	srv_buf_fmt(out, "</%s>\n", name);
}

static void element_str(struct srv_buf *out, const char *name, const char *value)
{
	if (value != NULL)
		element(out, name, value, strlen(value));
}

static void signature_elements(struct srv_buf *out, const struct srv_error_detail *d)
{
	const char *sts = d->string_to_sign;
	bool s3 = d->req->dialect == SRV_S3;
	size_t i;

	element_str(out, s3 ? "AWSAccessKeyId" : "OSSAccessKeyId", d->access_key_id);
	element_str(out, "SignatureProvided", d->signature);
	if (sts == NULL)
		return;
	element_str(out, "StringToSign", sts);
	srv_buf_str(out, "  <StringToSignBytes>");
	for (i = 0; sts[i] != '\0'; i++)
		srv_buf_fmt(out, "%s%02X", i > 0 ? " " : "", (unsigned char)sts[i]);
	srv_buf_str(out, "</StringToSignBytes>\n");
}

/* The elements that only one kind of error has. */
static void detail_elements(struct srv_buf *out, enum srv_error_id id,
			    const struct srv_error_detail *d)
{
	char date[SRV_DATE_LEN];

	switch ((int)id) {
	case SRV_E_NO_SUCH_KEY:
		if (d->req->key != NULL)
			element(out, "Key", d->req->key, d->req->key_len);
		break;
	case SRV_E_NO_SUCH_BUCKET:
		element_str(out, "BucketName", d->req->bucket);
		break;
	case SRV_E_NO_SUCH_UPLOAD:
		element_str(out, "UploadId", d->upload_id);
		break;
	case SRV_E_INVALID_AK:
		element_str(out, d->req->dialect == SRV_S3 ? "AWSAccessKeyId" : "OSSAccessKeyId",
			    d->access_key_id);
		break;
	case SRV_E_SIGNATURE:
		signature_elements(out, d);
		break;
	case SRV_E_TIME_SKEWED:
		element_str(out, "MaxAllowedSkewMilliseconds", "900000");
		srv_date_iso(date, d->request_time);
		element_str(out, "RequestTime", date);
		srv_date_iso(date, d->now);
		element_str(out, "ServerTime", date);
		break;
	case SRV_E_WRONG_REGION:
		if (d->req->dialect == SRV_S3)
			element_str(out, "Region", d->argument_value);
		break;
	case SRV_E_WRONG_ENDPOINT:
		element_str(out, "Bucket", d->req->bucket);
		element_str(out, "Endpoint", d->endpoint);
		break;
	case SRV_E_PRECONDITION:
		element_str(out, "Condition", d->condition);
		break;
	case SRV_E_ARCHIVE:
		if (d->req->key != NULL)
			element(out, "ObjectName", d->req->key, d->req->key_len);
		break;
	default:
		element_str(out, "ArgumentName", d->argument_name);
		element_str(out, "ArgumentValue", d->argument_value);
		break;
	}
}

void srv_error_xml(struct srv_buf *out, enum srv_error_id id, const struct srv_error *row,
		   const struct srv_error_detail *d)
{
	bool s3 = d->req->dialect == SRV_S3;

	srv_buf_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n");
	element_str(out, "Code", s3 && row->s3_code != NULL ? row->s3_code : row->code);
	element_str(out, "Message", row->message);
	if (s3)
		detail_elements(out, id, d);
	element_str(out, "RequestId", d->request_id);
	element_str(out, "HostId", d->req->host);
	if (!s3) {
		detail_elements(out, id, d);
		element_str(out, "EC", row->ec);
		srv_buf_fmt(out,
			    "  <RecommendDoc>https://api.aliyun.com/troubleshoot?q=%s"
			    "</RecommendDoc>\n",
			    row->ec);
	}
	srv_buf_str(out, "</Error>\n");
}
