/*
 * tls.h - TLS 1.2 and later for streams: certificates and names are checked,
 * sessions are used again.  Dials nothing.
 *
 * Threads: a struct tls and its streams belong to one thread.
 */
#ifndef DAEMON_NET_TLS_H
#define DAEMON_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct stream;
struct tls;

/* ca_file NULL: the system's.  insecure: check nothing (tests).  A failure has a sentence in err. */
int tls_new(const char *ca_file, bool insecure, struct tls **ret_tls, char *err, size_t err_len);
/* Its streams are gone by then. */
void tls_free(struct tls *t);

/*
 * A stream over a connected descriptor, which it owns (also when the call
 * fails).  `host` is the name or the address that the certificate must be for.
 * stream_handshake() then answers -EACCES for a certificate that is refused.
 */
int tls_stream_new(struct tls *t, int fd, const char *host, struct stream **ret_stream);

#endif
