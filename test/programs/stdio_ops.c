/*
 * Prints what stdio does with a text file: everything a program can see of it.  Run
 * on a plain file and under the preload library, it must print the same.
 *
 *	stdio_ops TEXT MOUNTS LOCAL NAME...
 *
 * TEXT: lines of UTF-8.  MOUNTS: another file, in fstab's form.  LOCAL: a small file
 * elsewhere.  NAME: which parts to run, in this order; "all".
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <mntent.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

static const char *text, *mounts, *local;

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (write(1, line, (size_t)n) != n)
		_exit(3);
}

static void say_state(const char *what, FILE *f, long result)
{
	say("  %s: %ld errno %d eof %d error %d\n", what, result, result == EOF ? errno : 0,
	    feof(f) != 0, ferror(f) != 0);
}

static FILE *open_text(void)
{
	FILE *f = fopen(text, "r");

	if (f == NULL) {
		perror(text);
		_exit(2);
	}
	errno = 0;
	return f;
}

static void say_line(FILE *f)
{
	char line[256];

	say("  line: %s", fgets(line, sizeof(line), f) != NULL ? line : "none\n");
}

static unsigned long sum_rest(FILE *f)
{
	unsigned long sum = 5381;
	int c;

	while ((c = getc(f)) != EOF)
		sum = sum * 33 + (unsigned)c;
	return sum;
}

/* ---- parts --------------------------------------------------------------------------------- */

static void modes(void)
{
	static const char *const good[] = { "r",  "rb",	 "rt", "re",   "rc",
					    "rm", "rbe", "rw", "rbbb", "r\xff" };
	static const char *const bad[] = { "q", "+r", " r", "b" };
	struct stat st, by_fd;
	unsigned i;
	FILE *f;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++) {
		f = fopen(text, good[i]);
		if (f == NULL) {
			say("  %s: errno %d\n", good[i], errno);
			continue;
		}
		stat(text, &st);
		fstat(fileno(f), &by_fd);
		say("  %s: fd %d cloexec %d access %d same %d size %lld\n", good[i], fileno(f),
		    fcntl(fileno(f), F_GETFD), fcntl(fileno(f), F_GETFL) & O_ACCMODE,
		    st.st_ino == by_fd.st_ino && st.st_dev == by_fd.st_dev &&
			    st.st_mtime == by_fd.st_mtime,
		    (long long)by_fd.st_size);
		say_line(f);
		say_state("close", f, 0);
		say("  %d\n", fclose(f));
	}
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		errno = 0;
		f = fopen(text, bad[i]);
		say("  '%s': %d errno %d\n", bad[i], f != NULL, errno);
	}
	f = fopen("none/such", "r");
	say("  none: %d errno %d\n", f != NULL, errno);
}

static void from_descriptors(void)
{
	static const char *const mode[] = { "r", "rb", "re", "w", "a", "r+", "w+", "", "q", "rc" };
	int fd = open(text, O_RDONLY), other, i;
	FILE *f;

	for (i = 0; i < (int)(sizeof(mode) / sizeof(*mode)); i++) {
		errno = 0;
		other = dup(fd);
		f = fdopen(other, mode[i]);
		say("  %s: %d errno %d cloexec %d\n", mode[i], f != NULL, errno,
		    fcntl(other, F_GETFD));
		if (f == NULL) {
			close(other);
			continue;
		}
		say("  write %d\n", fputc('x', f) == 'x' && fflush(f) == 0);
		clearerr(f);
		lseek(fd, 0, SEEK_SET);
		if (mode[i][0] == 'r')
			say_line(f);
		fflush(f);
		say("  offset %ld\n", (long)lseek(fd, 0, SEEK_CUR));
		fclose(f);
	}
	errno = 0;
	f = fdopen(-1, "r");
	say("  -1: %d errno %d\n", f != NULL, errno);
	lseek(fd, 5, SEEK_SET);
	f = fdopen(fd, "r");
	say("  tell %ld, %d\n", ftell(f), getc(f));
	close(fd);
	errno = 0;
	say("  closed below: %d", fclose(f));
	say(" errno %d\n", errno);
	fd = open(text, O_PATH);
	f = fdopen(fd, "r");
	if (f != NULL) {
		errno = 0;
		say_state("O_PATH", f, getc(f));
		fclose(f);
	}
}

static void seeks(void)
{
	FILE *f = open_text();
	static const struct {
		long off;
		int whence;
	} to[] = {
		{ 10, SEEK_SET },
		{ -3, SEEK_CUR },
		{ 100000, SEEK_SET },
		{ -1, SEEK_SET },
		{ 0, SEEK_END },
		{ -7, SEEK_END },
		{ 7, SEEK_END },
		{ -(1L << 40), SEEK_END },
		{ 1, SEEK_CUR },
		{ LONG_MAX, SEEK_CUR },
		{ 3, 77 },
		{ 4096, SEEK_SET },
		{ 4095, SEEK_SET },
	};
	unsigned i;
	fpos_t at;

	for (i = 0; i < sizeof(to) / sizeof(*to); i++) {
		errno = 0;
		say_state("fseek", f, fseek(f, to[i].off, to[i].whence));
		say("  tell %ld char %d tell %ld\n", ftell(f), getc(f), (long)ftello(f));
	}
	rewind(f);
	say_line(f);
	say("  getpos %d\n", fgetpos(f, &at));
	say_line(f);
	say("  setpos %d\n", fsetpos(f, &at));
	say_line(f);
	fseek(f, 0, SEEK_END);
	say_state("at end", f, getc(f));
	say_state("ungetc", f, ungetc('q', f));
	say("  tell %ld char %d\n", ftell(f), getc(f));
	rewind(f);
	say_state("start", f, 0);
	say("  ungetc at start %d\n", ungetc('Z', f));
	errno = 0;
	say("  tell %ld char %d %d\n", ftell(f), getc(f), getc(f));
	ungetc('A', f);
	fseek(f, 0, SEEK_CUR);
	say("  after seek %d tell %ld\n", getc(f), ftell(f));
	ungetc('1', f);
	ungetc('2', f);
	say("  two back: %d %d %d tell %ld\n", getc(f), getc(f), getc(f), ftell(f));
	for (i = 0; i < 2000; i++) {
		fseek(f, (long)(i * 7919 % 50000), SEEK_SET);
		if (i % 500 == 0)
			say("  jump %d\n", getc(f));
	}
	lseek(fileno(f), 0, SEEK_SET);
	say("  %d\n", fclose(f));
}

static void reads(void)
{
	static const size_t sizes[] = { 1, 7, 511, 4096, 61440, 65537, 300000 };
	FILE *f = open_text();
	char *buf = malloc(1 << 20), *line = NULL, word[64] = "";
	size_t room = 0, n;
	unsigned i, j, number = 0;
	unsigned long sum;

	say("  sum %lu\n", sum_rest(f));
	say_state("eof", f, getc(f));
	clearerr(f);
	say_state("cleared", f, getc(f));
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		rewind(f);
		getc(f);
		for (sum = 5381; (n = fread(buf, 1, sizes[i], f)) > 0;)
			for (j = 0; j < n; j++)
				sum = sum * 33 + (unsigned char)buf[j];
		say("  by %zu: %lu eof %d\n", sizes[i], sum, feof(f) != 0);
	}
	rewind(f);
	say("  items %zu, left %ld\n", fread(buf, 100000, 5, f), ftell(f));
	rewind(f);
	say("  unlocked %zu", fread_unlocked(buf, 1, 10, f));
	say(" %d %d %d\n", getc_unlocked(f), fgetc_unlocked(f), getw(f));
	say("  getline %zd", getline(&line, &room, f));
	say(" %s", line);
	say("  getdelim %zd", getdelim(&line, &room, ' ', f));
	say(" %s\n", line);
	say("  scanf %d", fscanf(f, "%63s %u", word, &number));
	say(" %s %u tell %ld\n", word, number, ftell(f));
	say("  scanf %d\n", fscanf(f, "%u", &number));
	say("  fileno %d %d\n", fileno(f), fileno_unlocked(f));
	free(buf);
	free(line);
	fclose(f);
}

static void buffers(void)
{
	static const struct {
		int mode;
		size_t len;
	} how[] = { { _IOFBF, 1 },    { _IOFBF, 16 }, { _IOFBF, 128 << 10 },
		    { _IOLBF, 4096 }, { _IONBF, 0 },  { 9, 0 } };
	char *buf = malloc(128 << 10);
	unsigned i;
	FILE *f;
	int r;

	for (i = 0; i < sizeof(how) / sizeof(*how); i++) {
		f = open_text();
		r = setvbuf(f, how[i].len != 0 ? buf : NULL, how[i].mode, how[i].len);
		say("  setvbuf %d", r);
		say(" %d", getc(f));
		if (how[i].mode == _IONBF)
			say(" at %ld", (long)lseek(fileno(f), 0, SEEK_CUR));
		say(" sum %lu\n", sum_rest(f));
		fclose(f);
	}
	f = open_text();
	setbuf(f, NULL);
	getc(f);
	say("  setbuf at %ld\n", (long)lseek(fileno(f), 0, SEEK_CUR));
	setlinebuf(f);
	say("  line buffered %d\n", __flbf(f) != 0);
	fclose(f);
	f = open_text();
	say("  readable %d writable %d writing %d pending %zu\n", __freadable(f) != 0,
	    __fwritable(f) != 0, __fwriting(f) != 0, __fpending(f));
	say_line(f);
	say("  reading %d\n", __freading(f) != 0);
	fflush(f);
	__fpurge(f);
	say_line(f);
	fclose(f);
	free(buf);
}

/* Where the next reader of the descriptor goes on. */
static void offsets(void)
{
	int fd = open(text, O_RDONLY), status;
	FILE *f = fdopen(dup(fd), "r");
	pid_t pid;

	say_line(f);
	say("  fflush %d at %ld\n", fflush(f), (long)lseek(fd, 0, SEEK_CUR));
	say_line(f);
	say("  fflush(NULL) %d\n", fflush(NULL));
	say_line(f);
	ungetc('x', f);
	say("  fflush %d at %ld\n", fflush(f), (long)lseek(fd, 0, SEEK_CUR));
	fflush(f);
	pid = fork();
	if (pid == 0) {
		say_line(f);
		exit(0); /* libc leaves the descriptor where the child stopped */
	}
	waitpid(pid, &status, 0);
	say("  child %d at %ld\n", status, (long)lseek(fd, 0, SEEK_CUR));
	fseek(f, 0, SEEK_CUR);
	say_line(f);
	pid = fork();
	if (pid == 0) {
		say_line(f);
		_exit(fclose(f));
	}
	waitpid(pid, &status, 0);
	say("  child %d\n", status);
	say_line(f);
	say("  fclose %d\n", fclose(f));
	say("  at end: %d\n", lseek(fd, 0, SEEK_CUR) > 0);
	close(fd);
}

static void writes(void)
{
	FILE *f = open_text();

	errno = 0;
	say_state("fputc", f, fputc('x', f));
	clearerr(f);
	errno = 0;
	say_state("fputs", f, fputs("x", f));
	clearerr(f);
	say_state("fwrite", f, (long)fwrite("xyz", 1, 3, f));
	clearerr(f);
	say_state("fprintf", f, fprintf(f, "x%d", 1) < 0 ? EOF : 0);
	clearerr(f);
	say("  fflush %d\n", fflush(f));
	say_line(f);
	fclose(f);
}

static void say_wide(FILE *f)
{
	wchar_t line[256];

	say("  wide line: %ls", fgetws(line, 256, f) != NULL ? line : L"none\n");
}

static void wide(void)
{
	FILE *f = open_text();
	unsigned long sum = 5381, nr = 0;
	wchar_t word[64] = L"";
	unsigned number = 0;
	wint_t c;

	say("  fwide %d %d", fwide(f, 0), fwide(f, 1));
	say(" %d\n", fwide(f, -1));
	while ((c = fgetwc(f)) != WEOF) {
		sum = sum * 33 + (unsigned)c;
		nr++;
	}
	say("  %lu characters, sum %lu, eof %d error %d\n", nr, sum, feof(f) != 0, ferror(f) != 0);
	rewind(f);
	say_wide(f);
	say("  ungetwc %d", (int)ungetwc(L'\u00e9', f));
	say(" then %d\n", (int)getwc(f));
	say("  tell %ld\n", ftell(f));
	say("  scanf %d", fwscanf(f, L"%63ls %u", word, &number));
	say(" %ls %u\n", word, number);
	fseek(f, 0, SEEK_SET);
	say_wide(f);
	say("  fclose %d\n", fclose(f));

	f = open_text();
	say("  ungetwc first %d", (int)ungetwc(L'X', f));
	say(" mode %d then %d %d\n", fwide(f, 0), (int)getwc(f), (int)getwc(f));
	fclose(f);
	f = open_text();
	say("  scanf first %d", fwscanf(f, L"%63ls", word));
	say(" %ls\n", word);
	fclose(f);
	f = open_text();
	say("  getwc_unlocked %d\n", (int)getwc_unlocked(f));
	fflush(f);
	say("  at %ld\n", (long)lseek(fileno(f), 0, SEEK_CUR));
	say_wide(f);
	fclose(f);
	f = open_text();
	fseek(f, 12, SEEK_SET);
	say_wide(f);
	fclose(f);
}

/* What a stream of the one orientation says to the other's functions. */
static void mixed(void)
{
	FILE *f = open_text();

	say("  byte %d", getc(f));
	say(" mode %d", fwide(f, 1));
#ifdef __GLIBC__
	errno = 0;
	say(" wide %d", (int)fgetwc(f));
#endif
	say_state("", f, 0);
	say_line(f);
	fclose(f);
#ifdef __GLIBC__
	f = open_text();
	say("  wide %d", (int)fgetwc(f));
	say_state("byte", f, getc(f));
	say_wide(f);
	fclose(f);
	f = open_text();
	errno = 0;
	say_state("fputwc", f, (int)fputwc(L'x', f));
	clearerr(f);
	say_wide(f);
	fclose(f);
#endif
}

static void charsets(void)
{
	static const char *const mode[] = { "r,ccs=UTF-8", "r,ccs=ISO-8859-1", "r,ccs=NONE-SUCH",
					    "re,ccs=UTF-8" };
	unsigned i;
	FILE *f;

	for (i = 0; i < sizeof(mode) / sizeof(*mode); i++) {
		errno = 0;
		f = fopen(text, mode[i]);
		say("  %s: %d errno %d\n", mode[i], f != NULL, f == NULL ? errno : 0);
		if (f == NULL)
			continue;
		say("  fd %d cloexec %d mode %d\n", fileno(f), fcntl(fileno(f), F_GETFD),
		    fwide(f, 0));
#ifdef __GLIBC__
		say_wide(f);
#endif
		say("  %d\n", fclose(f));
	}
}

static void say_file(FILE *f, FILE *was)
{
	struct stat st;

	say("  same %d", f == was);
	if (f == NULL) {
		say(" errno %d\n", errno);
		return;
	}
	fstat(fileno(f), &st);
	say(" fd %d cloexec %d size %lld blocks %d links %d tell %ld eof %d error %d\n", fileno(f),
	    fcntl(fileno(f), F_GETFD), (long long)st.st_size, st.st_size > 0 ? st.st_blocks > 0 : 0,
	    (int)st.st_nlink, ftell(f), feof(f) != 0, ferror(f) != 0);
	say_line(f);
	fseek(f, 3, SEEK_SET);
	say_line(f);
}

static FILE *began(const char *path)
{
	FILE *f = fopen(path, "r");

	if (f != NULL) {
		getc(f);
		ungetc('!', f);
	}
	return f;
}

static void reopens(void)
{
	const char *from[] = { text, local, mounts }, *to[] = { text, local, mounts, NULL };
	unsigned i, j;
	FILE *f, *g;

	for (i = 0; i < 3; i++)
		for (j = 0; j < 4; j++) {
			const char *mode = j % 2 != 0 ? "re" : "r";

			f = began(from[i]);
			g = freopen(to[j], mode, f);
			say_file(g, f);
			if (g == NULL)
				continue;
			g = freopen(text, mode, f);
			say_file(g, f);
			say("  fclose %d\n", fclose(f));
		}
	f = began(text);
	g = freopen("none/such", "r", f);
	say("  none: %d errno %d descriptor %d\n", g != NULL, errno, fcntl(3, F_GETFD));
	f = began(text);
	fseek(f, 0, SEEK_END);
	getc(f);
	g = freopen(text, "r", f);
	say_wide(g);
	g = freopen(mounts, "r", g);
	say_wide(g);
	g = freopen(local, "r", g);
	say_line(g);
	g = freopen("/dev/null", "w", g);
	say("  null %d", fputs("x", g));
	say(" %d\n", fclose(g));
	f = began(local);
	g = freopen(text, "r,ccs=UTF-8", f);
	say("  charset %d\n", g != NULL);
#ifdef __GLIBC__
	if (g != NULL)
		say_wide(g);
#endif
	if (g != NULL)
		fclose(g);
}

/* Standard input, however it came to be this file. */
static void standard_input(void)
{
	char word[64] = "";
	FILE *g;
	int fd;

	g = freopen(text, "r", stdin);
	say("  same %d fd %d", g == stdin, fileno(stdin));
	say(" scanf %d", scanf("%63s", word));
	say(" %s getchar %d\n", word, getchar());
	say_line(stdin);
	fd = open(mounts, O_RDONLY);
	fseek(stdin, 0, SEEK_END);
	dup2(fd, 0);
	clearerr(stdin);
	say("  dup2: tell %ld\n", ftell(stdin));
	lseek(0, 0, SEEK_SET);
	fflush(stdin);
	say_line(stdin);
	fclose(stdin);
	close(fd);
	close(0);
	fd = open(local, O_RDONLY);
	g = freopen(text, "r", stdin);
	say("  after fclose %d\n", g == stdin);
	if (g != NULL)
		say_line(stdin);
}

static void input_by_dup2(void)
{
	char word[64] = "";
	int fd = open(text, O_RDONLY), c;

	lseek(fd, 5, SEEK_SET);
	say("  %d\n", dup2(fd, 0));
	say("  tell %ld ", ftell(stdin));
	say("%d ", (c = getchar()));
	ungetc(c, stdin);
	say("scanf %d", scanf("%63s", word));
	say(" %s\n", word);
	say_line(stdin);
	fseek(stdin, 0, SEEK_SET);
	say_line(stdin);
	fflush(stdin);
	say("  at %ld %ld\n", (long)lseek(fd, 0, SEEK_CUR), (long)lseek(0, 0, SEEK_CUR));
	say("  sum %lu\n", sum_rest(stdin));
}

/* As input_by_dup2(), with number 0 free when the file is opened. */
static void input_by_open(void)
{
	close(0);
	say("  %d\n", open(text, O_RDONLY));
	say_line(stdin);
	say("  sum %lu\n", sum_rest(stdin));
}

/* Standard input as it is: the tests redirect it. */
static void inherited_input(void)
{
	struct stat st;
	char word[64] = "";

	fstat(0, &st);
	say("  size %lld scanf %d", (long long)st.st_size, scanf("%63s", word));
	say(" %s getchar %d\n", word, getchar());
	say_line(stdin);
	say("  tell %ld\n", ftell(stdin));
	fflush(stdin);
	say("  at %ld\n", (long)lseek(0, 0, SEEK_CUR));
	rewind(stdin);
	say("  sum %lu\n", sum_rest(stdin));
}

static void inherited_wide_input(void)
{
	wchar_t word[64] = L"";

	say("  getwchar %d", (int)getwchar());
	say(" scanf %d", wscanf(L"%63ls", word));
	say(" %ls\n", word);
	say_wide(stdin);
}

#ifdef __GLIBC__
extern FILE _IO_2_1_stdin_;
static void inherited_old_input(void)
{
	say_line(&_IO_2_1_stdin_);
	say("  sum %lu\n", sum_rest(&_IO_2_1_stdin_));
}
#else
static void inherited_old_input(void)
{
}
#endif

static FILE *shared;

static void *count_lines(void *arg)
{
	char line[256];
	long *nr = arg;

	while (fgets(line, sizeof(line), shared) != NULL)
		*nr += line[strlen(line) - 1] == '\n';
	return NULL;
}

static void threads(void)
{
	pthread_t t[4];
	long nr[4] = { 0 };
	int i;

	shared = open_text();
	for (i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, count_lines, &nr[i]);
	for (i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	say("  lines %ld\n", nr[0] + nr[1] + nr[2] + nr[3]);
	rewind(shared);
	flockfile(shared);
	say("  trylock %d\n", ftrylockfile(shared));
	say("  %d\n", getc_unlocked(shared));
	funlockfile(shared);
	funlockfile(shared);
	say("  locking %d", __fsetlocking(shared, FSETLOCKING_QUERY));
	__fsetlocking(shared, FSETLOCKING_BYCALLER);
	say_line(shared);
	fclose(shared);
}

static void others(void)
{
	struct mntent *m;
	FILE *f = setmntent(mounts, "r");
	char *mem = NULL, buf[32];
	size_t len;

	while (f != NULL && (m = getmntent(f)) != NULL)
		say("  %s on %s\n", m->mnt_fsname, m->mnt_dir);
	if (f != NULL)
		endmntent(f);
	f = fmemopen(buf, sizeof(buf), "w+");
	fputs("memory", f);
	rewind(f);
	say_line(f);
	say("\n");
	fclose(f);
	f = open_memstream(&mem, &len);
	fputs("stream", f);
	fclose(f);
	say("  %s %zu\n", mem, len);
	free(mem);
	f = tmpfile();
	fputs("temporary\n", f);
	rewind(f);
	say_line(f);
	say("  %d\n", fclose(f));
	f = popen("cat", "w");
	say("  popen %d", fputs("", f));
	say(" %d\n", pclose(f));
	f = fopen(local, "r");
	say_line(f);
	say("  %d\n", fclose(f));
	f = fopen(".", "r");
	errno = 0;
	say_state("directory", f, getc(f));
	fclose(f);
}

/* Many streams, one after the other: neither descriptors nor memory may grow. */
static void many(void)
{
	long before = 0, after = 0, pages;
	char line[256];
	FILE *f, *statm;
	int i;

	for (i = 0; i <= 10000; i++) {
		f = open_text();
		if (fgets(line, sizeof(line), f) == NULL)
			say("  nothing at %d\n", i);
		if (i % 10 == 0 && freopen(local, "r", f) != f)
			say("  not reopened at %d\n", i);
		fclose(f);
		if (i % 100 == 0) {
			f = open_text();
			if (fgetwc(f) == WEOF)
				say("  no wide character at %d\n", i);
			fclose(f);
		}
		if (i == 1000 || i == 10000) {
			before = after;
			statm = fopen("/proc/self/statm", "r");
			if (fscanf(statm, "%ld", &pages) != 1)
				say("  no statm\n");
			fclose(statm);
			after = pages;
		}
	}
	f = open_text();
	say("  fd %d grown %d\n", fileno(f), after > before + 64);
	fclose(f);
}

static const struct {
	const char *name;
	void (*run)(void);
	int not_in_all;
} parts[] = {
	{ "modes", modes, 0 },
	{ "from_descriptors", from_descriptors, 0 },
	{ "seeks", seeks, 0 },
	{ "reads", reads, 0 },
	{ "buffers", buffers, 0 },
	{ "offsets", offsets, 0 },
	{ "writes", writes, 0 },
	{ "wide", wide, 0 },
	{ "mixed", mixed, 0 },
	{ "charsets", charsets, 0 },
	{ "reopens", reopens, 0 },
	{ "threads", threads, 0 },
	{ "others", others, 0 },
	{ "many", many, 0 },
	{ "standard_input", standard_input, 0 },
	{ "input_by_dup2", input_by_dup2, 1 },
	{ "input_by_open", input_by_open, 1 },
	{ "inherited_input", inherited_input, 1 },
	{ "inherited_wide_input", inherited_wide_input, 1 },
	{ "inherited_old_input", inherited_old_input, 1 },
};

int main(int argc, char **argv)
{
	unsigned i;
	int a;

	if (argc < 5) {
		fprintf(stderr, "stdio_ops TEXT MOUNTS LOCAL NAME...\n");
		return 2;
	}
	setlocale(LC_ALL, "C.UTF-8");
	text = argv[1];
	mounts = argv[2];
	local = argv[3];
	for (a = 4; a < argc; a++)
		for (i = 0; i < sizeof(parts) / sizeof(*parts); i++)
			if (strcmp(argv[a], parts[i].name) == 0 ||
			    (strcmp(argv[a], "all") == 0 && !parts[i].not_in_all)) {
				say("%s\n", parts[i].name);
				parts[i].run();
			}
	return 0;
}
