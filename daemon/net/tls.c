#include "daemon/net/tls.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/strbuf.h"
#include "daemon/base/xalloc.h"
#include "daemon/net/addr.h"
#include "daemon/net/stream.h"

#define SESSIONS_MAX	8	     /* hosts whose last session is kept */
#define READ_BUFFER	(128 * 1024) /* several records by one recv() */
#define NAMES_SHOWN_MAX 6

struct known_session {
	char host[256];
	SSL_SESSION *session; /* NULL: free */
	uint64_t used;
};

struct tls {
	SSL_CTX *ctx;
	BIO_METHOD *bio;
	uint64_t clock; /* counts uses, so that the oldest session goes first */
	struct known_session sessions[SESSIONS_MAX];
};

struct tls_stream {
	struct stream s;
	SSL *ssl;
	struct tls *tls;
	int error;    /* it is broken, and answers this from now on; 0: it is well */
	bool refused; /* the certificate was, and s.why says why */
	char host[256];
};

/* ---- the socket below ------------------------------------------------------------ */

/* OpenSSL's own socket BIO raises SIGPIPE. */
static int bio_on_write(BIO *bio, const char *buf, int len)
{
	int fd = (int)(intptr_t)BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = send(fd, buf, (size_t)len, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	return (int)n;
}

static int bio_on_read(BIO *bio, char *buf, int len)
{
	int fd = (int)(intptr_t)BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	do
		n = recv(fd, buf, (size_t)len, 0);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static long bio_on_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	(void)num;
	(void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");

	if (m == NULL)
		return NULL;
	if (BIO_meth_set_write(m, bio_on_write) == 1 && BIO_meth_set_read(m, bio_on_read) == 1 &&
	    BIO_meth_set_ctrl(m, bio_on_ctrl) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* ---- sessions -------------------------------------------------------------------- */

static struct known_session *session_find(struct tls *t, const char *host)
{
	size_t i;

	for (i = 0; i < SESSIONS_MAX; i++) {
		if (t->sessions[i].session != NULL && strcasecmp(t->sessions[i].host, host) == 0)
			return &t->sessions[i];
	}
	return NULL;
}

/* A new ticket has arrived.  1: the reference is ours. */
static int tls_on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_stream *ts = SSL_get_app_data(ssl);
	struct tls *t = ts->tls;
	struct known_session *k = session_find(t, ts->host);
	size_t i;

	if (k == NULL) {
		k = &t->sessions[0];
		for (i = 1; i < SESSIONS_MAX; i++) {
			if (t->sessions[i].used < k->used)
				k = &t->sessions[i];
		}
	}
	SSL_SESSION_free(k->session);
	k->session = session;
	k->used = ++t->clock;
	snprintf(k->host, sizeof(k->host), "%s", ts->host);
	return 1;
}

/* ---- certificates ---------------------------------------------------------------- */

/* What comes from a certificate may hold anything. */
static void add_printable(struct strbuf *sb, const unsigned char *text, int len)
{
	int i;

	for (i = 0; i < len && i < 128; i++)
		strbuf_addc(sb, (char)(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?'));
}

static bool add_alt_name(struct strbuf *sb, const GENERAL_NAME *name)
{
	struct addr a = { .len = 0 };
	char text[ADDR_TEXT_LEN];
	const ASN1_STRING *str;

	if (name->type == GEN_DNS) {
		str = name->d.dNSName;
		add_printable(sb, ASN1_STRING_get0_data(str), ASN1_STRING_length(str));
		return true;
	}
	if (name->type != GEN_IPADD)
		return false;
	str = name->d.iPAddress;
	if (ASN1_STRING_length(str) == 4) {
		a.in.sin_family = AF_INET;
		memcpy(&a.in.sin_addr, ASN1_STRING_get0_data(str), 4);
	} else if (ASN1_STRING_length(str) == 16) {
		a.in6.sin6_family = AF_INET6;
		memcpy(&a.in6.sin6_addr, ASN1_STRING_get0_data(str), 16);
	} else {
		return false;
	}
	strbuf_adds(sb, addr_text(&a, text));
	return true;
}

/* "a.example, b.example", or the subject's common name, or "no name". */
static void add_names(struct strbuf *sb, const X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(cert);
	size_t before;
	int i, nr = 0, total = names != NULL ? sk_GENERAL_NAME_num(names) : 0;
	const ASN1_STRING *cn;

	for (i = 0; i < total && nr < NAMES_SHOWN_MAX; i++) {
		before = strbuf_len(sb);
		if (nr > 0)
			strbuf_adds(sb, ", ");
		if (add_alt_name(sb, sk_GENERAL_NAME_value(names, i)))
			nr++;
		else if (strbuf_len(sb) > before)
			sb->len = before;
	}
	if (i < total)
		strbuf_adds(sb, ", ...");
	GENERAL_NAMES_free(names);
	if (nr > 0)
		return;
	i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (i < 0) {
		strbuf_adds(sb, "no name");
		return;
	}
	cn = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
	add_printable(sb, ASN1_STRING_get0_data(cn), ASN1_STRING_length(cn));
}

/* OpenSSL asks for each certificate and each fault; the first fault is remembered. */
static int tls_on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_stream *ts = SSL_get_app_data(ssl);
	const X509 *cert = X509_STORE_CTX_get_current_cert(store);
	int fault = X509_STORE_CTX_get_error(store);
	struct strbuf why;

	if (ok == 1 || ts->refused)
		return ok;
	strbuf_init(&why, STREAM_WHY_LEN - 1);
	if (fault == X509_V_ERR_HOSTNAME_MISMATCH || fault == X509_V_ERR_IP_ADDRESS_MISMATCH) {
		strbuf_addf(&why, "the certificate is not for %s but for ", ts->host);
		if (cert != NULL)
			add_names(&why, cert);
	} else {
		strbuf_addf(&why, "the certificate of %s is refused: %s", ts->host,
			    X509_verify_cert_error_string(fault));
		if (fault == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
		    fault == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
		    fault == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY)
			strbuf_adds(&why, " (name its authority's CA file in the configuration)");
	}
	snprintf(ts->s.why, sizeof(ts->s.why), "%s", strbuf_str(&why));
	strbuf_fini(&why);
	ts->refused = true;
	return 0;
}

/* ---- the stream ------------------------------------------------------------------ */

static struct tls_stream *from_stream(struct stream *s)
{
	return (struct tls_stream *)s;
}

/* What an SSL call that returned `ret` <= 0 meant: a negative errno, or 0 for the end. */
static int classify(struct tls_stream *ts, int ret, int saved_errno)
{
	unsigned long code;

	switch (SSL_get_error(ts->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		ts->s.wants_write = false;
		return -EAGAIN;
	case SSL_ERROR_WANT_WRITE:
		ts->s.wants_write = true;
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		ts->error = saved_errno != 0 ? -saved_errno : -ECONNRESET;
		return ts->error;
	default:
		break;
	}
	ts->error = ts->refused ? -EACCES : -EPROTO;
	if (ts->refused)
		return ts->error;
	code = ERR_peek_error();
	if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		snprintf(ts->s.why, sizeof(ts->s.why), "closed without the end of TLS");
		ts->error = -ECONNRESET;
		return ts->error;
	}
	snprintf(ts->s.why, sizeof(ts->s.why), "TLS: %s",
		 code != 0 && ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
								    : "failed");
	return -EPROTO;
}

static int tls_handshake(struct stream *s)
{
	struct tls_stream *ts = from_stream(s);
	int ret;

	ERR_clear_error();
	errno = 0;
	ret = SSL_connect(ts->ssl);
	if (ret == 1)
		return 0;
	ret = classify(ts, ret, errno);
	return ret != 0 ? ret : -ECONNRESET;
}

static ssize_t tls_read(struct stream *s, void *buf, size_t len)
{
	struct tls_stream *ts = from_stream(s);
	size_t n = 0;
	int ret;

	if (ts->error != 0)
		return ts->error;
	ERR_clear_error();
	errno = 0;
	ret = SSL_read_ex(ts->ssl, buf, len, &n);
	return ret == 1 ? (ssize_t)n : classify(ts, ret, errno);
}

static ssize_t tls_peek(struct stream *s, void *buf, size_t len)
{
	struct tls_stream *ts = from_stream(s);
	size_t n = 0;
	int ret;

	if (ts->error != 0)
		return ts->error;
	ERR_clear_error();
	errno = 0;
	ret = SSL_peek_ex(ts->ssl, buf, len, &n);
	return ret == 1 ? (ssize_t)n : classify(ts, ret, errno);
}

static ssize_t tls_write(struct stream *s, const void *buf, size_t len)
{
	struct tls_stream *ts = from_stream(s);
	size_t n = 0;
	int ret;

	if (ts->error != 0)
		return ts->error;
	ERR_clear_error();
	errno = 0;
	ret = SSL_write_ex(ts->ssl, buf, len, &n);
	if (ret == 1)
		return (ssize_t)n;
	ret = classify(ts, ret, errno);
	return ret != 0 ? ret : -EPIPE;
}

static bool tls_has_pending(const struct stream *s)
{
	return SSL_has_pending(((const struct tls_stream *)s)->ssl) == 1;
}

static void tls_stream_free(struct stream *s)
{
	struct tls_stream *ts = from_stream(s);

	if (ts->ssl != NULL) {
		/* A word of good-bye, if it can be said at once; it also keeps the session valid. */
		if (ts->error == 0 && SSL_is_init_finished(ts->ssl)) {
			ERR_clear_error();
			SSL_shutdown(ts->ssl);
		}
		SSL_free(ts->ssl);
	}
	ERR_clear_error();
	close(s->fd);
	free(ts);
}

static const struct stream_ops tls_ops = {
	.handshake = tls_handshake,
	.read = tls_read,
	.peek = tls_peek,
	.write = tls_write,
	.has_pending = tls_has_pending,
	.free = tls_stream_free,
};

/* Whom the certificate must be for; the name is told to the server, an address is not. */
static bool set_expected(SSL *ssl, const char *host)
{
	if (addr_is_literal(host))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int tls_stream_new(struct tls *t, int fd, const char *host, struct stream **ret_stream)
{
	struct tls_stream *ts = xcalloc(1, sizeof(*ts));
	struct known_session *k;
	BIO *bio;

	ts->s.ops = &tls_ops;
	ts->s.fd = fd;
	ts->tls = t;
	snprintf(ts->host, sizeof(ts->host), "%s", host);
	ts->ssl = SSL_new(t->ctx);
	bio = BIO_new(t->bio);
	if (ts->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		stream_free(&ts->s);
		return -ENOMEM;
	}
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	SSL_set_bio(ts->ssl, bio, bio);
	SSL_set_app_data(ts->ssl, ts);
	if (!set_expected(ts->ssl, host)) {
		stream_free(&ts->s);
		return -EINVAL;
	}
	k = session_find(t, host);
	if (k != NULL) {
		k->used = ++t->clock;
		SSL_set_session(ts->ssl, k->session);
	}
	*ret_stream = &ts->s;
	return 0;
}

/* ---- the rules ------------------------------------------------------------------- */

static int load_authorities(SSL_CTX *ctx, const char *ca_file, char *err, size_t err_len)
{
	unsigned long code;
	FILE *f;

	if (ca_file == NULL) {
		if (SSL_CTX_set_default_verify_paths(ctx) == 1)
			return 0;
		snprintf(err, err_len, "the system's CA certificates cannot be loaded");
		return -EIO;
	}
	f = fopen(ca_file, "re");
	if (f == NULL) {
		int r = -errno;

		snprintf(err, err_len, "CA file %s: %s", ca_file, strerror(-r));
		return r;
	}
	fclose(f);
	ERR_clear_error();
	if (SSL_CTX_load_verify_file(ctx, ca_file) == 1)
		return 0;
	code = ERR_peek_error();
	snprintf(err, err_len, "CA file %s: no PEM certificate could be read from it (%s)", ca_file,
		 code != 0 && ERR_reason_error_string(code) != NULL ? ERR_reason_error_string(code)
								    : "unknown");
	return -EINVAL;
}

int tls_new(const char *ca_file, bool insecure, struct tls **ret_tls, char *err, size_t err_len)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	int r;

	t->ctx = SSL_CTX_new(TLS_client_method());
	t->bio = bio_method_new();
	if (t->ctx == NULL || t->bio == NULL ||
	    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION) != 1) {
		snprintf(err, err_len, "TLS cannot be set up: out of memory");
		tls_free(t);
		return -ENOMEM;
	}
	SSL_CTX_set_mode(t->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	/* A server that negotiates again and again would keep a worker busy. */
	SSL_CTX_set_options(t->ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_read_ahead(t->ctx, 1);
	SSL_CTX_set_default_read_buffer_len(t->ctx, READ_BUFFER);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(t->ctx, tls_on_session);
	SSL_CTX_set_verify(t->ctx, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
			   insecure ? NULL : tls_on_verify);
	r = insecure ? 0 : load_authorities(t->ctx, ca_file, err, err_len);
	if (r != 0) {
		tls_free(t);
		return r;
	}
	*ret_tls = t;
	return 0;
}

void tls_free(struct tls *t)
{
	size_t i;

	if (t == NULL)
		return;
	for (i = 0; i < SESSIONS_MAX; i++)
		SSL_SESSION_free(t->sessions[i].session);
	SSL_CTX_free(t->ctx);
	BIO_meth_free(t->bio);
	free(t);
}
