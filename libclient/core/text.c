#include "libclient/core/text.h"
#include "libclient/core/mem.h"

#include <errno.h>

void text_init(struct text *t, char *buf, size_t cap)
{
	*t = (struct text){ .buf = buf, .cap = cap };
	buf[0] = '\0';
}

void text_addn(struct text *t, const char *bytes, size_t len)
{
	size_t room = t->cap - 1 - t->len;

	if (len > room) {
		len = room;
		t->cut = true;
	}
	mem_copy(t->buf + t->len, bytes, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

void text_adds(struct text *t, const char *str)
{
	text_addn(t, str, mem_len(str));
}

void text_addc(struct text *t, char c)
{
	text_addn(t, &c, 1);
}

void text_addu(struct text *t, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number != 0);
	text_addn(t, digits + at, sizeof(digits) - at);
}

void text_addi(struct text *t, int64_t number)
{
	if (number < 0)
		text_addc(t, '-');
	text_addu(t, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

#define NAME(error)                                                                                \
	case error:                                                                                \
		return #error

const char *text_errno_name(int error)
{
	switch (error < 0 ? -error : error) {
		NAME(EPERM);
		NAME(ENOENT);
		NAME(EINTR);
		NAME(EIO);
		NAME(E2BIG);
		NAME(ENOEXEC);
		NAME(EBADF);
		NAME(EAGAIN);
		NAME(ENOMEM);
		NAME(EACCES);
		NAME(EFAULT);
		NAME(EBUSY);
		NAME(EEXIST);
		NAME(ENODEV);
		NAME(ENOTDIR);
		NAME(EISDIR);
		NAME(EINVAL);
		NAME(ENFILE);
		NAME(EMFILE);
		NAME(EFBIG);
		NAME(ENOSPC);
		NAME(EROFS);
		NAME(EPIPE);
		NAME(EDEADLK);
		NAME(ENAMETOOLONG);
		NAME(ENOSYS);
		NAME(ELOOP);
		NAME(EPROTO);
		NAME(EOVERFLOW);
		NAME(EMSGSIZE);
		NAME(EOPNOTSUPP);
		NAME(ECONNRESET);
		NAME(ENOTCONN);
		NAME(ETIMEDOUT);
		NAME(ECONNREFUSED);
		NAME(EHOSTUNREACH);
		NAME(ENETUNREACH);
		NAME(EALREADY);
		NAME(ESTALE);
		NAME(EDQUOT);
		NAME(ECANCELED);
		NAME(EADDRNOTAVAIL);
		NAME(EKEYREJECTED);
		NAME(EKEYEXPIRED);
	}
	return NULL;
}

void text_add_errno(struct text *t, int error)
{
	const char *name = text_errno_name(error);

	text_adds(t, name != NULL ? name : "errno");
	text_adds(t, " (");
	text_addi(t, error < 0 ? -(int64_t)error : error);
	text_addc(t, ')');
}

const char *text_env(char *const *envp, const char *name)
{
	size_t len = mem_len(name);

	if (envp == NULL)
		return NULL;
	for (; *envp != NULL; envp++) {
		const char *e = *envp;
		size_t i = 0;

		while (i < len && e[i] == name[i])
			i++;
		if (i == len && e[i] == '=')
			return e[i + 1] != '\0' ? e + i + 1 : NULL;
	}
	return NULL;
}

int text_number(const char *str, uint64_t *ret)
{
	uint64_t n = 0;
	size_t i;

	if (str == NULL || str[0] == '\0')
		return -EINVAL;
	for (i = 0; str[i] != '\0'; i++) {
		unsigned digit = (unsigned char)str[i] - (unsigned)'0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	*ret = n;
	return 0;
}
