/*
 * op_streamread.c - reading streams, and writing local ones.
 */
#include "test/refmodel/op_family.h"
#include "test/refmodel/op_stream.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

OP(fread)
{
	struct streampair *s = stream_of(a, arg[0], false);
	size_t size = 1 + arg[1] % 13, nr = length_of(arg[2]) / size, p, m;
	bool unlocked = arg[3] % 4 == 0;
	int error;

	if (s == NULL)
		return false;
	stream_turn(s);
	memset(a->buf_p, 0xee, size * nr + 64);
	memset(a->buf_m, 0xee, size * nr + 64);
	p = unlocked ? fread_unlocked(a->buf_p, size, nr, s->p) : fread(a->buf_p, size, nr, s->p);
	errno = 0;
	m = unlocked ? fread_unlocked(a->buf_m, size, nr, s->m) : fread(a->buf_m, size, nr, s->m);
	error = errno;
	if (!stream_state(a, s, error))
		return true;
	same_number(a, "fread", (long long)p, (long long)m);
	same_bytes(a, "fread", a->buf_p, a->buf_m, size * nr);
	return true;
}

OP(fgets)
{
	struct streampair *s = stream_of(a, arg[0], false);
	int len = 1 + (int)(arg[1] % 3000);
	char *p, *m;
	int error;

	if (s == NULL)
		return false;
	stream_turn(s);
	memset(a->buf_p, 0xee, (size_t)len);
	memset(a->buf_m, 0xee, (size_t)len);
	p = fgets((char *)a->buf_p, len, s->p);
	errno = 0;
	m = fgets((char *)a->buf_m, len, s->m);
	error = errno;
	if (!stream_state(a, s, error))
		return true;
	same_number(a, "fgets", p != NULL, m != NULL);
	same_bytes(a, "fgets", a->buf_p, a->buf_m, (size_t)len);
	return true;
}

OP(fgetc)
{
	struct streampair *s = stream_of(a, arg[0], false);
	unsigned i, nr = 1 + arg[1] % 20;
	int p, m, error;

	if (s == NULL)
		return false;
	stream_turn(s);
	for (i = 0; i < nr; i++) {
		p = arg[2] % 2 ? fgetc(s->p) : getc_unlocked(s->p);
		errno = 0;
		m = arg[2] % 2 ? fgetc(s->m) : getc_unlocked(s->m);
		error = errno;
		if (!stream_state(a, s, error))
			return true;
		same_number(a, "fgetc", p, m);
	}
	return true;
}

OP(ungetc)
{
	struct streampair *s = stream_of(a, arg[0], false);
	unsigned i, nr = 1 + arg[1] % 3;

	/* What is before the beginning, the standard leaves open. */
	if (s == NULL || s->writes || ftello(s->p) < 3)
		return false;
	for (i = 0; i < nr; i++) {
		int c = arg[2] % 2 ? 'x' : (int)(arg[3] >> i & 255);

		same_number(a, "ungetc", ungetc(c, s->p), ungetc(c, s->m));
	}
	s->pushed = true;
	return stream_state(a, s, 0);
}

OP(getline)
{
	struct streampair *s = stream_of(a, arg[0], false);
	char *p = NULL, *m = NULL;
	size_t room_p = 0, room_m = 0;
	ssize_t n, k;
	int error, mark = arg[1] % 3 == 0 ? (int)(arg[2] & 255) : '\n';

	if (s == NULL)
		return false;
	stream_turn(s);
	n = getdelim(&p, &room_p, mark, s->p);
	errno = 0;
	k = getdelim(&m, &room_m, mark, s->m);
	error = errno;
	if (stream_state(a, s, error)) {
		same_number(a, "getdelim", n, k);
		if (n > 0)
			same_bytes(a, "getdelim", p, m, (size_t)n);
	}
	free(p);
	free(m);
	return true;
}

OP(fscanf)
{
	struct streampair *s = stream_of(a, arg[0], false);
	char p[64] = "", m[64] = "";
	int n, k, error;

	if (s == NULL)
		return false;
	stream_turn(s);
	n = fscanf(s->p, "%31s", p);
	errno = 0;
	k = fscanf(s->m, "%31s", m);
	error = errno;
	if (!stream_state(a, s, error))
		return true;
	same_number(a, "fscanf", n, k);
	same_bytes(a, "fscanf", p, m, sizeof(p));
	return true;
}

OP(fwrite)
{
	struct streampair *s = stream_of(a, arg[0], false);
	size_t len = arg[1] % 9000, i;

	if (s == NULL)
		return false;
	stream_turn(s);
	for (i = 0; i < len; i++)
		a->buf_p[i] = (unsigned char)(mix(arg[2] + i / 8) >> i % 8 * 8);
	same_number(a, "fwrite", (long long)fwrite(a->buf_p, 1, len, s->p),
		    (long long)fwrite(a->buf_p, 1, len, s->m));
	return stream_state(a, s, 0);
}

/* A stream of its own: once wide, always wide. */
OP(fgetws)
{
	const struct node *n = &world.nodes[world.files[arg[0] % world.nr_files]];
	wchar_t *buf_p = (wchar_t *)(void *)a->buf_p, *buf_m = (wchar_t *)(void *)a->buf_m, *r, *q;
	struct streampair s = { .wide = true };
	int len = 2 + (int)(arg[1] % 500), error;
	char path[PATH_SIZE];
	struct outcome x, y;
	unsigned i;

	snprintf(path, sizeof(path), "%s/%s", world.plain, n->rel);
	x = TRY_POINTER(s.p, fopen(path, "r"));
	snprintf(path, sizeof(path), "%s/%s", world.model, n->rel);
	y = TRY_POINTER(s.m, fopen(path, "r"));
	if (judge(a, "fopen", x, y, 0) == STORE_FAILED) {
		fclose(s.p);
		return true;
	}
	for (i = 0; i < 1 + arg[2] % 4; i++) {
		if (arg[3] % 2 == 0) {
			wint_t c = fgetwc(s.p), d;

			errno = 0;
			d = fgetwc(s.m);
			error = errno;
			if (!stream_state(a, &s, error))
				return true;
			same_number(a, "fgetwc", c, d);
			continue;
		}
		r = fgetws(buf_p, len, s.p);
		errno = 0;
		q = fgetws(buf_m, len, s.m);
		error = errno;
		if (!stream_state(a, &s, error))
			return true;
		same_number(a, "fgetws", r != NULL, q != NULL);
		if (r != NULL)
			same_bytes(a, "fgetws", buf_p, buf_m, (wcslen(r) + 1) * sizeof(wchar_t));
	}
	stream_close(a, &s);
	return true;
}
