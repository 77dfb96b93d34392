#include "daemon/net/hosts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/net/addr.h"

#define BLANKS " \t\r"

/* The next word of a line, and its length; NULL at the end or at a comment. */
static const char *next_word(const char **pos, const char *end, size_t *ret_len)
{
	const char *p = *pos, *start;

	while (p < end && memchr(BLANKS, *p, sizeof(BLANKS) - 1) != NULL)
		p++;
	start = p;
	while (p < end && *p != '#' && memchr(BLANKS, *p, sizeof(BLANKS) - 1) == NULL)
		p++;
	*pos = p;
	*ret_len = (size_t)(p - start);
	return p == start ? NULL : start;
}

/* Does the line give `name` an address? */
static int line_matches(const char *line, const char *end, const char *name, struct addr *ret_addr)
{
	size_t name_len = strlen(name), len;
	char text[ADDR_TEXT_LEN];
	const char *word = next_word(&line, end, &len);

	if (word == NULL || len >= sizeof(text))
		return 0;
	memcpy(text, word, len);
	text[len] = '\0';
	while ((word = next_word(&line, end, &len)) != NULL) {
		if (len == name_len && strncasecmp(word, name, len) == 0)
			return addr_parse(text, ret_addr) == 0;
	}
	return 0;
}

size_t hosts_find(const char *text, size_t len, const char *name, struct addr *ret_addrs,
		  size_t max)
{
	const char *end = text + len, *line_end;
	size_t nr = 0, i;
	struct addr a;

	for (; text < end && nr < max; text = line_end + 1) {
		line_end = memchr(text, '\n', (size_t)(end - text));
		if (line_end == NULL)
			line_end = end;
		if (!line_matches(text, line_end, name, &a))
			continue;
		for (i = 0; i < nr && !addr_equal(&ret_addrs[i], &a); i++)
			;
		if (i == nr)
			ret_addrs[nr++] = a;
	}
	return nr;
}

size_t hosts_find_in_file(const char *path, const char *name, struct addr *ret_addrs, size_t max)
{
	size_t nr = 0, len = 0, cap;
	struct stat st;
	char *text;
	ssize_t n = 1;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1)
		return 0;
	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size == 0)
		goto out;
	cap = st.st_size < HOSTS_FILE_MAX ? (size_t)st.st_size : HOSTS_FILE_MAX;
	text = malloc(cap);
	if (text == NULL)
		goto out;
	while (len < cap && n > 0) {
		n = read(fd, text + len, cap - len);
		if (n > 0)
			len += (size_t)n;
	}
	nr = hosts_find(text, len, name, ret_addrs, max);
	free(text);
out:
	close(fd);
	return nr;
}
