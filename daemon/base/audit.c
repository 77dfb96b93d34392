#include "daemon/base/audit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/base/logfile.h"

#define LINE_MAX_LEN 65536

static struct logfile target = LOGFILE_CLOSED;

#define ROW(e)                                                                                     \
	{                                                                                          \
		e, #e                                                                              \
	}
static const struct {
	int number;
	const char *name;
} errors[] = {
	ROW(E2BIG),	   ROW(EACCES),	      ROW(EAGAIN),     ROW(EBADF),  ROW(EBUSY),
	ROW(ECANCELED),	   ROW(ECONNREFUSED), ROW(ECONNRESET), ROW(EEXIST), ROW(EHOSTUNREACH),
	ROW(EINVAL),	   ROW(EIO),	      ROW(EISDIR),     ROW(EMFILE), ROW(EMSGSIZE),
	ROW(ENAMETOOLONG), ROW(ENETUNREACH),  ROW(ENOENT),     ROW(ENOMEM), ROW(ENOSPC),
	ROW(ENOTCONN),	   ROW(ENOTDIR),      ROW(EPERM),      ROW(EPROTO), ROW(ESTALE),
	ROW(ETIMEDOUT),	   ROW(EOPNOTSUPP),
};
#undef ROW

int audit_open(const char *path)
{
	return logfile_open(&target, path);
}

int audit_reopen(void)
{
	return logfile_reopen(&target);
}

void audit_close(void)
{
	logfile_close(&target);
}

const char *audit_result(int error, char *buf, size_t buf_len)
{
	size_t i;

	if (error == 0)
		return "ok";
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].number == -error)
			return errors[i].name;
	snprintf(buf, buf_len, "E%d", -error);
	return buf;
}

void audit_write(const struct audit_who *who, const char *op, const char *what, int error,
		 uint64_t bytes)
{
	char stamp[LOGFILE_TIME_LEN], number[16];
	struct strbuf line;

	if (__atomic_load_n(&target.fd, __ATOMIC_ACQUIRE) == -1)
		return;

	logfile_time(stamp);
	strbuf_init(&line, LINE_MAX_LEN);
	strbuf_addf(&line, "{\"time\":\"%s\",\"op\":\"%s\",\"uid\":%u,\"pid\":%d,\"exe\":", stamp,
		    op, (unsigned)who->uid, (int)who->pid);
	json_cstring(&line, who->exe);
	strbuf_adds(&line, ",\"what\":");
	json_cstring(&line, what);
	strbuf_addf(&line, ",\"result\":\"%s\",\"bytes\":%llu}\n",
		    audit_result(error, number, sizeof(number)), (unsigned long long)bytes);
	/* A line that does not fit would be no JSON: what is asked for is bounded, so it fits. */
	if (strbuf_error(&line) == 0)
		logfile_write(&target, strbuf_str(&line), strbuf_len(&line), -1);
	strbuf_fini(&line);
}
