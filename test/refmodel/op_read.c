/*
 * op_read.c - reading by every call, and writing local files.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define UNTOUCHED 0xee /* in buffers before a read: what is behind its end stays */
#define NR_IOV	  5

uint32_t length_of(uint32_t x)
{
	unsigned kind = x % 16;

	x /= 16;
	if (kind < 2)
		return kind;
	if (kind < 10)
		return x % 4096;
	if (kind < 14)
		return x % 65536;
	if (kind < 15 || x % 4 != 0)
		return x % 262144;
	return x / 4 % (5u << 19);
}

static off_t place_in(const struct node *n, uint32_t x)
{
	off_t size = n != NULL ? n->size : 20000;

	switch (x % 16) {
	case 0:
		return size + (off_t)(x / 16 % 5000) - 2500;
	case 1:
		return x / 16 % 8 == 0 ? -1 : 0;
	case 2: /* a chunk's border, nearly */
		return (off_t)(x / 64 % 8 << 20) + (off_t)(x / 16 % 4) - 2;
	case 3:
		return (off_t)(x / 16) * 1000;
	}
	return size > 0 ? (off_t)(x / 16) % size : 0;
}

static void buffers_ready(struct actor *a, size_t len)
{
	size_t n = len + 64 < BUF_SIZE ? len + 64 : BUF_SIZE;

	memset(a->buf_p, UNTOUCHED, n);
	memset(a->buf_m, UNTOUCHED, n);
}

/* After a read of up to `len` bytes into the buffers. */
static void read_done(struct actor *a, const char *what, struct fdpair *f, off_t before, size_t len,
		      struct outcome p, struct outcome m)
{
	switch (judge(a, what, p, m, 0)) {
	case BOTH_DID:
		same_bytes(a, what, a->buf_p, a->buf_m, len);
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		if (before != -1)
			fd_put_back(f, before);
		break;
	}
	fd_check(a, f);
}

static off_t before_of(const struct fdpair *f)
{
	return f->path_only || f->dir ? -1 : lseek(f->p, 0, SEEK_CUR);
}

OP(read)
{
	struct fdpair *f = arg[2] % 16 == 0 ? fd_of(a, arg[0]) : fd_of_file(a, arg[0]);
	size_t len = length_of(arg[1]);
	struct outcome p, m;
	off_t before;

	if (f == NULL)
		return false;
	before = before_of(f);
	buffers_ready(a, len);
	p = TRY(read(f->p, a->buf_p, len));
	m = TRY(read(f->m, a->buf_m, len));
	read_done(a, "read", f, before, len, p, m);
	return true;
}

OP(pread)
{
	struct fdpair *f = arg[3] % 16 == 0 ? fd_of(a, arg[0]) : fd_of_file(a, arg[0]);
	size_t len = length_of(arg[1]);
	struct outcome p, m;
	off_t off;

	if (f == NULL)
		return false;
	off = place_in(f->node, arg[2]);
	buffers_ready(a, len);
	p = TRY(pread(f->p, a->buf_p, len, off));
	m = TRY(pread(f->m, a->buf_m, len, off));
	read_done(a, "pread", f, -1, len, p, m);
	return true;
}

/* Pieces of the buffers, with gaps; some empty.  Returns what they hold, gaps included. */
static size_t make_vectors(struct actor *a, struct iovec *p, struct iovec *m, uint32_t x)
{
	size_t at = 0;
	unsigned i;

	for (i = 0; i < NR_IOV; i++) {
		size_t n = i == NR_IOV - 1	 ? length_of(x)
			   : mix(x + i) % 4 == 0 ? 0
						 : mix(x * i) % 6000;

		p[i] = (struct iovec){ a->buf_p + at, n };
		m[i] = (struct iovec){ a->buf_m + at, n };
		at += n + mix(x ^ i) % 3;
	}
	return at;
}

static int draw_count(uint32_t x)
{
	switch (x % 32) {
	case 0:
		return 0;
	case 1:
		return -1;
	case 2:
		return IOV_MAX + 1;
	}
	return 1 + (int)(x / 32 % NR_IOV);
}

OP(readv)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct iovec p[IOV_MAX + 1], m[IOV_MAX + 1];
	struct outcome x, y;
	off_t before;
	size_t len;
	int nr;

	if (f == NULL)
		return false;
	memset(p, 0, sizeof(p));
	memset(m, 0, sizeof(m));
	len = make_vectors(a, p, m, arg[1]);
	nr = draw_count(arg[2]);
	before = before_of(f);
	buffers_ready(a, len);
	x = TRY(readv(f->p, p, nr));
	y = TRY(readv(f->m, m, nr));
	read_done(a, "readv", f, before, len, x, y);
	return true;
}

OP(preadv)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct iovec p[NR_IOV], m[NR_IOV];
	struct outcome x, y;
	size_t len;
	off_t off;
	int nr;

	if (f == NULL)
		return false;
	len = make_vectors(a, p, m, arg[1]);
	nr = (int)(arg[2] % (NR_IOV + 1));
	off = place_in(f->node, arg[3]);
	buffers_ready(a, len);
	x = TRY(preadv(f->p, p, nr, off));
	y = TRY(preadv(f->m, m, nr, off));
	read_done(a, "preadv", f, -1, len, x, y);
	return true;
}

OP(preadv2)
{
	static const int ways[] = { 0, 0, RWF_HIPRI, RWF_NOWAIT, 0x4000 };
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct iovec p[NR_IOV], m[NR_IOV];
	struct outcome x, y;
	off_t off, before;
	size_t len;
	int nr, way;

	if (f == NULL)
		return false;
	len = make_vectors(a, p, m, arg[1]);
	nr = (int)(arg[2] % (NR_IOV + 1));
	way = f->copy ? 0 : ways[arg[3] % LENGTH(ways)];
	off = arg[4] % 3 == 0 ? -1 : place_in(f->node, arg[5]);
	before = before_of(f);
	buffers_ready(a, len);
	x = TRY(preadv2(f->p, p, nr, off, way));
	y = TRY(preadv2(f->m, m, nr, off, way));
	/* Either may have to wait for what the other has, or have only the beginning. */
	if (way == RWF_NOWAIT) {
		if (x.ret > 0 && y.ret > 0)
			same_bytes(a, "preadv2", a->buf_p, a->buf_m,
				   p[0].iov_len < (size_t)x.ret && p[0].iov_len < (size_t)y.ret
					   ? p[0].iov_len
					   : 0);
		else if (y.ret == -1 && y.err != EAGAIN && x.ret >= 0)
			judge(a, "preadv2", x, y, 0);
		lseek(f->p, before, SEEK_SET);
		lseek(f->m, before, SEEK_SET);
		return true;
	}
	read_done(a, "preadv2", f, off == -1 ? before : -1, len, x, y);
	return true;
}

/* Many threads read these descriptors at once. */
OP(shared_pread)
{
	unsigned i = arg[0] % NR_SHARED;
	size_t len = length_of(arg[1]);
	struct outcome p, m;
	off_t off;

	if (world.shared_p[i] == -1 || world.shared_m[i] == -1)
		return false;
	off = place_in(world.shared[i], arg[2]);
	buffers_ready(a, len);
	p = TRY(pread(world.shared_p[i], a->buf_p, len, off));
	m = TRY(pread(world.shared_m[i], a->buf_m, len, off));
	if (judge(a, "pread of what all share", p, m, 0) == BOTH_DID)
		same_bytes(a, "pread of what all share", a->buf_p, a->buf_m, len);
	return true;
}

/* Whole blocks into aligned memory, as O_DIRECT wants it. */
OP(direct_read)
{
	const struct node *n = &world.nodes[world.files[arg[0] % world.nr_files]];
	size_t len = (1 + arg[1] % 64) * PAGE;
	off_t off = (off_t)(arg[2] % 300) * PAGE;
	char path[PATH_SIZE];
	struct fdpair f = { .open = true };
	struct outcome p, m;

	snprintf(path, sizeof(path), "%s/%s", world.plain, n->rel);
	f.p = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (f.p == -1)
		return false; /* this file system has none */
	snprintf(path, sizeof(path), "%s/%s", world.model, n->rel);
	m = TRY(open(path, O_RDONLY | O_DIRECT | O_CLOEXEC));
	p = (struct outcome){ .ret = f.p };
	if (judge(a, "open O_DIRECT", p, m, JUDGE_ANY_RESULT) == STORE_FAILED) {
		close(f.p);
		return true;
	}
	f.m = (int)m.ret;
	same_number(a, "F_GETFL", fcntl(f.p, F_GETFL), fcntl(f.m, F_GETFL));
	lseek(f.p, off, SEEK_SET);
	lseek(f.m, off, SEEK_SET);
	buffers_ready(a, len);
	p = TRY(read(f.p, a->buf_p, len));
	m = TRY(read(f.m, a->buf_m, len));
	if (p.ret == -1 && p.err == EINVAL) /* its blocks are larger */
		lseek(f.m, off, SEEK_SET);
	else
		read_done(a, "read O_DIRECT", &f, off, p.ret > 0 ? (size_t)p.ret : 0, p, m);
	fd_close(a, &f);
	return true;
}

/* Into memory that is not there.  Where a part of it is, the kernel may give that part. */
OP(bad_read)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct outcome p, m;
	off_t off;
	void *mem;

	if (f == NULL || f->node == NULL)
		return false;
	mem = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	off = place_in(f->node, arg[1]);
	p = TRY(pread(f->p, mem, 1 + arg[2] % PAGE, off));
	m = TRY(pread(f->m, mem, 1 + arg[2] % PAGE, off));
	munmap(mem, PAGE);
	judge(a, "pread into no memory", p, m, 0);
	fd_check(a, f);
	return true;
}

/* ---- local files: both are the kernel's ------------------------------------------------ */

static struct fdpair *local_file(struct actor *a, uint32_t x)
{
	unsigned i;

	for (i = 0; i < NR_FDS; i++) {
		struct fdpair *f = &a->fds[(x + i) % NR_FDS];

		if (f->open && !f->dir && f->node == NULL && !f->path_only)
			return f;
	}
	return NULL;
}

static void make_bytes(struct actor *a, size_t len, uint32_t x)
{
	size_t i;

	for (i = 0; i < len; i++)
		a->buf_p[i] = (unsigned char)(mix(x + i / 8) >> i % 8 * 8);
}

OP(write)
{
	struct fdpair *f = local_file(a, arg[0]);
	size_t len = arg[1] % 20000;

	if (f == NULL)
		return false;
	make_bytes(a, len, arg[2]);
	judge(a, "write", TRY(write(f->p, a->buf_p, len)), TRY(write(f->m, a->buf_p, len)), 0);
	fd_check(a, f);
	return true;
}

OP(pwrite)
{
	struct fdpair *f = local_file(a, arg[0]);
	size_t len = arg[1] % 5000;
	off_t off = (off_t)(arg[3] % 40000);

	if (f == NULL)
		return false;
	make_bytes(a, len, arg[2]);
	if (arg[4] % 4 == 0)
		judge(a, "ftruncate", TRY(ftruncate(f->p, off)), TRY(ftruncate(f->m, off)), 0);
	else
		judge(a, "pwrite", TRY(pwrite(f->p, a->buf_p, len, off)),
		      TRY(pwrite(f->m, a->buf_p, len, off)), 0);
	fd_check(a, f);
	return true;
}
