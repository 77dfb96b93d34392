#include "daemon/mount/snapmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"

struct snapmem {
	atomic_uint refs;
	int write_fd; /* -1 once sealed */
	int fd;
	void *bytes;
	size_t len;
	struct snapshot view;
};

int snapmem_new(size_t len, struct snapmem **ret_mem, void **ret_bytes)
{
	struct snapmem *m = xcalloc(1, sizeof(*m));
	int r;

	m->refs = 1;
	m->fd = -1;
	m->len = len;
	m->bytes = MAP_FAILED;
	m->write_fd = memfd_create("ossc-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->write_fd == -1 || ftruncate(m->write_fd, (off_t)len) == -1) {
		r = -errno;
		goto err_unref;
	}
	m->bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m->write_fd, 0);
	if (m->bytes == MAP_FAILED) {
		r = -errno;
		goto err_unref;
	}
	*ret_bytes = m->bytes;
	*ret_mem = m;
	return 0;

err_unref:
	snapmem_unref(m);
	return r;
}

int snapmem_seal(struct snapmem *m)
{
	char path[32];

	/* A writable mapping would refuse the seal. */
	munmap(m->bytes, m->len);
	m->bytes = MAP_FAILED;
	if (fcntl(m->write_fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->write_fd);
	m->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (m->fd == -1)
		return -errno;
	m->bytes = mmap(NULL, m->len, PROT_READ, MAP_SHARED, m->fd, 0);
	if (m->bytes == MAP_FAILED)
		return -errno;
	close(m->write_fd);
	m->write_fd = -1;
	return snapshot_init(&m->view, m->bytes, m->len);
}

struct snapmem *snapmem_ref(struct snapmem *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void snapmem_unref(struct snapmem *m)
{
	/* Release pairs with the acquire of whoever drops the last one. */
	if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (m->bytes != MAP_FAILED)
		munmap(m->bytes, m->len);
	if (m->write_fd != -1)
		close(m->write_fd);
	if (m->fd != -1)
		close(m->fd);
	free(m);
}

const struct snapshot *snapmem_view(const struct snapmem *m)
{
	return &m->view;
}

int snapmem_fd(const struct snapmem *m)
{
	return m->fd;
}

size_t snapmem_len(const struct snapmem *m)
{
	return m->len;
}

/* Where the texts lie depends on which page of the listing came first. */
static bool is_same_entry(const struct snapshot *sa, const struct snapshot *sb, uint64_t i)
{
	struct snapshot_entry a = sa->entries[i], b = sb->entries[i];
	const char *const name = snapshot_name(sa, &a), *const etag = sa->strings + a.etag_off;

	if (a.name_len != b.name_len || memcmp(name, snapshot_name(sb, &b), a.name_len) != 0 ||
	    a.etag_len != b.etag_len || memcmp(etag, sb->strings + b.etag_off, a.etag_len) != 0)
		return false;
	a.name_off = b.name_off = a.etag_off = b.etag_off = 0;
	return memcmp(&a, &b, sizeof(a)) == 0;
}

bool snapmem_is_same(const struct snapmem *a, const struct snapmem *b)
{
	const uint64_t nr = a->view.header->nr_entries;
	uint64_t i;

	if (b->view.header->nr_entries != nr)
		return false;
	for (i = 0; i < nr && is_same_entry(&a->view, &b->view, i); i++)
		;
	return i == nr;
}
