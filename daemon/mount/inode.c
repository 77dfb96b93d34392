#include "daemon/mount/inode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "common/snapshot.h"

#define MULTIPLIER_A 0x9e3779b97f4a7c15ull
#define MULTIPLIER_B 0xd6e8feb86659fd93ull

/* Both halves of the product, folded: every input bit reaches every output bit. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t load(const char *bytes, size_t len)
{
	uint64_t v = 0;

	memcpy(&v, bytes, len);
	return v;
}

uint64_t inode_hash(uint64_t seed, const char *bytes, size_t len)
{
	uint64_t h = fold(seed ^ MULTIPLIER_A, MULTIPLIER_B + len);

	for (; len >= 8; len -= 8, bytes += 8)
		h = fold(h ^ load(bytes, 8), MULTIPLIER_A);
	h = fold(h ^ load(bytes, len), MULTIPLIER_B);
	return h ^ h >> 29;
}

uint64_t inode_seed(void)
{
	struct timespec now;
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		return seed;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_nsec * MULTIPLIER_A ^ (uint64_t)(uintptr_t)&now;
}

static uint64_t number_of(uint64_t hash)
{
	hash &= INT64_MAX;
	return hash != 0 ? hash : 1;
}

uint64_t inode_of(uint64_t parent, const char *name, size_t len, bool is_dir)
{
	return number_of(inode_hash(parent * 2 + is_dir, name, len));
}

uint64_t inode_of_prefix(const char *prefix)
{
	uint64_t ino = number_of(inode_hash(1, "", 0));
	const char *slash;

	while ((slash = strchr(prefix, '/')) != NULL) {
		ino = inode_of(ino, prefix, (size_t)(slash - prefix), true);
		prefix = slash + 1;
	}
	return ino;
}

/* False: it was there. */
static bool take(uint64_t *set, uint64_t mask, uint64_t ino)
{
	uint64_t at = ino * MULTIPLIER_A >> 20;

	while (set[at & mask] != 0) {
		if (set[at & mask] == ino)
			return false;
		at++;
	}
	set[at & mask] = ino;
	return true;
}

int inode_make_unique(struct snapshot_entry *entries, uint32_t nr)
{
	uint64_t mask = 1, *set;
	uint32_t i;

	while (mask < (uint64_t)nr * 2)
		mask = mask * 2 + 1;
	set = calloc(mask + 1, sizeof(*set));
	if (set == NULL)
		return -ENOMEM;
	for (i = 0; i < nr; i++)
		while (!take(set, mask, entries[i].ino))
			entries[i].ino = number_of(fold(entries[i].ino + i, MULTIPLIER_B));
	free(set);
	return 0;
}
