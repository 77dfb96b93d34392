#include "libclient/preload/say.h"

#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#include <fcntl.h>
#include <stdarg.h>

/* What this program opens as 2 is a file of its own: no place for our lines. */
static bool no_stderr;

void say_start(void)
{
	no_stderr = sys_fcntl(2, F_GETFD, 0) < 0;
}

bool say_has_stderr(void)
{
	return !no_stderr && sys_fcntl(2, F_GETFD, 0) >= 0;
}

void say(const char *first, ...)
{
	char line[1024];
	struct text t;
	const char *s;
	va_list ap;

	text_init(&t, line, sizeof(line) - 1);
	text_adds(&t, "oss-connector: ");
	va_start(ap, first);
	for (s = first; s != NULL; s = va_arg(ap, const char *))
		text_adds(&t, s);
	va_end(ap);
	trace_said(line);
	line[t.len] = '\n';
	if (!no_stderr)
		sys_write(2, line, t.len + 1);
}
