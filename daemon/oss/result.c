#include "daemon/oss/result.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/oss/endpoint.h"
#include "daemon/oss/error.h"

/* What is wrong and what to do, for the codes that a user can do something about. */
static const struct {
	const char *code;
	const char *text;
} advice[] = {
	{ "NoSuchKey", "there is no such object" },
	{ "SymlinkTargetNotExist", "it is a link whose target is gone" },
	{ "NoSuchBucket", "there is no such bucket: check OSS_PATH and the endpoint's region" },
	{ "AccessDenied", "access denied: the access key may not do this here; check its policy, "
			  "and that OSS_PATH names the right bucket" },
	{ "InvalidAccessKeyId", "the store does not know this access key: check "
				"OSS_ACCESS_KEY_ID" },
	{ "SignatureDoesNotMatch", "the signature does not match: check "
				   "OSS_ACCESS_KEY_SECRET and OSS_REGION" },
	{ "SecurityTokenExpired", "the security token has expired: put a new one in the "
				  "credentials file or in OSS_SESSION_TOKEN" },
	{ "ExpiredToken", "the security token has expired: put a new one in the "
			  "credentials file or in OSS_SESSION_TOKEN" },
	{ "InvalidSecurityToken", "the security token is not valid: check OSS_SESSION_TOKEN" },
	{ "InvalidToken", "the security token is not valid: check OSS_SESSION_TOKEN" },
	{ "AccessKeyIdAndSecurityTokenNotMatch", "security token and access key are not of one "
						 "set: set all three anew" },
	{ "RequestTimeTooSkewed", "this machine's clock differs too much from the store's: set "
				  "it right (chrony or ntp)" },
	{ "InvalidObjectState", "it is archived: restore it first" },
	{ "RestoreAlreadyInProgress", "it is archived and its restoring goes on: wait for it" },
	{ "ArchiveRestoreNotFinished", "it is archived and its restoring goes on: wait for it" },
	{ "PreconditionFailed", "it was replaced in the store after it was listed: open it "
				"again" },
	{ "InvalidRange", "it became shorter in the store after it was listed: open it again" },
	{ "SecondLevelDomainForbidden",
	  "this endpoint takes no path style: set network.pathStyle to virtual" },
	{ "UserDisable", "the store has disabled this account" },
	{ "InDebt", "the account is in debt: the store serves it no more" },
	{ "BucketDisable", "the store has disabled this bucket" },
};

static const char *advice_for_status(int status)
{
	switch (status) {
	case 301:
	case 307:
	case 308:
		return "the bucket is elsewhere: check the endpoint and OSS_REGION";
	case 401:
	case 403:
		return "access denied: check the access keys and their policy";
	case 404:
		return "there is no such object or bucket";
	case 405:
		return "the store refuses this method: check OSS_ENDPOINT";
	case 412:
		return "it was replaced in the store after it was listed: open it again";
	case 416:
		return "it became shorter in the store after it was listed: open it again";
	case 429:
	case 503:
		return "the store throttles";
	}
	if (status >= 500)
		return "the store has a fault of its own";
	return "the store refuses the request";
}

static const char *find_advice(int status, const char *code)
{
	size_t i;

	for (i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		if (strcmp(advice[i].code, code) == 0)
			return advice[i].text;
	}
	return advice_for_status(status);
}

/* As much as fits is added; the end stays a NUL. */
static void __attribute__((format(printf, 2, 0)))
vappend(struct oss_result *res, const char *fmt, va_list args)
{
	size_t used = strlen(res->text);

	vsnprintf(res->text + used, sizeof(res->text) - used, fmt, args);
}

static void __attribute__((format(printf, 2, 3)))
append(struct oss_result *res, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vappend(res, fmt, args);
	va_end(args);
}

/* "oss://bucket/key: ".  A key may hold anything: nothing of it may break the line. */
static void begin_text(struct oss_result *res, const struct oss_subject *s)
{
	char key[160] = "";
	size_t i, len;

	if (s->key != NULL) {
		len = strlen(s->key);
		for (i = 0; i < len && i < sizeof(key) - 1; i++)
			key[i] = (unsigned char)s->key[i] < 0x20 || s->key[i] == 0x7f ? '?'
										      : s->key[i];
		key[i] = '\0';
		if (len > i)
			memcpy(key + i - 3, "...", 3);
	}
	res->text[0] = '\0';
	append(res, "%s://%s/%s: ", s->endpoint->dialect == OSS_DIALECT_OSS ? "oss" : "s3",
	       s->bucket, key);
}

static void add_elsewhere(struct oss_result *res, const struct oss_subject *s,
			  const struct oss_error *e)
{
	if (e->endpoint[0] != '\0')
		append(res, "the bucket is at the endpoint %s: set OSS_ENDPOINT to it%s",
		       e->endpoint,
		       s->endpoint->region[0] != '\0' ? " and OSS_REGION to match" : "");
	else
		append(res, "the bucket is in the region %s: set OSS_REGION to it", e->region);
}

/* The bucket is in another region or behind another endpoint: no new key helps. */
static bool is_elsewhere(const struct oss_subject *s, int status, const struct oss_error *e)
{
	if (e->endpoint[0] != '\0')
		return true;
	if (e->region[0] == '\0' || strcmp(e->region, s->endpoint->region) == 0)
		return false;
	if (e->code[0] == '\0') /* a HEAD has no room for it */
		return status == 301 || status == 307 || status == 400;
	return strcmp(e->code, "AuthorizationHeaderMalformed") == 0 ||
	       strcmp(e->code, "PermanentRedirect") == 0 ||
	       strcmp(e->code, "TemporaryRedirect") == 0;
}

enum oss_remedy oss_result_refuse(struct oss_result *res, const struct oss_subject *subject,
				  int status, const struct oss_error *e)
{
	struct oss_verdict verdict = oss_classify(status, e->code);
	bool elsewhere = is_elsewhere(subject, status, e);

	if (elsewhere)
		verdict = (struct oss_verdict){ OSS_FATAL, OSS_REMEDY_NONE, -EACCES };
	res->status = status;
	res->action = verdict.action;
	res->error = verdict.error;
	snprintf(res->code, sizeof(res->code), "%s", e->code);
	if (res->request_id[0] == '\0')
		snprintf(res->request_id, sizeof(res->request_id), "%s", e->request_id);

	begin_text(res, subject);
	if (elsewhere)
		add_elsewhere(res, subject, e);
	else if (status == 400 && strstr(e->message, "signing region") != NULL)
		append(res, "the bucket is not in the region '%s': correct OSS_REGION",
		       subject->endpoint->region);
	else if (subject->is_anonymous && (status == 401 || status == 403))
		append(res, "access denied without keys: set OSS_ACCESS_KEY_ID and "
			    "OSS_ACCESS_KEY_SECRET");
	else
		append(res, "%s", find_advice(status, e->code));
	append(res, " (HTTP %d", status);
	if (e->code[0] != '\0')
		append(res, " %s", e->code);
	if (res->request_id[0] != '\0')
		append(res, ", request id %s", res->request_id);
	append(res, ")");
	if (e->message[0] != '\0')
		append(res, ": %s", e->message);
	return verdict.remedy;
}

void oss_result_break(struct oss_result *res, const struct oss_subject *subject, int error,
		      const char *reason)
{
	struct oss_verdict verdict = oss_classify_transport(error);

	res->action = verdict.action;
	res->error = verdict.error;
	begin_text(res, subject);
	append(res, "%s", reason);
}

void oss_result_set(struct oss_result *res, const struct oss_subject *subject,
		    enum oss_action action, int error, const char *fmt, ...)
{
	va_list args;

	res->action = action;
	res->error = error;
	begin_text(res, subject);
	va_start(args, fmt);
	vappend(res, fmt, args);
	va_end(args);
}
