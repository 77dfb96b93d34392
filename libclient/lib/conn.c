/* Connections, their errors, and the daemon's state. */
#include "common/crc64.h"
#include "libclient/core/sys.h"
#include "libclient/lib/handles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_MAX (64u << 20)

OSSC_EXPORT const char *ossc_version(void)
{
	return OSSC_VERSION;
}

OSSC_EXPORT const char *ossc_strerror(int error)
{
	static const struct {
		int error;
		const char *text;
	} texts[] = {
		{ 0, "success" },
		{ ENOENT, "no such file, bucket or mount, or no daemon listens" },
		{ ECONNREFUSED, "no daemon listens, and none could be started" },
		{ ECONNRESET, "the daemon has ended" },
		{ ENOTCONN, "there is no session with the daemon" },
		{ EACCES, "the store refused the credentials, or the daemon is not to be trusted" },
		{ EPROTO, "the daemon is of another version" },
		{ ETIMEDOUT, "the store or the daemon did not answer in time" },
		{ EHOSTUNREACH, "the endpoint cannot be reached" },
		{ ESTALE, "the object was replaced in the store while it was open" },
		{ EIO, "the bytes could not be had or do not have the store's checksum" },
		{ EISDIR, "it is a directory" },
		{ ENOTDIR, "it is a file, not a directory" },
		{ EINVAL, "an argument makes no sense" },
		{ ENOSPC, "more than the cache can hold" },
		{ ENOMEM, "memory is short" },
		{ EMFILE, "too many open objects" },
		{ EAGAIN, "too many reads in flight" },
		{ ENAMETOOLONG, "the path is too long" },
		{ E2BIG, "the mount's settings are too long" },
		{ EDEADLK, "called from a signal handler that interrupted the library" },
	};
	unsigned i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].error == (error < 0 ? -error : error))
			return texts[i].text;
	return "unexpected error";
}

int options_copy(void *to, size_t to_size, const void *from, size_t from_size)
{
	const unsigned char *bytes = from;
	size_t i;

	if (from_size < sizeof(size_t) || from_size > 4096)
		return -EINVAL;
	memset(to, 0, to_size);
	memcpy(to, from, from_size < to_size ? from_size : to_size);
	/* What a newer caller wants and we do not know must not be ignored. */
	for (i = to_size; i < from_size; i++)
		if (bytes[i] != 0)
			return -EINVAL;
	return 0;
}

OSSC_EXPORT int ossc_connect(const struct ossc_options *options, struct ossc **ret_conn)
{
	struct ossc_options o = { .size = sizeof(o) };
	struct link_conf conf = { .envp = environ };
	struct ossc *c;
	int r;

	if (options != NULL) {
		r = options_copy(&o, sizeof(o), options, options->size);
		if (r != 0)
			return r;
	}
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	conf.socket = o.socket;
	conf.spawn = (o.flags & OSSC_NO_START) == 0;
	r = link_new(&conf, &c->link);
	if (r != 0) {
		free(c);
		if (r == -ENAMETOOLONG && o.error != NULL && o.error_len > 0)
			snprintf(o.error, o.error_len,
				 "the path of the socket is longer than a socket's may be (107 "
				 "bytes): "
				 "see OSSC_SOCKET");
		return r;
	}
	r = link_connect(c->link);
	if (r != 0) {
		if (o.error != NULL && o.error_len > 0)
			link_error_text(c->link, o.error, o.error_len);
		ossc_disconnect(c);
		return r;
	}
	*ret_conn = c;
	return 0;
}

OSSC_EXPORT void ossc_disconnect(struct ossc *conn)
{
	if (conn == NULL)
		return;
	async_free(conn->async);
	link_free(conn->link);
	free(conn);
}

OSSC_EXPORT size_t ossc_error_text(struct ossc *conn, char *buf, size_t len)
{
	if (len == 0)
		return 0;
	link_error_text(conn->link, buf, len);
	return strlen(buf);
}

static int read_text(int fd, uint64_t len, char **ret)
{
	char *text;
	uint64_t done = 0;

	if (len > STATUS_MAX)
		return -EPROTO;
	text = malloc(len + 1);
	if (text == NULL)
		return -ENOMEM;
	while (done < len) {
		ssize_t n = sys_pread(fd, text + done, len - done, (int64_t)done);

		if (n <= 0) {
			free(text);
			return n < 0 ? (int)n : -EPROTO;
		}
		done += (uint64_t)n;
	}
	text[len] = '\0';
	*ret = text;
	return 0;
}

OSSC_EXPORT int ossc_status(struct ossc *conn, char **ret_json)
{
	struct wire_head request = wire_head(WIRE_STATUS, 0, sizeof(request));
	const struct wire_status_answer *a;
	struct link_wait w;
	int r = link_connect(conn->link);

	if (r == 0)
		r = link_call(conn->link, &request, sizeof(*a), LINK_REQUEST_MS, &w);
	if (r != 0)
		return r;
	a = (const void *)w.answer.bytes;
	r = w.nr_fds == 1 ? read_text(w.fds[0], a->text_len, ret_json) : -EPROTO;
	link_forget(conn->link, &w);
	return r;
}

OSSC_EXPORT uint64_t ossc_crc64(uint64_t crc, const void *buf, size_t len)
{
	return crc64_update(crc, buf, len);
}
