/*
 * digest.h - the few hashes that signatures need, and their text forms.
 * OpenSSL's types stay inside.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_DIGEST_H
#define DAEMON_OSS_DIGEST_H

#include <stddef.h>

#define DIGEST_SHA256_LEN 32
#define DIGEST_SHA1_LEN	  20
#define DIGEST_HEX_LEN	  (2 * DIGEST_SHA256_LEN + 1) /* with the NUL */
#define DIGEST_BASE64_LEN (4 * ((DIGEST_SHA1_LEN + 2) / 3) + 1)

/* Each: 0, or -EIO when the library refuses. */
int digest_sha256(const void *bytes, size_t len, unsigned char ret[DIGEST_SHA256_LEN]);
int digest_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
		       unsigned char ret[DIGEST_SHA256_LEN]);
int digest_hmac_sha1(const void *key, size_t key_len, const void *bytes, size_t len,
		     unsigned char ret[DIGEST_SHA1_LEN]);

/* Lower-case hex of one SHA-256, with the NUL. */
void digest_hex(const unsigned char hash[DIGEST_SHA256_LEN], char ret[DIGEST_HEX_LEN]);
/* Base64 of one SHA-1, with the NUL. */
void digest_base64(const unsigned char hash[DIGEST_SHA1_LEN], char ret[DIGEST_BASE64_LEN]);
/* The bytes of a base64 text (padded, no blanks) into buf.  Their number, -EINVAL or -E2BIG. */
int digest_base64_decode(const char *text, unsigned char *buf, size_t len);

#endif
