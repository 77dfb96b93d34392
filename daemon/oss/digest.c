#include "daemon/oss/digest.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

int digest_sha256(const void *bytes, size_t len, unsigned char ret[DIGEST_SHA256_LEN])
{
	unsigned int out_len = 0;

	if (EVP_Digest(bytes, len, ret, &out_len, EVP_sha256(), NULL) != 1 ||
	    out_len != DIGEST_SHA256_LEN)
		return -EIO;
	return 0;
}

static int hmac(const EVP_MD *md, const void *key, size_t key_len, const void *bytes, size_t len,
		unsigned char *ret)
{
	if (key_len > INT_MAX || HMAC(md, key, (int)key_len, bytes, len, ret, NULL) == NULL)
		return -EIO;
	return 0;
}

int digest_hmac_sha256(const void *key, size_t key_len, const void *bytes, size_t len,
		       unsigned char ret[DIGEST_SHA256_LEN])
{
	return hmac(EVP_sha256(), key, key_len, bytes, len, ret);
}

int digest_hmac_sha1(const void *key, size_t key_len, const void *bytes, size_t len,
		     unsigned char ret[DIGEST_SHA1_LEN])
{
	return hmac(EVP_sha1(), key, key_len, bytes, len, ret);
}

void digest_hex(const unsigned char hash[DIGEST_SHA256_LEN], char ret[DIGEST_HEX_LEN])
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < DIGEST_SHA256_LEN; i++) {
		ret[2 * i] = hex[hash[i] >> 4];
		ret[2 * i + 1] = hex[hash[i] & 15];
	}
	ret[2 * DIGEST_SHA256_LEN] = '\0';
}

void digest_base64(const unsigned char hash[DIGEST_SHA1_LEN], char ret[DIGEST_BASE64_LEN])
{
	EVP_EncodeBlock((unsigned char *)ret, hash, DIGEST_SHA1_LEN);
}

int digest_base64_decode(const char *text, unsigned char *buf, size_t len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t text_len = strlen(text), body = strspn(text, alphabet);
	size_t padding = text_len - body;
	int n;

	if (text_len % 4 != 0 || padding > 2 || strspn(text + body, "=") != padding)
		return -EINVAL;
	if (text_len > INT_MAX || text_len / 4 * 3 > len)
		return -E2BIG;
	n = EVP_DecodeBlock(buf, (const unsigned char *)text, (int)text_len);
	if (n < 0)
		return -EINVAL;
	return n - (int)padding;
}
