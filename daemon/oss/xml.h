/*
 * xml.h - expat with the bounds that answers from a network need: no document
 * type, no deep nesting, no endless text.  Names come without their prefix.
 */
#ifndef DAEMON_OSS_XML_H
#define DAEMON_OSS_XML_H

#include <stddef.h>

#define XML_DEPTH_MAX 8
#define XML_TEXT_MAX  8192 /* of one element */

struct xml_events {
	/* depth 1 is the root.  A negative errno ends the parse with it. */
	int (*on_start)(const char *name, int depth, void *arg);
	/* The text between start and end, children's not included; no NUL follows. */
	int (*on_end)(const char *name, int depth, const char *text, size_t len, void *arg);
};

/*
 * 0; what a callback returned; -EPROTO with a reason in err; -ENOMEM.
 * The document must be whole.
 */
int xml_parse(const void *xml, size_t len, const struct xml_events *events, void *arg, char *err,
	      size_t err_len);

#endif
