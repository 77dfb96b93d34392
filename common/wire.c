#include "common/wire.h"

#include <errno.h>

int wire_pack(void *buf, size_t cap, size_t fixed, uint16_t *len, const struct wire_str *strings,
	      unsigned nr)
{
	char *out = (char *)buf + fixed;
	size_t room;
	unsigned i, k;

	if (cap < fixed)
		return -EMSGSIZE;
	room = cap - fixed;
	for (i = 0; i < nr; i++) {
		if (strings[i].len > room)
			return -EMSGSIZE;
		for (k = 0; k < strings[i].len; k++)
			out[k] = strings[i].s[k];
		len[i] = strings[i].len;
		out += strings[i].len;
		room -= strings[i].len;
	}
	return (int)(cap - room);
}

int wire_unpack(const void *buf, size_t msg_len, size_t fixed, const uint16_t *len,
		struct wire_str *ret_strings, unsigned nr)
{
	const char *in = (const char *)buf + fixed;
	size_t total = fixed;
	unsigned i;

	for (i = 0; i < nr; i++)
		total += len[i];
	if (total != msg_len)
		return -EPROTO;
	for (i = 0; i < nr; i++) {
		ret_strings[i] = (struct wire_str){ .s = in, .len = len[i] };
		in += len[i];
	}
	return 0;
}
