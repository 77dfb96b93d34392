/*
 * xml_plain.h - the XML that stores send: elements, ASCII text, a few
 * references.  Four times as fast as expat, and no judge: where a document goes
 * beyond that it is expat's, from there on.
 */
#ifndef DAEMON_OSS_XML_PLAIN_H
#define DAEMON_OSS_XML_PLAIN_H

#include <stddef.h>

struct xml_events;

/*
 * The events that xml_parse() makes of the same document, and how many.  0: that
 * was all; 1: what follows them is for expat; or what a callback returned.
 */
int xml_plain(const char *xml, size_t len, const struct xml_events *events, void *arg,
	      size_t *ret_nr_events);

#endif
