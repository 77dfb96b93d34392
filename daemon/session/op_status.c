/* STATUS: the report as a sealed memory file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

#define REPORT_MAX (64u << 20)

/* A descriptor of a file that holds the text and can never change, or a negative errno. */
static int seal_text(const struct strbuf *text)
{
	const char *at = strbuf_str(text);
	size_t left = strbuf_len(text);
	ssize_t n;
	int fd, r;

	fd = memfd_create("ossc-status", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -errno;
	while (left > 0) {
		n = write(fd, at, left);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			goto err_close;
		at += n;
		left -= (size_t)n;
	}
	if (lseek(fd, 0, SEEK_SET) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
		goto err_close;
	return fd;

err_close:
	r = -errno;
	close(fd);
	return r;
}

void op_status(struct session *s, const struct wire_head *req)
{
	struct wire_status_answer answer = { 0 };
	struct strbuf text;
	int fd, r;

	strbuf_init(&text, REPORT_MAX);
	r = s->all->conf.on_report(s->uid, &text, s->all->conf.arg);
	if (r == 0)
		r = strbuf_error(&text);
	fd = r == 0 ? seal_text(&text) : r;
	answer.text_len = strbuf_len(&text);
	strbuf_fini(&text);
	if (fd < 0) {
		session_refuse(s, req->type, req->seq, fd, "no report can be made: %s",
			       strerror(-fd));
		return;
	}
	session_answer(s, req->type, req->seq, &answer.head, sizeof(answer), &fd, 1);
	close(fd);
}
