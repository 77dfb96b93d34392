/*
 * op_stream.c - stdio streams: opened, closed, and where they are.
 */
#include "test/refmodel/op_stream.h"
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void stream_close(struct actor *a, struct streampair *s)
{
	if (s->p != NULL)
		judge(a, "fclose", TRY(fclose(s->p)), TRY(fclose(s->m)), 0);
	free(s->buf_p);
	free(s->buf_m);
	*s = (struct streampair){ 0 };
}

static void drop(struct streampair *s)
{
	fclose(s->p);
	fclose(s->m);
	free(s->buf_p);
	free(s->buf_m);
	*s = (struct streampair){ 0 };
}

bool stream_state(struct actor *a, struct streampair *s, int error_m)
{
	if (ferror(s->m) && !ferror(s->p) && store_may(error_m)) {
		__atomic_fetch_add(&board->store_errors, 1, __ATOMIC_RELAXED);
		drop(s); /* where it would go on is nobody's promise */
		return false;
	}
	same_number(a, "ferror", ferror(s->p) != 0, ferror(s->m) != 0);
	same_number(a, "feof", feof(s->p) != 0, feof(s->m) != 0);
	return true;
}

struct streampair *stream_of(struct actor *a, uint32_t arg, bool wide)
{
	unsigned i;

	for (i = 0; i < NR_STREAMS; i++) {
		struct streampair *s = &a->streams[(arg + i) % NR_STREAMS];

		if (s->p != NULL && s->wide == wide)
			return s;
	}
	return NULL;
}

/* Reading after writing needs a seek between them, and the other way round. */
void stream_turn(struct streampair *s)
{
	/* So that an error of the store can be told from one of before. */
	if (ferror(s->p) && ferror(s->m)) {
		clearerr(s->p);
		clearerr(s->m);
	}
	if (s->writes) {
		fseeko(s->p, 0, SEEK_CUR);
		fseeko(s->m, 0, SEEK_CUR);
	}
}

static struct streampair *put(struct actor *a, uint32_t slot, FILE *p, FILE *m, bool writes)
{
	struct streampair *s = &a->streams[slot % NR_STREAMS];

	stream_close(a, s);
	s->p = p;
	s->m = m;
	s->writes = writes;
	return s;
}

static const char *draw_mode(uint32_t x, bool local)
{
	static const char *const reads[] = { "r",  "r", "rb", "re", "rc", "r",
					     "r+", "w", "a",  "wx", "q" };
	static const char *const writes[] = { "w", "w+", "a", "a+", "r+", "r", "wx", "r" };

	return local ? writes[x % LENGTH(writes)] : reads[x % LENGTH(reads)];
}

OP(fopen)
{
	static const int read_only[] = { EROFS, 0 }, exists[] = { EEXIST, 0 };
	struct place pl;
	const struct node *n;
	struct outcome x, y;
	const char *mode;
	bool writes;
	FILE *p, *m;

	place_draw(a, &pl, arg[0], arg[1], arg[2] % 5 == 0 ? PLACE_LOCAL : 0);
	mode = draw_mode(arg[3], pl.local);
	writes = strpbrk(mode, "wa+") != NULL;
	n = place_means(&pl, true);
	if (writes && (!place_may_make(&pl) || (world.bare && n != NULL)))
		return false;
	y = TRY_POINTER(m, fopen(pl.m, mode));
	if (writes && n != NULL && !n->dir) {
		judge_fails(a, pl.m, y, strchr(mode, 'x') != NULL ? exists : read_only);
		return true;
	}
	x = TRY_POINTER(p, fopen(pl.p, mode));
	switch (judge(a, pl.m, x, y, writes && place_ends_in_slash(&pl) ? JUDGE_ANY_ERRNO : 0)) {
	case BOTH_DID:
		a->local_changes++;
		put(a, arg[4], p, m, writes);
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		fclose(p);
		break;
	}
	return true;
}

/* Of a descriptor that nobody else holds: a stream reads ahead as far as it likes. */
OP(fdopen)
{
	const struct node *n = &world.nodes[world.files[arg[0] % world.nr_files]];
	off_t off = n->size > 0 && arg[2] % 2 == 0 ? (off_t)(arg[3] % n->size) : 0;
	const char *mode = arg[4] % 16 == 0 ? "r+" : arg[4] % 16 == 1 ? "w" : "r";
	struct outcome x, y;
	char path[PATH_SIZE];
	FILE *p, *m;
	int fp, fm;

	snprintf(path, sizeof(path), "%s/%s", world.plain, n->rel);
	fp = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%s", world.model, n->rel);
	y = TRY(open(path, O_RDONLY | O_CLOEXEC));
	if (judge(a, "open", (struct outcome){ .ret = fp }, y, JUDGE_ANY_RESULT) == STORE_FAILED) {
		close(fp);
		return true;
	}
	fm = (int)y.ret;
	lseek(fp, off, SEEK_SET);
	lseek(fm, off, SEEK_SET);
	x = TRY_POINTER(p, fdopen(fp, mode));
	y = TRY_POINTER(m, fdopen(fm, mode));
	if (judge(a, "fdopen", x, y, 0) == BOTH_DID) {
		same_number(a, "fileno", fileno(p) - fp, fileno(m) - fm);
		put(a, arg[1], p, m, false);
	} else {
		close(fp);
		close(fm);
	}
	return true;
}

/* Another file in the same stream; one that fails is closed. */
OP(freopen)
{
	struct streampair *s = stream_of(a, arg[0], false);
	struct outcome x, y;
	struct place pl;
	FILE *p, *m;

	if (s == NULL)
		return false;
	place_draw(a, &pl, arg[1], arg[2], arg[3] % 4 != 0 ? PLACE_STORE : 0);
	x = TRY_POINTER(p, freopen(pl.p, "r", s->p));
	y = TRY_POINTER(m, freopen(pl.m, "r", s->m));
	free(s->buf_p);
	free(s->buf_m);
	*s = (struct streampair){ 0 };
	switch (judge(a, pl.m, x, y, 0)) {
	case BOTH_DID:
		s->p = p;
		s->m = m;
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		fclose(p);
		break;
	}
	return true;
}

OP(fclose)
{
	struct streampair *s = &a->streams[arg[0] % NR_STREAMS];

	if (s->p == NULL)
		return false;
	stream_close(a, s);
	return true;
}

/* Before anything is read: on one that was just opened. */
OP(setvbuf)
{
	static const int modes[] = { _IOFBF, _IOFBF, _IOLBF, _IONBF };
	const struct node *n = &world.nodes[world.files[arg[0] % world.nr_files]];
	size_t len = 1 + arg[3] % 70000;
	char path[PATH_SIZE];
	struct streampair *s;
	struct outcome x, y;
	FILE *p, *m;
	int mode = modes[arg[2] % LENGTH(modes)];

	snprintf(path, sizeof(path), "%s/%s", world.plain, n->rel);
	x = TRY_POINTER(p, fopen(path, "r"));
	snprintf(path, sizeof(path), "%s/%s", world.model, n->rel);
	y = TRY_POINTER(m, fopen(path, "r"));
	if (judge(a, "fopen", x, y, 0) == STORE_FAILED) {
		fclose(p);
		return true;
	}
	s = put(a, arg[1], p, m, false);
	if (mode != _IONBF && arg[4] % 2 == 0) {
		s->buf_p = malloc(len);
		s->buf_m = malloc(len);
	}
	x = TRY(setvbuf(p, s->buf_p, mode, len));
	y = TRY(setvbuf(m, s->buf_m, mode, len));
	judge(a, "setvbuf", x, y, 0);
	return true;
}

OP(fseek)
{
	static const int whences[] = { SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END, 7 };
	struct streampair *s = stream_of(a, arg[0], false);
	int whence = whences[arg[1] % LENGTH(whences)];
	off_t off = (off_t)(arg[2] % 8 == 0 ? arg[2] / 8 % 3000000 : arg[2] / 8 % 20000);
	struct outcome x, y;
	int error = 0;
	fpos_t pos;

	if (s == NULL)
		return false;
	/* Where a stream is after ungetc() of another byte, libc has several opinions. */
	if (s->pushed)
		whence = SEEK_SET;
	if (whence == SEEK_CUR)
		off -= 10000;
	else if (whence == SEEK_END)
		off = 100 - off;
	switch (arg[3] % 8) {
	case 0:
		rewind(s->p);
		rewind(s->m);
		break;
	case 1:
		if (s->pushed)
			return false;
		x = TRY(fgetpos(s->p, &pos) == 0 ? fsetpos(s->p, &pos) : -1);
		y = TRY(fgetpos(s->m, &pos) == 0 ? fsetpos(s->m, &pos) : -1);
		x.touched = y.touched = false;
		judge(a, "fsetpos", x, y, 0);
		break;
	default:
		x = TRY(arg[3] % 8 == 2 ? fseek(s->p, off, whence) : fseeko(s->p, off, whence));
		y = TRY(arg[3] % 8 == 2 ? fseek(s->m, off, whence) : fseeko(s->m, off, whence));
		error = errno; /* libc reads up to the place, and may not say that it could not */
		x.touched = y.touched = false;
		if (judge(a, "fseeko", x, y, 0) == STORE_FAILED) {
			drop(s);
			return true;
		}
		break;
	}
	s->pushed = false;
	if (stream_state(a, s, error))
		judge(a, "ftello", TRY(ftello(s->p)), TRY(ftello(s->m)), 0);
	return true;
}

OP(ftell)
{
	struct streampair *s = stream_of(a, arg[0], false);
	struct stat p, m;

	if (s == NULL || s->pushed)
		return false;
	if (arg[1] % 2 == 0)
		judge(a, "ftell", TRY(ftell(s->p)), TRY(ftell(s->m)), 0);
	else
		judge(a, "ftello", TRY(ftello(s->p)), TRY(ftello(s->m)), 0);
	if (arg[1] % 4 == 3) {
		clearerr(s->p);
		clearerr(s->m);
	}
	if (arg[1] % 4 == 2 && judge(a, "fstat of fileno", TRY(fstat(fileno(s->p), &p)),
				     TRY(fstat(fileno(s->m), &m)), 0) == BOTH_DID)
		stat_same(a, "fstat of fileno", &p, &m);
	return stream_state(a, s, errno);
}

/* Then the descriptor is where the stream is. */
OP(fflush)
{
	struct streampair *s = stream_of(a, arg[0], false);
	struct outcome x, y;

	if (s == NULL || s->pushed)
		return false;
	x = TRY(fflush(s->p));
	y = TRY(fflush(s->m));
	x.touched = y.touched = false;
	judge(a, "fflush", x, y, 0);
	judge(a, "the descriptor's offset after fflush", TRY(lseek(fileno(s->p), 0, SEEK_CUR)),
	      TRY(lseek(fileno(s->m), 0, SEEK_CUR)), 0);
	return true;
}
