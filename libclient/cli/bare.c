#include "libclient/cli/bare.h"

#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#else
#define OUR_MACHINE EM_NONE
#endif

#define MAX_SCRIPTS 4 /* as the kernel: scripts of scripts */

struct head {
	char bytes[4096];
	ssize_t len;
};

static bool read_head(const char *program, struct head *h, struct stat *st)
{
	int fd = open(program, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return false;
	h->len = fstat(fd, st) == 0 ? pread(fd, h->bytes, sizeof(h->bytes) - 1, 0) : -1;
	close(fd);
	if (h->len < 0)
		return false;
	h->bytes[h->len] = '\0';
	return true;
}

static bool has_interpreter(const struct head *h)
{
	const Elf64_Ehdr *e = (const void *)h->bytes;
	unsigned i;

	for (i = 0; i < e->e_phnum; i++) {
		size_t at = e->e_phoff + (size_t)i * e->e_phentsize;
		const Elf64_Phdr *p = (const void *)(h->bytes + at);

		if (e->e_phentsize < sizeof(*p) || at + sizeof(*p) > (size_t)h->len)
			break;
		if (p->p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* "#!/path argument": the path, in place. */
static const char *script_interpreter(struct head *h)
{
	char *path = h->bytes + 2;

	path += strspn(path, " \t");
	path[strcspn(path, " \t\r\n")] = '\0';
	return path;
}

const char *bare_reason(const char *program)
{
	_Alignas(8) static struct head h;
	struct stat st;
	const Elf64_Ehdr *e = (const void *)h.bytes;
	int i;

	for (i = 0; i < MAX_SCRIPTS; i++) {
		if (!read_head(program, &h, &st))
			return "its file cannot be read, so the reason is not known";
		if (h.len < 2 || memcmp(h.bytes, "#!", 2) != 0)
			break;
		program = script_interpreter(&h);
	}
	if (h.len < (ssize_t)sizeof(*e) || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0)
		return "it is no program of this system's format";
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_machine != OUR_MACHINE)
		return "it is built for another architecture, whose loader passes the library over";
	if ((st.st_mode & (S_ISUID | S_ISGID)) != 0)
		return "it is setuid or setgid: the loader ignores LD_PRELOAD";
	if (getxattr(program, "security.capability", NULL, 0) > 0)
		return "it has file capabilities: the loader ignores LD_PRELOAD";
	if (!has_interpreter(&h))
		return "it is statically linked: nothing can be loaded into it; use the C API, or "
		       "a dynamically linked build";
	return "it could load the library but did not: was LD_PRELOAD or OSSC_TRACE taken from its "
	       "environment (env -i, sudo), was the library's path not there (chroot), or did it "
	       "end before it began?";
}
