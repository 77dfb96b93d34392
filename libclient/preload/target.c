#include "libclient/preload/target.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#include <elf.h>
#include <stdbool.h>
#include <unistd.h>

#define HEAD	   1024 /* of the file: an ELF header and its program headers lie in there */
#define NOTES	   512	/* of a segment of notes */
#define NR_SCRIPTS 5	/* interpreters of interpreters that the kernel follows */
#define SCRIPT	   256	/* what the kernel reads of a "#!" line */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

/* Would the loader ignore LD_PRELOAD?  Other identities, or capabilities of the file. */
static bool is_privileged(int fd, const struct stat *st)
{
	uid_t uid, euid, kept_uid;
	gid_t gid, egid, kept_gid;

	sys_call3(__NR_getresuid, &uid, &euid, &kept_uid);
	sys_call3(__NR_getresgid, &gid, &egid, &kept_gid);
	if ((st->st_mode & S_ISUID) != 0 ? st->st_uid != uid : euid != uid)
		return true;
	if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) ? st->st_gid != gid
								       : egid != gid)
		return true;
	return uid != 0 && sys_call4(__NR_fgetxattr, fd, "security.capability", NULL, 0) >= 0;
}

/*
 * Programs of Go are dynamically linked when they use C, but make system calls of
 * their own.  The linker leaves a note in them, among others.
 */
static bool is_go(int fd, const char *head, size_t len, const Elf64_Phdr *ph)
{
	_Alignas(4) char notes[NOTES];
	size_t at = 0, nr = ph->p_filesz < sizeof(notes) ? ph->p_filesz : sizeof(notes);
	const Elf64_Nhdr *n;

	if (ph->p_offset <= len && nr <= len - ph->p_offset)
		mem_copy(notes, head + ph->p_offset, nr);
	else if (sys_pread(fd, notes, nr, (int64_t)ph->p_offset) != (ssize_t)nr)
		return false;
	while (at + sizeof(*n) + 4 <= nr) {
		n = (const void *)(notes + at);
		if (n->n_namesz == 4 && mem_equal(n + 1, "Go\0\0", 4))
			return true;
		at += sizeof(*n) + ((n->n_namesz + 3ul) & ~3ul) + ((n->n_descsz + 3ul) & ~3ul);
	}
	return false;
}

static enum target judge_elf(int fd, const char *head, size_t len)
{
	const Elf64_Ehdr *e = (const void *)head;
	enum target verdict = TARGET_BARE; /* without an interpreter: static */
	const Elf64_Phdr *ph;
	unsigned i;

	if (len < sizeof(*e) || e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_machine != MACHINE)
		return TARGET_BARE;
	if (e->e_phentsize != sizeof(*ph) || e->e_phoff > len ||
	    e->e_phnum > (len - e->e_phoff) / sizeof(*ph) || e->e_phoff % 8 != 0)
		return TARGET_BARE;
	ph = (const void *)(head + e->e_phoff);
	for (i = 0; i < e->e_phnum; i++) {
		if (ph[i].p_type == PT_INTERP)
			verdict = TARGET_LOADS;
		else if (ph[i].p_type == PT_NOTE && is_go(fd, head, len, &ph[i]))
			return TARGET_BARE;
	}
	return verdict;
}

/* The interpreter that a "#!" line names, cut out of it in place; NULL: none. */
static char *interpreter_of(char *head, size_t len)
{
	size_t at = 2, end;

	if (len > SCRIPT - 1)
		len = SCRIPT - 1;
	head[len] = '\0';
	while (head[at] == ' ' || head[at] == '\t')
		at++;
	for (end = at;
	     head[end] != '\0' && head[end] != '\n' && head[end] != ' ' && head[end] != '\t'; end++)
		;
	head[end] = '\0';
	return end > at ? head + at : NULL;
}

/* What a failed open says of an exec: it will fail as well, or it needs no right to read. */
static enum target judge_error(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -ENAMETOOLONG:
	case -EFAULT:
		return TARGET_ABSENT;
	}
	return TARGET_BARE;
}

/* One file.  A script: *ret_interpreter, in head. */
static enum target judge_file(int fd, char *head, char **ret_interpreter)
{
	struct stat st;
	ssize_t n;

	if (sys_fstat(fd, &st) != 0)
		return TARGET_BARE;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
		return TARGET_ABSENT;
	n = sys_pread(fd, head, HEAD, 0);
	if (n > 2 && head[0] == '#' && head[1] == '!') {
		*ret_interpreter = interpreter_of(head, (size_t)n);
		return TARGET_BARE;
	}
	if (n < 4 || !mem_equal(head, ELFMAG, SELFMAG) || is_privileged(fd, &st))
		return TARGET_BARE;
	return judge_elf(fd, head, (size_t)n);
}

enum target target_judge(int dirfd, const char *path, int flags)
{
	_Alignas(8) char head[HEAD];
	char link[40], *interpreter;
	enum target verdict = TARGET_BARE;
	int open_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, fd;
	struct text t;
	unsigned i;

	if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0') {
		text_init(&t, link, sizeof(link));
		text_adds(&t, "/proc/self/fd/");
		text_addi(&t, dirfd);
		path = link;
	}
	if ((flags & AT_SYMLINK_NOFOLLOW) != 0)
		open_flags |= O_NOFOLLOW;
	for (i = 0; i < NR_SCRIPTS; i++) {
		fd = sys_openat(dirfd, path, open_flags, 0);
		if (fd < 0)
			return judge_error(fd);
		interpreter = NULL;
		verdict = judge_file(fd, head, &interpreter);
		sys_close(fd);
		if (interpreter == NULL)
			return verdict;
		dirfd = AT_FDCWD;
		path = interpreter;
		open_flags &= ~O_NOFOLLOW;
	}
	return verdict;
}

/* ---- PATH --------------------------------------------------------------------------------- */

int target_candidate(const char **list, const char *file, char *buf, size_t cap)
{
	const char *end;
	struct text t;

	text_init(&t, buf, cap);
	if (*list == NULL)
		return -ENOENT;
	for (end = *list; *end != '\0' && *end != ':'; end++)
		;
	text_addn(&t, *list, (size_t)(end - *list));
	if (end > *list)
		text_addc(&t, '/');
	text_adds(&t, file);
	*list = *end == ':' ? end + 1 : NULL;
	return text_is_cut(&t) ? -ENAMETOOLONG : 0;
}

int target_search(int dirfd, const char *list, const char *file, char *buf, size_t cap)
{
	int error = -ENOENT, r;
	struct stat st;
	const char *c;

	for (c = file; *c != '\0'; c++)
		if (*c == '/')
			list = "";
	if (file[0] == '\0')
		return -ENOENT;
	if (list == NULL)
		list = "/bin:/usr/bin";
	while (list != NULL) {
		r = target_candidate(&list, file, buf, cap);
		if (r == 0 && sys_fstatat(dirfd, buf, &st, 0) == 0 && S_ISREG(st.st_mode))
			r = (int)sys_call3(__NR_faccessat, dirfd, buf, X_OK);
		else
			continue;
		if (r == 0)
			return 0;
		error = -EACCES;
	}
	return error;
}
