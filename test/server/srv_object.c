#include "test/server/srv_object.h"

#include "test/server/srv_synth.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct srv_object *srv_object_new(const char *key, size_t key_len)
{
	struct srv_object *o = srv_alloc(sizeof(*o));

	atomic_init(&o->refs, 1);
	o->key = srv_strndup(key, key_len);
	o->key_len = key_len;
	strcpy(o->type, "Normal");
	strcpy(o->storage_class, "Standard");
	snprintf(o->content_type, sizeof(o->content_type), "%s", srv_content_type(key, key_len));
	return o;
}

struct srv_object *srv_object_ref(struct srv_object *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

void srv_object_unref(struct srv_object *o)
{
	if (o == NULL || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (o->owns_path)
		unlink(o->path);
	free(o->key);
	free(o->path);
	free(o->meta);
	free(o);
}

struct srv_object *srv_object_copy(const struct srv_object *o)
{
	struct srv_object *n = srv_object_new(o->key, o->key_len);
	int state = atomic_load_explicit(&o->crc_state, memory_order_acquire);
	char *key = n->key;

	memcpy((char *)n + sizeof(n->refs), (const char *)o + sizeof(o->refs),
	       sizeof(*n) - sizeof(n->refs));
	n->key = key;
	n->path = o->path != NULL ? srv_strndup(o->path, strlen(o->path)) : NULL;
	n->meta = o->meta != NULL ? srv_strndup(o->meta, strlen(o->meta)) : NULL;
	n->owns_path = false;
	atomic_store(&n->crc_state, state);
	return n;
}

static uint64_t mix_in(uint64_t h, uint64_t v)
{
	return synth_mix(h ^ v);
}

/* Cheap, stable, and different as soon as the file is. */
static void derive_etag(struct srv_object *o, uint64_t a, uint64_t b)
{
	static const char digits[] = "0123456789ABCDEF";
	int i;

	for (i = 0; i < 16; i++) {
		o->etag[i] = digits[a >> (60 - 4 * i) & 15];
		o->etag[16 + i] = digits[b >> (60 - 4 * i) & 15];
	}
	o->etag[32] = '\0';
}

void srv_object_set_file(struct srv_object *o, const char *path, const struct stat *st)
{
	uint64_t h;

	free(o->path);
	o->path = srv_strndup(path, strlen(path));
	o->size = (uint64_t)st->st_size;
	o->mtime = st->st_mtim.tv_sec;
	o->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	o->dev = st->st_dev;
	o->ino = st->st_ino;
	h = mix_in(mix_in(1, (uint64_t)st->st_dev), (uint64_t)st->st_ino);
	h = mix_in(mix_in(h, o->size), (uint64_t)o->mtime_ns);
	derive_etag(o, h, mix_in(h, 2));
	if (o->size > SRV_CRC_FILE_MAX)
		atomic_store(&o->crc_state, SRV_CRC_NONE);
}

bool srv_object_same_file(const struct srv_object *o, const struct stat *st)
{
	return o->dev == st->st_dev && o->ino == st->st_ino && o->size == (uint64_t)st->st_size &&
	       o->mtime_ns == (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

uint64_t srv_object_seed(const struct srv_object *o)
{
	return o->version == 0 ? o->seed : synth_mix(o->seed + o->version);
}

void srv_object_set_synth(struct srv_object *o, uint64_t size, uint64_t seed, uint32_t version)
{
	uint64_t h;

	o->size = size;
	o->seed = seed;
	o->version = version;
	h = mix_in(mix_in(mix_in(3, seed), size), version);
	derive_etag(o, h, mix_in(h, 4));
	atomic_store(&o->crc_state, size > SRV_CRC_SYNTH_MAX ? SRV_CRC_NONE : SRV_CRC_UNKNOWN);
}

void srv_object_set_crc(struct srv_object *o, const uint64_t crc[SRV_CRC_KINDS])
{
	memcpy(o->crc, crc, sizeof(o->crc));
	/* Release pairs with the acquire of every reader of crc[]. */
	atomic_store_explicit(&o->crc_state, SRV_CRC_KNOWN, memory_order_release);
}

bool srv_object_crc_pending(const struct srv_object *o)
{
	return atomic_load_explicit(&o->crc_state, memory_order_acquire) == SRV_CRC_UNKNOWN;
}

static bool file_crc(const struct srv_object *o, uint64_t crc[SRV_CRC_KINDS])
{
	static const size_t step = 1u << 20;
	unsigned char *buf;
	uint64_t done = 0;
	ssize_t n = 0;
	int fd;

	fd = open(o->path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return false;
	buf = srv_alloc(step);
	while (done < o->size) {
		n = pread(fd, buf, step, (off_t)done);
		if (n <= 0)
			break;
		crc[SRV_CRC_XZ] = srv_crc_update(SRV_CRC_XZ, crc[SRV_CRC_XZ], buf, (size_t)n);
		crc[SRV_CRC_NVME] = srv_crc_update(SRV_CRC_NVME, crc[SRV_CRC_NVME], buf, (size_t)n);
		done += (uint64_t)n;
	}
	free(buf);
	close(fd);
	return done == o->size;
}

void srv_object_find_crc(struct srv_object *o)
{
	uint64_t crc[SRV_CRC_KINDS] = { 0 };
	int kind;

	if (!srv_object_crc_pending(o))
		return;
	if (o->path == NULL) {
		for (kind = 0; kind < SRV_CRC_KINDS; kind++)
			crc[kind] =
				srv_synth_crc((enum srv_crc_kind)kind, srv_object_seed(o), o->size);
	} else if (!file_crc(o, crc)) {
		atomic_store(&o->crc_state, SRV_CRC_NONE);
		return;
	}
	srv_object_set_crc(o, crc);
}

const char *srv_content_type(const char *key, size_t len)
{
	static const struct {
		const char *end;
		const char *type;
	} types[] = {
		{ ".json", "application/json" },    { ".txt", "text/plain" },
		{ ".html", "text/html" },	    { ".xml", "application/xml" },
		{ "/", "application/x-directory" },
	};
	size_t i, n;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		n = strlen(types[i].end);
		if (len >= n && memcmp(key + len - n, types[i].end, n) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}
