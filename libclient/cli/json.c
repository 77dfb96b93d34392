/* Finding values in the daemon's JSON.  Malformed text finds nothing. */
#include "libclient/cli/cli.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64u

static const char *skip_space(const char *s)
{
	while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')
		s++;
	return s;
}

/* Behind a string that starts at its quote; NULL when it does not end. */
static const char *skip_string(const char *s)
{
	for (s++; *s != '\0'; s++) {
		if (*s == '\\' && s[1] != '\0')
			s++;
		else if (*s == '"')
			return s + 1;
	}
	return NULL;
}

/* Behind a value of any kind; NULL when it does not end. */
static const char *skip_value(const char *s)
{
	unsigned depth = 0;

	s = skip_space(s);
	do {
		switch (*s) {
		case '\0':
			return NULL;
		case '"':
			s = skip_string(s);
			if (s == NULL)
				return NULL;
			break;
		case '{':
		case '[':
			if (++depth > MAX_DEPTH)
				return NULL;
			s++;
			break;
		case '}':
		case ']':
			depth--;
			s++;
			break;
		default:
			s += depth > 0 ? 1 : strcspn(s, ",]} \t\r\n");
			break;
		}
	} while (depth > 0);
	return s;
}

static const char *member(const char *object, const char *name, size_t len)
{
	const char *s = skip_space(object);

	if (*s != '{')
		return NULL;
	s = skip_space(s + 1);
	while (*s == '"') {
		const char *end = skip_string(s), *value;
		bool found = end != NULL && (size_t)(end - s) == len + 2 &&
			     memcmp(s + 1, name, len) == 0;

		if (end == NULL)
			return NULL;
		value = skip_space(end);
		if (*value != ':')
			return NULL;
		value = skip_space(value + 1);
		if (found)
			return value;
		s = skip_value(value);
		if (s == NULL)
			return NULL;
		s = skip_space(s);
		if (*s == ',')
			s = skip_space(s + 1);
	}
	return NULL;
}

const char *json_find(const char *value, const char *path)
{
	while (value != NULL && *path != '\0') {
		size_t len = strcspn(path, ".");

		value = member(value, path, len);
		path += len + (path[len] == '.');
	}
	return value;
}

const char *json_first(const char *array)
{
	if (array == NULL)
		return NULL;
	array = skip_space(array);
	if (*array != '[')
		return NULL;
	array = skip_space(array + 1);
	return *array != ']' && *array != '\0' ? array : NULL;
}

const char *json_next(const char *element)
{
	const char *s = skip_value(element);

	if (s == NULL)
		return NULL;
	s = skip_space(s);
	return *s == ',' ? skip_space(s + 1) : NULL;
}

uint64_t json_number(const char *value)
{
	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

bool json_is_true(const char *value)
{
	return value != NULL && strncmp(value, "true", 4) == 0;
}

const char *json_text(const char *value, char *buf, size_t cap)
{
	size_t len = 0;

	if (value != NULL && *value == '"') {
		for (value++; *value != '\0' && *value != '"' && len + 1 < cap; value++) {
			if (*value == '\\' && value[1] != '\0')
				value++;
			buf[len++] = *value;
		}
	}
	buf[len] = '\0';
	return buf;
}
