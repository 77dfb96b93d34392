/*
 * op_copy.c - from one descriptor to another: sendfile, copy_file_range, splice.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define MOST (200u * 1024)

struct sink { /* where bytes go: two files of the same kind */
	int p, m;
};

static void sink_memory(struct sink *s)
{
	s->p = memfd_create("refmodel", MFD_CLOEXEC);
	s->m = memfd_create("refmodel", MFD_CLOEXEC);
}

static int own_file(const char *name, unsigned actor)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s/sink-%u-%d-%s", world.work, actor, (int)getpid(), name);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void sink_files(struct actor *a, struct sink *s)
{
	char path[PATH_SIZE];

	s->p = own_file("p", a->number);
	s->m = own_file("m", a->number);
	snprintf(path, sizeof(path), "%s/sink-%u-%d-p", world.work, a->number, (int)getpid());
	unlink(path);
	snprintf(path, sizeof(path), "%s/sink-%u-%d-m", world.work, a->number, (int)getpid());
	unlink(path);
}

static void sink_end(struct sink *s)
{
	close(s->p);
	close(s->m);
}

/* What arrived, `p` and `m` bytes, is the same as far as both go. */
static void sink_compare(struct actor *a, const char *what, struct sink *s, long p, long m)
{
	long n = p < m ? p : m, i;

	for (i = 0; i < n;) {
		ssize_t x = pread(s->p, a->buf_p, BUF_SIZE, i),
			y = pread(s->m, a->buf_m, BUF_SIZE, i);

		if (x <= 0 || y <= 0)
			differ(a, "%s: %zd bytes in the plain one's target, %zd in the other's",
			       what, x, y);
		x = x < y ? x : y;
		same_bytes(a, what, a->buf_p, a->buf_m, (size_t)x);
		i += x;
	}
}

/*
 * Both have moved some bytes, from `off` or from the offset (before).  A call may
 * move less than it was asked for if the store fails in the middle, and splice
 * whenever it likes; the rest of the file must still be read from the same place.
 */
static void moved(struct actor *a, const char *what, struct fdpair *f, off_t before,
		  struct outcome p, struct outcome m, bool any_part)
{
	if (judge(a, what, p, m, any_part || world.nr_allowed > 0 ? JUDGE_ANY_RESULT : 0) ==
	    STORE_FAILED)
		m.ret = 0;
	if (p.ret < 0)
		return;
	if (m.ret == 0 && p.ret > 0 && !store_may(EIO) && !store_may(m.err))
		differ(a, "%s: the end below MODEL_DIR, %ld bytes on the plain file", what, p.ret);
	if (before != -1) {
		same_number(a, "the offset after it", before + m.ret, lseek(f->m, 0, SEEK_CUR));
		fd_put_back(f, before + m.ret);
	}
	fd_check(a, f);
}

static off_t draw_offset(const struct fdpair *f, uint32_t x)
{
	off_t size = f->node != NULL ? f->node->size : 20000;

	if (x % 16 == 0)
		return size + (off_t)(x / 16 % 100) - 50;
	return size > 0 ? (off_t)(x / 16) % size : 0;
}

OP(sendfile)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	off_t off, off_p, off_m, before;
	size_t len = arg[1] % MOST;
	struct outcome p, m;
	bool given = arg[2] % 2 == 0;
	struct sink s;

	if (f == NULL)
		return false;
	off = off_p = off_m = draw_offset(f, arg[3]);
	before = lseek(f->p, 0, SEEK_CUR);
	sink_memory(&s);
	p = TRY(sendfile(s.p, f->p, given ? &off_p : NULL, len));
	m = TRY(sendfile(s.m, f->m, given ? &off_m : NULL, len));
	moved(a, "sendfile", f, given ? -1 : before, p, m, false);
	if (given && p.ret >= 0 && m.ret >= 0)
		same_number(a, "sendfile's offset", off_p - p.ret, off_m - m.ret);
	if (m.ret > 0)
		sink_compare(a, "sendfile", &s, p.ret, m.ret);
	(void)off;
	sink_end(&s);
	return true;
}

/* EXDEV is an answer that every caller of it is prepared for. */
OP(copy_range)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	off_t off_p, off_m, before;
	size_t len = arg[1] % MOST;
	struct outcome p, m;
	bool given = arg[2] % 2 == 0;
	struct sink s;

	if (f == NULL)
		return false;
	off_p = off_m = draw_offset(f, arg[3]);
	before = lseek(f->p, 0, SEEK_CUR);
	sink_files(a, &s);
	p = TRY(copy_file_range(f->p, given ? &off_p : NULL, s.p, NULL, len, 0));
	m = TRY(copy_file_range(f->m, given ? &off_m : NULL, s.m, NULL, len, 0));
	if (m.ret == -1 && m.err == EXDEV) {
		fd_put_back(f, before);
		fd_check(a, f);
	} else {
		moved(a, "copy_file_range", f, given ? -1 : before, p, m, false);
		if (m.ret > 0)
			sink_compare(a, "copy_file_range", &s, p.ret, m.ret);
	}
	sink_end(&s);
	return true;
}

static bool same_from_pipes(struct actor *a, int p, int m, long len_p, long len_m)
{
	long n = len_p < len_m ? len_p : len_m, got_p = 0, got_m = 0, r;

	while (got_p < n && (r = read(p, a->buf_p + got_p, (size_t)(n - got_p))) > 0)
		got_p += r;
	while (got_m < n && (r = read(m, a->buf_m + got_m, (size_t)(n - got_m))) > 0)
		got_m += r;
	if (got_p != n || got_m != n)
		return false;
	if (n > 0)
		same_bytes(a, "splice", a->buf_p, a->buf_m, (size_t)n);
	return true;
}

/* Into a pipe: as much as its pages take, which depends on where they begin. */
OP(splice)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	off_t off_p, off_m, before;
	size_t len = 1 + arg[1] % 60000;
	bool given = arg[2] % 2 == 0;
	struct outcome p, m;
	int to_p[2], to_m[2];

	if (f == NULL)
		return false;
	off_p = off_m = draw_offset(f, arg[3]);
	before = lseek(f->p, 0, SEEK_CUR);
	if (pipe2(to_p, O_CLOEXEC) != 0 || pipe2(to_m, O_CLOEXEC) != 0)
		return false;
	p = TRY(splice(f->p, given ? &off_p : NULL, to_p[1], NULL, len, 0));
	m = TRY(splice(f->m, given ? &off_m : NULL, to_m[1], NULL, len, 0));
	if (m.ret > 0 && p.ret > 0 && !same_from_pipes(a, to_p[0], to_m[0], p.ret, m.ret))
		differ(a, "splice: fewer bytes in the pipe than it said");
	moved(a, "splice", f, given ? -1 : before, p, m, true);
	close(to_p[0]);
	close(to_p[1]);
	close(to_m[0]);
	close(to_m[1]);
	return true;
}
