#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "test/unit/fetch.h"
#include "test/unit/loopserver.h"

#define BODY_LEN (3u << 20)

enum ending {
	END_KEEP = 0,  /* Content-Length, the connection stays */
	END_CLOSE,     /* Connection: close */
	END_NOTIFY,    /* no length: ended by close_notify */
	END_TRUNCATE,  /* no length: ended by the socket alone */
	END_NO_TLS,    /* speaks plain HTTP */
	END_NO_ANSWER, /* never says a word */
};

struct fixture {
	struct event_base *base;
	struct http_client *client;
	struct loopserver server;
	SSL_CTX *ctx;
	enum ending ending;
	_Atomic unsigned nr_resumed;
	char ca_file[64];
	char *body;
	struct http_request req;
	struct fetch fetch;
};

/* ---- a certificate ---------------------------------------------------------------- */

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

/* issuer NULL: signs itself.  alt_names: "DNS:a,IP:1.2.3.4". */
static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
		       const char *alt_names)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), issuer == NULL ? 1 : 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
				   0);
	X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer) : subject);
	add_extension(cert, issuer != NULL ? issuer : cert, NID_basic_constraints,
		      issuer != NULL ? "CA:FALSE" : "critical,CA:TRUE");
	if (alt_names != NULL)
		add_extension(cert, issuer, NID_subject_alt_name, alt_names);
	assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
	return cert;
}

/* A server's certificate for the names, and its authority's in f->ca_file. */
static void make_identity(struct fixture *f, const char *alt_names)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = make_cert("test authority", ca_key, NULL, ca_key, NULL);
	X509 *cert = make_cert("test server", key, ca, ca_key, alt_names);
	FILE *out;
	int fd;

	snprintf(f->ca_file, sizeof(f->ca_file), "/tmp/test_tls_ca.XXXXXX");
	fd = mkstemp(f->ca_file);
	out = fdopen(fd, "w");
	assert_int_equal(PEM_write_X509(out, ca), 1);
	fclose(out);
	f->ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(f->ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(f->ctx, key), 1);
	SSL_CTX_set_session_id_context(f->ctx, (const unsigned char *)"test", 4);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

/* ---- the server ------------------------------------------------------------------- */

static bool read_request(struct loopserver *s, SSL *ssl)
{
	char buf[8192];
	size_t len = 0;
	int n;

	while (len + 1 < sizeof(buf) && (n = SSL_read(ssl, buf + len, 1)) == 1) {
		buf[++len] = '\0';
		if (len >= 4 && memcmp(buf + len - 4, "\r\n\r\n", 4) == 0) {
			atomic_fetch_add(&s->nr_requests, 1);
			return true;
		}
	}
	return false;
}

static void write_all(SSL *ssl, const char *bytes, size_t len)
{
	size_t n;

	while (len > 0 && SSL_write_ex(ssl, bytes, len, &n) == 1) {
		bytes += n;
		len -= n;
	}
}

static void serve(struct loopserver *s, int fd, unsigned nr)
{
	struct fixture *f = s->arg;
	char head[128] = "HTTP/1.1 200 OK\r\n\r\n", byte;
	SSL *ssl;

	(void)nr;
	if (f->ending == END_NO_TLS)
		loopserver_say(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
	if (f->ending == END_NO_TLS || f->ending == END_NO_ANSWER) {
		while (recv(fd, &byte, 1, 0) > 0)
			;
		return;
	}
	if (f->ending == END_KEEP || f->ending == END_CLOSE)
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n%s\r\n",
			 BODY_LEN, f->ending == END_CLOSE ? "Connection: close\r\n" : "");
	ssl = SSL_new(f->ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		if (SSL_session_reused(ssl))
			atomic_fetch_add(&f->nr_resumed, 1);
		while (read_request(s, ssl)) {
			write_all(ssl, head, strlen(head));
			write_all(ssl, f->body, BODY_LEN);
			if (f->ending != END_KEEP)
				break;
		}
		if (f->ending != END_TRUNCATE)
			SSL_shutdown(ssl);
	}
	SSL_free(ssl);
}

static void open_client(struct fixture *f, const char *ca_file)
{
	struct http_client_conf conf = { .max_connections = 4,
					 .tls_ca_file = ca_file,
					 .connect_timeout_ms = 5000 };

	http_client_free(f->client);
	assert_int_equal(http_client_new(f->base, &conf, &f->client), 0);
}

static struct fixture *start(const char *alt_names)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	alarm(60);
	signal(SIGPIPE, SIG_IGN); /* of the server: OpenSSL writes to closed sockets */
	f->body = malloc(BODY_LEN);
	for (i = 0; i < BODY_LEN; i++)
		f->body[i] = (char)(i * 31 >> 7);
	make_identity(f, alt_names);
	f->base = event_base_new();
	open_client(f, f->ca_file);
	loopserver_start(&f->server, "127.0.0.1", 0, serve, f);
	f->req = (struct http_request){
		.method = "GET",
		.host = "localhost",
		.port = f->server.port,
		.tls = true,
		.authority = "localhost",
		.target = "/",
	};
	return f;
}

static void end(struct fixture *f)
{
	http_client_free(f->client);
	loopserver_stop(&f->server);
	event_base_free(f->base);
	fetch_fini(&f->fetch);
	SSL_CTX_free(f->ctx);
	unlink(f->ca_file);
	free(f->body);
	free(f);
}

static struct fetch *get(struct fixture *f)
{
	fetch_fini(&f->fetch);
	fetch_init(&f->fetch, f->client);
	f->fetch.sink.ops = &fetch_splice_ops;
	fetch_start(&f->fetch, &f->req);
	fetch_run(&f->fetch, f->base);
	return &f->fetch;
}

static void expect_body(struct fixture *f)
{
	get(f);
	assert_string_equal(f->fetch.text, "unknown failure");
	assert_int_equal(f->fetch.error, 0);
	assert_int_equal(f->fetch.body_len, BODY_LEN);
	assert_memory_equal(f->fetch.body, f->body, BODY_LEN);
	assert_int_equal(f->fetch.nr_spliced, 0);
}

static void test_bodies_come_through_tls_and_the_connection_stays(void **state)
{
	struct fixture *f = start("DNS:localhost");
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		expect_body(f);
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
	end(f);
}

static void test_an_address_is_checked_as_an_address(void **state)
{
	struct fixture *f = start("DNS:store.example,IP:127.0.0.1");

	(void)state;
	f->req.host = "127.0.0.1";
	expect_body(f);
	end(f);
}

static void test_the_wrong_name_is_refused_and_both_are_named(void **state)
{
	struct fixture *f = start("DNS:store.example,DNS:*.store.example,IP:10.0.0.1");

	(void)state;
	assert_int_equal(get(f)->error, -EACCES);
	fetch_expect_text(&f->fetch, "not for localhost but for store.example, *.store.example, "
				     "10.0.0.1");
	f->req.host = "127.0.0.1";
	assert_int_equal(get(f)->error, -EACCES);
	fetch_expect_text(&f->fetch, "not for 127.0.0.1 but for store.example");
	assert_int_equal(atomic_load(&f->server.nr_requests), 0);
	end(f);
}

static void test_an_unknown_authority_is_refused(void **state)
{
	struct fixture *f = start("DNS:localhost");

	(void)state;
	open_client(f, NULL);
	assert_int_equal(get(f)->error, -EACCES);
	fetch_expect_text(&f->fetch, "the certificate of localhost is refused");
	fetch_expect_text(&f->fetch, "CA file");
	end(f);
}

static void test_a_session_is_used_again(void **state)
{
	struct fixture *f = start("DNS:localhost");

	(void)state;
	f->ending = END_CLOSE;
	expect_body(f);
	assert_int_equal(atomic_load(&f->nr_resumed), 0);
	expect_body(f);
	expect_body(f);
	assert_int_equal(atomic_load(&f->nr_resumed), 2);
	assert_int_equal(atomic_load(&f->server.nr_conns), 3);
	end(f);
}

static void test_a_body_without_length_must_be_ended_by_tls(void **state)
{
	struct fixture *f = start("DNS:localhost");

	(void)state;
	f->ending = END_NOTIFY;
	expect_body(f);
	f->ending = END_TRUNCATE;
	assert_int_equal(get(f)->error, -ECONNRESET);
	assert_int_equal(f->fetch.body_len, BODY_LEN);
	end(f);
}

static void test_a_server_without_tls_is_told_in_words(void **state)
{
	struct fixture *f = start("DNS:localhost");

	(void)state;
	f->ending = END_NO_TLS;
	assert_int_equal(get(f)->error, -EPROTO);
	fetch_expect_text(&f->fetch, "TLS with localhost (127.0.0.1:");
	end(f);
}

static void test_a_silent_handshake_ends_at_its_deadline(void **state)
{
	struct fixture *f = start("DNS:localhost");

	(void)state;
	f->ending = END_NO_ANSWER;
	f->req.connect_timeout_ms = 50;
	f->req.host = "127.0.0.1";
	assert_int_equal(get(f)->error, -ETIMEDOUT);
	fetch_expect_text(&f->fetch, "no handshake within 50 ms");
	end(f);
}

static void test_a_bad_ca_file_is_found_at_start(void **state)
{
	struct event_base *base = event_base_new();
	struct http_client_conf conf = { .tls_ca_file = "/nonexistent/ca.pem" };
	struct http_client *client = NULL;

	(void)state;
	assert_int_equal(http_client_new(base, &conf, &client), -ENOENT);
	conf.tls_ca_file = "/dev/null";
	assert_int_equal(http_client_new(base, &conf, &client), -EINVAL);
	assert_null(client);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies_come_through_tls_and_the_connection_stays),
		cmocka_unit_test(test_an_address_is_checked_as_an_address),
		cmocka_unit_test(test_the_wrong_name_is_refused_and_both_are_named),
		cmocka_unit_test(test_an_unknown_authority_is_refused),
		cmocka_unit_test(test_a_session_is_used_again),
		cmocka_unit_test(test_a_body_without_length_must_be_ended_by_tls),
		cmocka_unit_test(test_a_server_without_tls_is_told_in_words),
		cmocka_unit_test(test_a_silent_handshake_ends_at_its_deadline),
		cmocka_unit_test(test_a_bad_ca_file_is_found_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
