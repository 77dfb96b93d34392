/*
 * op_fd.c - operations that make and end descriptors.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_NUMBERED 8 /* slots from here on have numbers of their own when dup2 fills them */
#define NUMBER_BASE    600

static int number_of(const struct actor *a, uint32_t slot, bool model)
{
	return NUMBER_BASE + (int)a->number * 2 * NR_FDS + (model ? NR_FDS : 0) + (int)slot;
}

struct fdpair *fd_of(struct actor *a, uint32_t arg)
{
	struct fdpair *f = &a->fds[arg % NR_FDS];

	return f->open ? f : NULL;
}

struct fdpair *fd_of_file(struct actor *a, uint32_t arg)
{
	unsigned i;

	for (i = 0; i < NR_FDS; i++) {
		struct fdpair *f = &a->fds[(arg + i) % NR_FDS];

		if (f->open && !f->dir && !f->path_only)
			return f;
	}
	return NULL;
}

void fd_learn(struct fdpair *f)
{
	char name[64], path[PATH_MAX];
	const char *rel;
	struct stat st;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", f->p);
	n = readlink(name, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	rel = place_strip(path, world.plain_real, world.plain_real);
	f->dir = fstat(f->p, &st) == 0 && S_ISDIR(st.st_mode);
	f->node = rel != NULL ? world_find(rel) : NULL;
	f->copy = false;
	f->path_only = (fcntl(f->p, F_GETFL) & O_PATH) != 0;
	snprintf(f->rel, sizeof(f->rel), "%s", rel != NULL ? rel : "");
}

/* What the kernel has under a number now: for the words of a difference. */
static void name_of(int fd, char *buf, size_t len)
{
	char name[64];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, buf, len - 1);
	buf[n > 0 ? n : 0] = '\0';
}

void fd_check(struct actor *a, const struct fdpair *f)
{
	struct outcome p, m;
	char is_p[512], is_m[512];

	if (!f->open || f->dir || f->path_only)
		return;
	p = TRY(lseek(f->p, 0, SEEK_CUR));
	m = TRY(lseek(f->m, 0, SEEK_CUR));
	if (p.ret == m.ret && p.err == m.err && !m.touched)
		return;
	name_of(f->p, is_p, sizeof(is_p));
	name_of(f->m, is_m, sizeof(is_m));
	differ(a,
	       "the offset: %ld (%s) on the plain file, %ld (%s) below MODEL_DIR; %d is %s, %d is "
	       "%s",
	       p.ret, error_name(p.err), m.ret, error_name(m.err), f->p, is_p, f->m, is_m);
}

void fd_put_back(struct fdpair *f, off_t before)
{
	lseek(f->p, before, SEEK_SET);
}

void fd_close(struct actor *a, struct fdpair *f)
{
	if (f->open)
		judge(a, "close", TRY(close(f->p)), TRY(close(f->m)), 0);
	f->open = false;
}

struct fdpair *fd_put(struct actor *a, uint32_t slot, int p, int m, const struct fdpair *like)
{
	struct fdpair *f = &a->fds[slot % NR_FDS];

	fd_close(a, f);
	if (like != NULL && like != f)
		*f = *like;
	f->open = true;
	f->p = p;
	f->m = m;
	if (like == NULL)
		fd_learn(f);
	return f;
}

/* O_NOATIME is this process's alone, in a store file. */
static int flags_of(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags == -1 ? -1 : flags & ~O_NOATIME;
}

void fd_check_flags(struct actor *a, const struct fdpair *f)
{
	same_number(a, "F_GETFL", flags_of(f->p), flags_of(f->m));
	same_number(a, "F_GETFD", fcntl(f->p, F_GETFD), fcntl(f->m, F_GETFD));
}

static int draw_flags(uint32_t x, bool local)
{
	static const int rare[] = { O_NOFOLLOW, O_DIRECTORY, O_PATH,   O_TRUNC,
				    O_EXCL,	O_NOATIME,   O_APPEND, O_NONBLOCK };
	unsigned kind = x % 8;
	int flags = O_RDONLY;

	if (local)
		flags = kind < 3 ? O_RDONLY : kind < 4 ? O_WRONLY | O_CREAT : O_RDWR | O_CREAT;
	else if (kind == 7)
		flags = x >> 3 & 1 ? O_WRONLY : O_RDWR;
	x >>= 4;
	if (x % 2 == 0)
		flags |= O_CLOEXEC;
	x >>= 1;
	if (x % 4 == 0)
		flags |= rare[x / 4 % LENGTH(rare)];
	x /= 32;
	if (x % 16 == 0)
		flags |= rare[x / 16 % LENGTH(rare)];
	x /= 128;
	if (x % 16 == 0)
		flags |= O_CREAT;
	/* Both at once: what kernels say has changed. */
	return (flags & O_CREAT) != 0 ? flags & ~O_DIRECTORY : flags;
}

static bool open_pair(struct actor *a, const struct place *pl, int flags, mode_t mode,
		      uint32_t slot)
{
	static const int read_only[] = { EROFS, 0 };
	bool writes = (flags & O_PATH) == 0 &&
		      ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0);
	bool stands = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
	const struct node *n = place_means(pl, !stands && (flags & O_NOFOLLOW) == 0);
	struct outcome p, m;

	if (world.bare && writes && n != NULL)
		return false;
	if (pl->mdir == AT_FDCWD)
		m = TRY(open(pl->m, flags, mode));
	else
		m = TRY(openat(pl->mdir, pl->m, flags, mode));
	if (writes && n != NULL && !n->dir && !stands && (flags & O_DIRECTORY) == 0) {
		judge_fails(a, pl->m, m, read_only);
		return true;
	}
	p = TRY(openat(pl->pdir, pl->p, flags, mode));
	switch (judge(a, pl->m, p, m,
		      JUDGE_ANY_RESULT |
			      ((flags & O_CREAT) != 0 && place_ends_in_slash(pl) ? JUDGE_ANY_ERRNO
										 : 0))) {
	case BOTH_DID:
		a->local_changes++;
		fd_check_flags(a, fd_put(a, slot, (int)p.ret, (int)m.ret, NULL));
		fd_check(a, &a->fds[slot % NR_FDS]);
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		close((int)p.ret);
		break;
	}
	return true;
}

OP(open)
{
	bool local = arg[5] % 5 == 0;
	struct place pl;
	int flags;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (local ? PLACE_LOCAL : 0));
	flags = draw_flags(arg[2], pl.local);
	if ((flags & O_CREAT) != 0 && !place_may_make(&pl))
		return false;
	return open_pair(a, &pl, flags, 0600 | (arg[3] >> 8 & 1 ? 0044 : 0), arg[3]);
}

OP(creat)
{
	struct place pl;

	place_draw(a, &pl, arg[0], arg[1], arg[2] % 4 != 0 ? PLACE_LOCAL : 0);
	return place_may_make(&pl) && open_pair(a, &pl, O_CREAT | O_WRONLY | O_TRUNC, 0644, arg[3]);
}

OP(close)
{
	struct fdpair *f = fd_of(a, arg[0]);

	if (f == NULL)
		return false;
	fd_close(a, f);
	if (arg[1] % 8 == 0 && a->depth > 0) /* where no other thread can have opened the number */
		judge(a, "close again", TRY(close(f->p)), TRY(close(f->m)), 0);
	return true;
}

OP(dup)
{
	struct fdpair *f = fd_of(a, arg[0]);
	struct outcome p, m;

	if (f == NULL || arg[0] % NR_FDS == arg[1] % NR_FDS)
		return false;
	if (arg[2] % 3 == 0) {
		p = TRY(dup(f->p));
		m = TRY(dup(f->m));
	} else {
		int cmd = arg[2] % 3 == 1 ? F_DUPFD : F_DUPFD_CLOEXEC;
		int least = arg[3] % 16 == 0 ? -1 : (int)(arg[3] / 16 % 300);

		p = TRY(fcntl(f->p, cmd, least));
		m = TRY(fcntl(f->m, cmd, least));
	}
	if (judge(a, "dup", p, m, JUDGE_ANY_RESULT) != BOTH_DID)
		return true;
	f = fd_put(a, arg[1], (int)p.ret, (int)m.ret, f);
	fd_check_flags(a, f);
	fd_check(a, f);
	return true;
}

/* Onto what the other slot holds, or onto a number of its own. */
OP(dup2)
{
	struct fdpair *from = fd_of(a, arg[0]), *to = &a->fds[arg[1] % NR_FDS];
	int flags = arg[3] % 8 == 0 ? 0x10000 : arg[3] % 2 == 0 ? O_CLOEXEC : 0;
	struct outcome p, m;
	int to_p, to_m;

	if (from == NULL || (!to->open && arg[1] % NR_FDS < FIRST_NUMBERED))
		return false;
	to_p = to->open ? to->p : number_of(a, arg[1] % NR_FDS, false);
	to_m = to->open ? to->m : number_of(a, arg[1] % NR_FDS, true);
	if (arg[2] % 16 == 0)
		to_p = to_m = -1;
	if (arg[2] % 2 == 0) {
		p = TRY(dup2(from->p, to_p));
		m = TRY(dup2(from->m, to_m));
	} else {
		p = TRY(dup3(from->p, to_p, flags));
		m = TRY(dup3(from->m, to_m, flags));
	}
	if (judge(a, "dup2", p, m, JUDGE_ANY_RESULT) != BOTH_DID)
		return true;
	same_number(a, "dup2", p.ret - to_p, m.ret - to_m);
	if (from != to)
		*to = *from;
	to->p = to_p;
	to->m = to_m;
	fd_check_flags(a, to);
	fd_check(a, to);
	return true;
}

OP(close_range)
{
	unsigned first = FIRST_NUMBERED + arg[0] % (NR_FDS - FIRST_NUMBERED);
	unsigned last = first + arg[1] % 4, i;
	int flags = arg[2] % 2 == 0 ? 0 : CLOSE_RANGE_CLOEXEC;
	bool any = false;

	if (last >= NR_FDS)
		last = NR_FDS - 1;
	for (i = first; i <= last; i++)
		any |= a->fds[i].open;
	if (!any)
		return false;
	judge(a, "close_range",
	      TRY(close_range((unsigned)number_of(a, first, false),
			      (unsigned)number_of(a, last, false), flags)),
	      TRY(close_range((unsigned)number_of(a, first, true),
			      (unsigned)number_of(a, last, true), flags)),
	      0);
	for (i = FIRST_NUMBERED; i < NR_FDS; i++) {
		struct fdpair *f = &a->fds[i];

		if (!f->open)
			continue;
		if (flags == 0 && i >= first && i <= last && f->p == number_of(a, i, false)) {
			judge(a, "F_GETFD of what was closed", TRY(fcntl(f->p, F_GETFD)),
			      TRY(fcntl(f->m, F_GETFD)), 0);
			f->open = false;
		} else {
			fd_check_flags(a, f);
		}
	}
	return true;
}

/* Only in a child, where no descriptor is another actor's. */
OP(closefrom)
{
	unsigned i;

	if (a->depth == 0 || arg[0] % 4 != 0)
		return false;
	for (i = 0; i < NR_DIRS; i++)
		dir_close(a, &a->dirs[i]);
	for (i = 0; i < NR_STREAMS; i++)
		stream_close(a, &a->streams[i]);
	if (arg[0] / 4 % 2 == 0)
		closefrom(3);
	else
		judge(a, "close_range of all", TRY(0), TRY(close_range(3, ~0u, 0)), 0);
	for (i = 0; i < NR_FDS; i++)
		a->fds[i].open = false;
	for (i = 0; i < NR_SHARED; i++)
		world.shared_p[i] = world.shared_m[i] = -1;
	return true;
}

/* The file behind a descriptor, opened once more: an offset of its own. */
OP(reopen)
{
	static const char *const ways[] = { "/proc/self/fd/%d", "/dev/fd/%d",
					    "/proc/thread-self/fd/%d" };
	struct fdpair *f = fd_of_file(a, arg[0]);
	char p[64], m[64];
	struct outcome x, y;
	struct stat st;
	bool copy;

	if (f == NULL || f->node == NULL)
		return false;
	snprintf(p, sizeof(p), ways[arg[1] % LENGTH(ways)], f->p);
	snprintf(m, sizeof(m), ways[arg[1] % LENGTH(ways)], f->m);
	x = TRY(open(p, O_RDONLY | O_CLOEXEC));
	y = TRY(open(m, O_RDONLY | O_CLOEXEC));
	if (judge(a, m, x, y, JUDGE_ANY_RESULT) == STORE_FAILED)
		close((int)x.ret);
	if (x.ret == -1 || y.ret == -1)
		return true;
	copy = f->copy;
	f = fd_put(a, arg[2], (int)x.ret, (int)y.ret, NULL);
	f->copy = copy || (a->has_copies && fstat(f->m, &st) == 0 && st.st_nlink == 0);
	fd_check(a, f);
	return true;
}

/* All that is held, looked at once. */
OP(audit)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < NR_FDS; i++) {
		struct fdpair *f = &a->fds[i];
		struct stat p, m;

		if (!f->open)
			continue;
		fd_check(a, f);
		fd_check_flags(a, f);
		if (!f->copy &&
		    judge(a, "fstat", TRY(fstat(f->p, &p)), TRY(fstat(f->m, &m)), 0) == BOTH_DID)
			stat_same(a, "fstat", &p, &m);
	}
	for (i = 0; i < NR_MAPS; i++)
		if (a->maps[i].p != NULL)
			map_check(a, &a->maps[i], 0, a->maps[i].pages < 64 ? a->maps[i].pages : 64);
	return true;
}

static int receive(int socket)
{
	char byte, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* Over a socket and back: another number of the same open file. */
static int pass(int fd)
{
	char room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = room,
			      .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int pair[2], r = -1, error;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	error = errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -1;
	errno = error;
	if (sendmsg(pair[0], &msg, 0) == 1)
		r = receive(pair[1]);
	error = errno;
	close(pair[0]);
	close(pair[1]);
	errno = error;
	return r;
}

/*
 * Who receives a store file gets a copy, with an offset of its own: a documented
 * limit.  So the plain one that arrives is opened anew.
 */
OP(pass)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct outcome p, m;
	char name[64];
	bool shared;

	if (f == NULL || f == &a->fds[arg[1] % NR_FDS])
		return false;
	p = TRY(pass(f->p));
	m = TRY(pass(f->m));
	if (judge(a, "sendmsg", p, m, JUDGE_ANY_RESULT) == STORE_FAILED) {
		close((int)p.ret);
		return true;
	}
	if (p.ret == -1)
		return true;
	shared = f->node == NULL || f->copy;
	f = fd_put(a, arg[1], (int)p.ret, (int)m.ret, f);
	fd_check(a, f);
	if (shared || world.bare)
		return true;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", f->p);
	p = TRY(open(name, O_RDONLY | O_CLOEXEC));
	if (p.ret == -1)
		differ(a, "%s: %s", name, error_name(p.err));
	f->copy = !world.bare;
	lseek((int)p.ret, lseek(f->p, 0, SEEK_CUR), SEEK_SET);
	close(f->p);
	f->p = (int)p.ret;
	fcntl(f->p, F_SETFL, fcntl(f->m, F_GETFL));
	fd_check(a, f);
	return true;
}
