#include "test/server/srv_tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

SSL_CTX *srv_tls_new(const char *cert_file, const char *key_file)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return NULL;
	if (SSL_CTX_use_certificate_chain_file(ctx, cert_file) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1) {
		ERR_print_errors_fp(stderr);
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Clients that close without a goodbye are common. */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	return ctx;
}

void srv_tls_free(SSL_CTX *ctx)
{
	SSL_CTX_free(ctx);
}

SSL *srv_tls_open(SSL_CTX *ctx, int fd)
{
	SSL *ssl = SSL_new(ctx);

	if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		ssl = NULL;
	}
	return ssl;
}

void srv_tls_close(SSL *ssl)
{
	SSL_free(ssl);
}

static int translate(SSL *ssl, int r)
{
	int e = SSL_get_error(ssl, r);

	ERR_clear_error();
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (e == SSL_ERROR_ZERO_RETURN)
		return 0;
	return -EPROTO;
}

int srv_tls_accept(SSL *ssl)
{
	int r;

	ERR_clear_error();
	r = SSL_accept(ssl);
	if (r == 1)
		return 0;
	r = translate(ssl, r);
	return r == 0 ? -ECONNRESET : r;
}

ssize_t srv_tls_recv(SSL *ssl, void *p, size_t n)
{
	int r;

	ERR_clear_error();
	r = SSL_read(ssl, p, n > INT_MAX ? INT_MAX : (int)n);
	return r > 0 ? r : translate(ssl, r);
}

ssize_t srv_tls_send(SSL *ssl, const void *p, size_t n)
{
	int r;

	ERR_clear_error();
	r = SSL_write(ssl, p, n > INT_MAX ? INT_MAX : (int)n);
	if (r > 0)
		return r;
	r = translate(ssl, r);
	return r == 0 ? -ECONNRESET : r;
}
