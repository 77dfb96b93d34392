/*
 * srv_tls.h - the server side of TLS on a non-blocking socket.  Knows nothing of HTTP.
 */
#ifndef TEST_SERVER_SRV_TLS_H
#define TEST_SERVER_SRV_TLS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* NULL and a message on stderr if certificate or key cannot be used. */
SSL_CTX *srv_tls_new(const char *cert_file, const char *key_file);
void srv_tls_free(SSL_CTX *ctx);
SSL *srv_tls_open(SSL_CTX *ctx, int fd);
void srv_tls_close(SSL *ssl);
/* 0: up.  -EAGAIN: later.  Else: failed. */
int srv_tls_accept(SSL *ssl);
/* As read and write: bytes, 0 at the end, or a negative errno. */
ssize_t srv_tls_recv(SSL *ssl, void *p, size_t n);
ssize_t srv_tls_send(SSL *ssl, const void *p, size_t n);

#endif
