/*
 * srv_json.h - reads what tests send to the control URL: one flat object, or an array of flat
 * objects.  Values are strings, numbers, true, false and null; nothing nests.
 */
#ifndef TEST_SERVER_SRV_JSON_H
#define TEST_SERVER_SRV_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SRV_JSON_MEMBERS 32

enum srv_json_kind {
	SRV_JSON_NULL = 0,
	SRV_JSON_STRING,
	SRV_JSON_NUMBER,
	SRV_JSON_BOOL,
};

struct srv_json_member {
	const char *name;
	enum srv_json_kind kind;
	const char *text; /* of a string or a number */
	size_t len;
	double number;
	bool truth;
};

struct srv_json {
	struct srv_json_member members[SRV_JSON_MEMBERS];
	size_t nr;
};

/*
 * Cuts up text (which must end in a NUL) and calls each() once an object.  NULL on success, else
 * what is wrong: the parser's own words or what each() returned.
 */
typedef const char *srv_json_each(const struct srv_json *o, void *arg);
const char *srv_json_read(char *text, srv_json_each *each, void *arg);

const struct srv_json_member *srv_json_find(const struct srv_json *o, const char *name);
/* The fallback where there is no such member or it is of another kind. */
const char *srv_json_str(const struct srv_json *o, const char *name, const char *fallback);
double srv_json_num(const struct srv_json *o, const char *name, double fallback);
int64_t srv_json_int(const struct srv_json *o, const char *name, int64_t fallback);
bool srv_json_bool(const struct srv_json *o, const char *name, bool fallback);

#endif
