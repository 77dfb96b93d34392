#include "libclient/preload/environment.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"

#include <stdbool.h>

#ifndef MADV_DONTDUMP
#define MADV_DONTDUMP 16
#endif

/* Some environments are large.  A word that ends in '=' is a whole name, others are beginnings. */
static const char wanted[][20] = {
	"OSS",	      "XDG_",
	"HOME=",      "LD_PRELOAD=",
	"PATH=",      "ENABLE_CONNECTOR=",
	"MODEL_DIR=", "HTTP_SOURCE_IP=",
};

static bool is_wanted(const char *variable)
{
	unsigned i, n;

	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		for (n = 0; wanted[i][n] != '\0' && wanted[i][n] == variable[n]; n++)
			;
		if (wanted[i][n] == '\0')
			return true;
	}
	return false;
}

char *const *environment_copy(char *const *envp)
{
	size_t nr = 0, len = 0, n;
	char *const *e;
	char **copy, *text;

	for (e = envp; *e != NULL; e++)
		if (is_wanted(*e)) {
			nr++;
			len += mem_len(*e) + 1;
		}
	len += (nr + 1) * sizeof(*copy);
	copy = sys_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(copy))
		return NULL;
	sys_madvise(copy, len, MADV_DONTDUMP);
	text = (char *)(copy + nr + 1);
	for (e = envp, nr = 0; *e != NULL; e++)
		if (is_wanted(*e)) {
			n = mem_len(*e) + 1;
			mem_copy(text, *e, n);
			copy[nr++] = text;
			text += n;
		}
	return copy;
}
