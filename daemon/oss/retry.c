#include "daemon/oss/retry.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define NOW_MAX 3 /* of what was put right; then it was not what was wrong */

struct rule {
	const char *code;
	struct oss_verdict verdict;
};

#define FATAL(err)                                                                                 \
	{                                                                                          \
		OSS_FATAL, OSS_REMEDY_NONE, err                                                    \
	}
#define RETRY(err)                                                                                 \
	{                                                                                          \
		OSS_RETRY, OSS_REMEDY_NONE, err                                                    \
	}
#define SLOW(err)                                                                                  \
	{                                                                                          \
		OSS_RETRY_SLOW, OSS_REMEDY_NONE, err                                               \
	}
#define NOW(remedy, err)                                                                           \
	{                                                                                          \
		OSS_RETRY_NOW, remedy, err                                                         \
	}

/* Codes that say more than their status does. */
static const struct rule code_rules[] = {
	{ "NoSuchKey", FATAL(-ENOENT) },
	{ "NoSuchBucket", FATAL(-ENOENT) },
	{ "SymlinkTargetNotExist", FATAL(-ENOENT) },
	{ "AccessDenied", NOW(OSS_REMEDY_REFRESH, -EACCES) },
	{ "InvalidAccessKeyId", NOW(OSS_REMEDY_REFRESH, -EACCES) },
	{ "AccessKeyIdAndSecurityTokenNotMatch", NOW(OSS_REMEDY_REFRESH, -EACCES) },
	{ "InvalidSecurityToken", NOW(OSS_REMEDY_REFRESH, -EACCES) },
	{ "InvalidToken", NOW(OSS_REMEDY_REFRESH, -EACCES) }, /* S3 */
	{ "SecurityTokenExpired", NOW(OSS_REMEDY_AWAIT, -EACCES) },
	{ "ExpiredToken", NOW(OSS_REMEDY_AWAIT, -EACCES) },	     /* S3, with 400 */
	{ "ExpiredTokenException", NOW(OSS_REMEDY_AWAIT, -EACCES) }, /* some gateways */
	{ "SignatureDoesNotMatch", NOW(OSS_REMEDY_RESIGN, -EACCES) },
	{ "RequestTimeTooSkewed", NOW(OSS_REMEDY_CLOCK, -EACCES) },
	{ "PreconditionFailed", FATAL(-ESTALE) },
	{ "InvalidRange", FATAL(-ESTALE) },
	{ "InvalidObjectState", FATAL(-EACCES) }, /* archived */
	{ "RestoreAlreadyInProgress", FATAL(-EACCES) },
	{ "ArchiveRestoreNotFinished", FATAL(-EACCES) },
	{ "AuthorizationHeaderMalformed", FATAL(-EACCES) }, /* S3: another region's */
	{ "RequestTimeout", RETRY(-ETIMEDOUT) },
	{ "BadRequest", RETRY(-EIO) },
	{ "InvalidDigest", RETRY(-EIO) },
	{ "InternalError", RETRY(-EIO) },
	{ "InternalErrors", RETRY(-EIO) },
	{ "DownloadTrafficRateLimitExceeded", SLOW(-EIO) },
	{ "UploadTrafficRateLimitExceeded", SLOW(-EIO) },
	{ "TotalQpsLimitExceeded", SLOW(-EIO) },
	{ "MetaOperationQpsLimitExceeded", SLOW(-EIO) },
	{ "ActiveRequestLimitExceeded", SLOW(-EIO) },
	{ "CpuLimitExceeded", SLOW(-EIO) },
	{ "ServiceUnavailable", SLOW(-EIO) },
	{ "SlowDown", SLOW(-EIO) },
	{ "Throttling", SLOW(-EIO) },
};

static struct oss_verdict by_status(int status)
{
	if (status >= 200 && status <= 299)
		return (struct oss_verdict){ OSS_DONE, OSS_REMEDY_NONE, 0 };
	switch (status) {
	case 401:
		return (struct oss_verdict)RETRY(-EACCES);
	case 403:
		return (struct oss_verdict)NOW(OSS_REMEDY_REFRESH, -EACCES);
	case 404:
		return (struct oss_verdict)FATAL(-ENOENT);
	case 408:
		return (struct oss_verdict)RETRY(-ETIMEDOUT);
	case 412:
	case 416:
		return (struct oss_verdict)FATAL(-ESTALE);
	case 429:
	case 503:
		return (struct oss_verdict)SLOW(-EIO);
	case 504:
		return (struct oss_verdict)RETRY(-ETIMEDOUT);
	}
	if (status >= 500)
		return (struct oss_verdict)RETRY(-EIO);
	return (struct oss_verdict)FATAL(-EIO);
}

struct oss_verdict oss_classify(int status, const char *code)
{
	size_t i;

	if (status >= 200 && status <= 299)
		return by_status(status);
	if (code == NULL || code[0] == '\0')
		return by_status(status);
	for (i = 0; i < sizeof(code_rules) / sizeof(code_rules[0]); i++) {
		if (strcmp(code_rules[i].code, code) == 0)
			return code_rules[i].verdict;
	}
	if (strstr(code, "LimitExceeded") != NULL)
		return (struct oss_verdict)SLOW(-EIO);
	/* A code that says why means that the keys are not to blame. */
	if (status == 403)
		return (struct oss_verdict)FATAL(-EACCES);
	if (status == 404)
		return (struct oss_verdict)FATAL(-ENOENT);
	return by_status(status);
}

struct oss_verdict oss_classify_transport(int error)
{
	switch (error) {
	case 0:
		return (struct oss_verdict){ OSS_DONE, OSS_REMEDY_NONE, 0 };
	case -ETIMEDOUT:
		return (struct oss_verdict)RETRY(-ETIMEDOUT);
	case -ENOENT: /* the name does not resolve: resolvers have bad moments */
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
	case -ENETDOWN:
	case -EADDRNOTAVAIL:
		return (struct oss_verdict)RETRY(-EHOSTUNREACH);
	case -EACCES: /* the certificate */
		return (struct oss_verdict)FATAL(-EACCES);
	case -EINVAL:
	case -ENOSPC:
	case -ENOMEM:
	case -EFBIG:
		return (struct oss_verdict)FATAL(error);
	}
	return (struct oss_verdict)RETRY(-EIO);
}

static unsigned or_default(unsigned value, unsigned def)
{
	return value != 0 ? value : def;
}

void oss_retry_init(struct oss_retry *r, const struct oss_retry_conf *conf, uint64_t now_ms)
{
	static const struct oss_retry_conf none;

	if (conf == NULL)
		conf = &none;
	*r = (struct oss_retry){
		.conf = {
			.base_ms = or_default(conf->base_ms, 200),
			.throttle_ms = or_default(conf->throttle_ms, 1000),
			.cap_ms = or_default(conf->cap_ms, 20000),
			.budget_ms = or_default(conf->budget_ms, 60000),
		},
		.start_ms = now_ms,
	};
}

void oss_retry_progress(struct oss_retry *r, uint64_t now_ms)
{
	r->start_ms = now_ms;
	r->nr_failed = 0;
	r->nr_throttled = 0;
	r->nr_now = 0;
}

static uint64_t ceiling(unsigned first_ms, unsigned nr, unsigned cap_ms)
{
	uint64_t ms = first_ms;

	while (nr-- > 0 && ms < cap_ms)
		ms *= 2;
	return ms < cap_ms ? ms : cap_ms;
}

int64_t oss_retry_next(struct oss_retry *r, enum oss_action action, unsigned hint_ms,
		       uint64_t now_ms, uint32_t random)
{
	uint64_t spent = now_ms - r->start_ms, top, wait;

	switch (action) {
	case OSS_DONE:
	case OSS_FATAL:
		return -1;
	case OSS_RETRY_NOW:
		return spent < r->conf.budget_ms && r->nr_now++ < NOW_MAX ? 0 : -1;
	case OSS_RETRY:
		/* Full jitter: any time up to the ceiling. */
		top = ceiling(r->conf.base_ms, r->nr_failed++, r->conf.cap_ms);
		wait = top * random >> 32;
		break;
	case OSS_RETRY_SLOW:
		/* Half of it in any case: the store has asked for less. */
		top = ceiling(r->conf.throttle_ms, r->nr_throttled++, r->conf.cap_ms);
		wait = top / 2 + (top * random >> 33);
		break;
	default:
		return -1;
	}
	if (wait < hint_ms)
		wait = hint_ms < r->conf.cap_ms ? hint_ms : r->conf.cap_ms;
	return spent + wait < r->conf.budget_ms ? (int64_t)wait : -1;
}
