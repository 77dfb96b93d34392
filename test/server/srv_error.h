/*
 * srv_error.h - the errors that the store can answer with, one row each, and their XML.
 */
#ifndef TEST_SERVER_SRV_ERROR_H
#define TEST_SERVER_SRV_ERROR_H

#include "test/server/srv_req.h"

struct srv_error {
	const char *name; /* by which a fault may name it */
	int status;
	const char *code;
	const char *message;
	const char *ec;
	int s3_status; /* 0: as above */
	const char *s3_code;
	unsigned qos_delay_ms; /* 0: no such header */
};

enum srv_error_id {
	SRV_E_NONE = 0,
	SRV_E_NO_SUCH_KEY,
	SRV_E_NO_SUCH_BUCKET,
	SRV_E_NO_SUCH_UPLOAD,
	SRV_E_ACCESS_DENIED,
	SRV_E_INVALID_AK,
	SRV_E_SIGNATURE,
	SRV_E_TOKEN_EXPIRED,
	SRV_E_TOKEN_INVALID,
	SRV_E_TIME_SKEWED,
	SRV_E_WRONG_REGION,
	SRV_E_WRONG_PRODUCT,
	SRV_E_WRONG_ENDPOINT,
	SRV_E_SECOND_LEVEL,
	SRV_E_INVALID_RANGE,
	SRV_E_PRECONDITION,
	SRV_E_ARCHIVE,
	SRV_E_RESTORE_IN_PROGRESS,
	SRV_E_QPS_TOTAL,
	SRV_E_QPS_META,
	SRV_E_DOWNLOAD_THROTTLED,
	SRV_E_UNAVAILABLE,
	SRV_E_INTERNAL,
	SRV_E_REQUEST_TIMEOUT,
	SRV_E_MAX_KEYS,
	SRV_E_SHA256_NOT_UNSIGNED,
	SRV_E_INVALID_DIGEST,
	SRV_E_FILE_EXISTS,
	/* not among the vectors */
	SRV_E_URL_EXPIRED,
	SRV_E_NOT_YET_VALID,
	SRV_E_EXPIRES_RANGE,
	SRV_E_BAD_EXPIRES,
	SRV_E_BAD_AUTHORIZATION,
	SRV_E_BAD_CREDENTIAL,
	SRV_E_BAD_DATE,
	SRV_E_TOKEN_MISMATCH,
	SRV_E_ANONYMOUS,
	SRV_E_PAYLOAD_MISMATCH,
	SRV_E_INVALID_ARGUMENT,
	SRV_E_BAD_REQUEST,
	SRV_E_OBJECT_NAME,
	SRV_E_BUCKET_NAME,
	SRV_E_MALFORMED_XML,
	SRV_E_INVALID_PART,
	SRV_E_PART_ORDER,
	SRV_E_TOO_SMALL,
	SRV_E_TOO_LARGE,
	SRV_E_NO_LENGTH,
	SRV_E_METHOD,
	SRV_E_NOT_IMPLEMENTED,
	SRV_E_BUCKET_NOT_EMPTY,
	SRV_E_BOTH_COMPLETE,
	SRV_E_COUNT,
};

const struct srv_error *srv_error_row(enum srv_error_id id);

/* By row name or by code (then the status must agree unless it is 0).  SRV_E_NONE: no such row. */
enum srv_error_id srv_error_find(const char *name_or_code, int status);

/* What a document is made from; every string may be NULL. */
struct srv_error_detail {
	const struct srv_req *req;
	const char *request_id;
	const char *access_key_id;
	const char *signature;
	const char *string_to_sign;
	const char *upload_id;
	const char *argument_name;
	const char *argument_value;
	const char *endpoint;
	const char *condition;
	int64_t request_time;
	int64_t now;
};

void srv_error_xml(struct srv_buf *out, enum srv_error_id id, const struct srv_error *row,
		   const struct srv_error_detail *d);

#endif
