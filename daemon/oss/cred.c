#include "daemon/oss/cred.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "daemon/oss/digest.h"

/* On pages of its own, so that they can be kept out of a core file. */
struct cred {
	atomic_uint refs;
	size_t map_len;
	int64_t expiry;
	size_t token_len;
	char id[CRED_KEY_MAX + 1]; /* zero to the end, also the secret */
	char secret[CRED_KEY_MAX + 1];
	char token[];
};

/* What can stand in a header and in a signed text: visible ASCII. */
static bool is_visible(const char *str)
{
	for (; *str != '\0'; str++) {
		if (*str < 0x21 || *str > 0x7e)
			return false;
	}
	return true;
}

static int check(const char *id, const char *secret, const char *token)
{
	if ((id[0] == '\0') != (secret[0] == '\0'))
		return -EINVAL;
	if (id[0] == '\0' && token[0] != '\0')
		return -EINVAL;
	if (strlen(id) > CRED_KEY_MAX || strlen(secret) > CRED_KEY_MAX ||
	    strlen(token) > CRED_TOKEN_MAX)
		return -E2BIG;
	if (!is_visible(id) || !is_visible(secret) || !is_visible(token))
		return -EINVAL;
	return 0;
}

int cred_new(const char *id, const char *secret, const char *token, int64_t expiry,
	     struct cred **ret_cred)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len, token_len;
	struct cred *c;
	int r;

	id = id != NULL ? id : "";
	secret = secret != NULL ? secret : "";
	token = token != NULL ? token : "";
	r = check(id, secret, token);
	if (r != 0)
		return r;

	token_len = strlen(token);
	len = (sizeof(*c) + token_len + 1 + page - 1) / page * page;
	c = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == MAP_FAILED)
		return -ENOMEM;
	(void)madvise(c, len, MADV_DONTDUMP); /* an old kernel may refuse: no reason to fail */
	atomic_init(&c->refs, 1);
	c->map_len = len;
	c->expiry = expiry;
	c->token_len = token_len;
	memcpy(c->id, id, strlen(id));
	memcpy(c->secret, secret, strlen(secret));
	memcpy(c->token, token, token_len + 1);
	*ret_cred = c;
	return 0;
}

struct cred *cred_ref(struct cred *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void cred_unref(struct cred *c)
{
	size_t len;

	if (c == NULL || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	len = c->map_len;
	explicit_bzero(c, len);
	munmap(c, len);
}

bool cred_is_anonymous(const struct cred *c)
{
	return c->id[0] == '\0';
}

const char *cred_id(const struct cred *c)
{
	return c->id;
}

const char *cred_secret(const struct cred *c)
{
	return c->secret;
}

const char *cred_token(const struct cred *c)
{
	return c->token_len > 0 ? c->token : NULL;
}

int64_t cred_expiry(const struct cred *c)
{
	return c->expiry;
}

int cred_digest(const struct cred *c, unsigned char ret_digest[CRED_DIGEST_LEN])
{
	/* Both fields whole: their lengths are then part of what is hashed. */
	unsigned char both[sizeof(c->id) + sizeof(c->secret)];
	int r;

	memcpy(both, c->id, sizeof(c->id));
	memcpy(both + sizeof(c->id), c->secret, sizeof(c->secret));
	r = digest_sha256(both, sizeof(both), ret_digest);
	explicit_bzero(both, sizeof(both));
	return r;
}

bool cred_equal(const struct cred *a, const struct cred *b)
{
	int differ = CRYPTO_memcmp(a->id, b->id, sizeof(a->id)) |
		     CRYPTO_memcmp(a->secret, b->secret, sizeof(a->secret));

	if (a->token_len != b->token_len)
		return false;
	return (differ | CRYPTO_memcmp(a->token, b->token, a->token_len)) == 0;
}
