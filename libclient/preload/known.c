#include "libclient/preload/known.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"

#define NR_PLACES 64u

/* All that must be the same. */
struct identity {
	const struct snapshot *tree;
	uint64_t serial, nr_entries, total_bytes; /* another tree may come to the same address */
	uint64_t dev, ino;
	int64_t changed_sec, changed_nsec; /* a move changes it; so does a new name in it */
	int64_t fd;
};

struct place {
	uint32_t version; /* odd: being written */
	uint32_t entry;
	struct identity id;
};

static struct place places[NR_PLACES];

static struct identity identity_of(int fd, const struct snap *snap, const struct stat *st)
{
	const struct snapshot *tree = snap_tree(snap);

	return (struct identity){
		.tree = tree,
		.serial = tree->header->serial,
		.nr_entries = tree->header->nr_entries,
		.total_bytes = tree->header->total_bytes,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.changed_sec = st->st_ctim.tv_sec,
		.changed_nsec = st->st_ctim.tv_nsec,
		.fd = fd,
	};
}

bool known_entry(int fd, const struct snap *snap, uint32_t *ret_entry, struct stat *ret_now)
{
	struct place *p = &places[(unsigned)fd % NR_PLACES];
	uint32_t version, entry;
	struct identity id;
	bool same;

	if (sys_fstat(fd, ret_now) != 0)
		return false;
	id = identity_of(fd, snap, ret_now);
	/* Acquire pairs with the release in known_note(). */
	version = __atomic_load_n(&p->version, __ATOMIC_ACQUIRE);
	same = (version & 1) == 0 && mem_equal(&p->id, &id, sizeof(id));
	entry = p->entry;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (!same || __atomic_load_n(&p->version, __ATOMIC_RELAXED) != version)
		return false;
	*ret_entry = entry;
	return true;
}

void known_note(int fd, const struct snap *snap, uint32_t entry, const struct stat *now)
{
	struct place *p = &places[(unsigned)fd % NR_PLACES];
	uint32_t version = __atomic_load_n(&p->version, __ATOMIC_RELAXED);

	/* Somebody else writes: then it is noted another time. */
	if ((version & 1) != 0 ||
	    !__atomic_compare_exchange_n(&p->version, &version, version + 1, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	p->id = identity_of(fd, snap, now);
	p->entry = entry;
	__atomic_store_n(&p->version, version + 2, __ATOMIC_RELEASE);
}
