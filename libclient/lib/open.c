/* Open objects: reading, verifying, mapping. */
#include "libclient/lib/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

OSSC_EXPORT int ossc_open(struct ossc_mount *mount, const char *path, struct ossc_file **ret_file)
{
	struct ossc_file *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL)
		return -ENOMEM;
	f->conn = mount->conn;
	r = file_open(mount->view, path, strlen(path), &f->file);
	if (r != 0) {
		free(f);
		return r;
	}
	*ret_file = f;
	return 0;
}

OSSC_EXPORT void ossc_close(struct ossc_file *file)
{
	if (file == NULL)
		return;
	file_put(file->file);
	free(file);
}

OSSC_EXPORT uint64_t ossc_size(const struct ossc_file *file)
{
	return file_size(file->file);
}

OSSC_EXPORT const char *ossc_etag(const struct ossc_file *file)
{
	return file_etag(file->file);
}

OSSC_EXPORT ssize_t ossc_pread(struct ossc_file *file, void *buf, size_t len, uint64_t off)
{
	return file_read(file->file, buf, len, off);
}

OSSC_EXPORT ssize_t ossc_preadv(struct ossc_file *file, const struct iovec *iov, int nr_iov,
				uint64_t off)
{
	ssize_t done = 0;
	int i;

	if (nr_iov < 0)
		return -EINVAL;
	for (i = 0; i < nr_iov; i++) {
		ssize_t n = file_read(file->file, iov[i].iov_base, iov[i].iov_len,
				      off + (uint64_t)done);

		if (n < 0)
			return n;
		done += n;
		if ((size_t)n < iov[i].iov_len)
			break; /* the end of the file */
	}
	return done;
}

OSSC_EXPORT int ossc_advise(struct ossc_file *file, uint64_t off, uint64_t len,
			    enum ossc_advice advice)
{
	if (advice < OSSC_WILLNEED || advice > OSSC_RANDOM)
		return -EINVAL;
	file_advise(file->file, off, len, advice);
	return 0;
}

OSSC_EXPORT int ossc_verify(struct ossc_file *file, uint64_t *ret_crc64, int *ret_known)
{
	uint64_t crc;
	bool known;
	int r = file_verify(file->file, &crc, &known);

	if (r != 0)
		return r;
	*ret_crc64 = crc;
	*ret_known = known;
	return 0;
}

OSSC_EXPORT int ossc_stored_crc64(struct ossc_file *file, uint64_t *ret_crc64, int *ret_known)
{
	uint64_t crc;
	bool known;
	int r = file_stored_crc(file->file, &crc, &known);

	if (r != 0)
		return r;
	*ret_crc64 = crc;
	*ret_known = known;
	return 0;
}

OSSC_EXPORT int ossc_map(struct ossc_file *file, uint64_t off, size_t len, const void **ret_bytes,
			 struct ossc_mapping **ret_mapping)
{
	struct ossc_mapping *m;
	unsigned i;
	int r = -EAGAIN;

	if (len == 0 || off >= file_size(file->file) || len > file_size(file->file) - off)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->file = file;
	/* -EAGAIN: the session ended between the claim and the mapping. */
	for (i = 0; i < 3 && r == -EAGAIN; i++) {
		r = pin_take(file->file, off, len, &m->pin);
		if (r != 0)
			break;
		r = pin_map(file->file, &m->pin, off, len, &m->range);
		if (r != 0)
			pin_drop(file->file, &m->pin);
	}
	if (r != 0) {
		free(m);
		return r == -EAGAIN ? -EIO : r;
	}
	m->held = file_ref(file->file);
	*ret_bytes = m->range.bytes;
	*ret_mapping = m;
	return 0;
}

OSSC_EXPORT void ossc_unmap(struct ossc_mapping *mapping)
{
	if (mapping == NULL)
		return;
	munmap(mapping->range.base, mapping->range.base_len);
	pin_drop(mapping->held, &mapping->pin);
	file_put(mapping->held);
	free(mapping);
}
