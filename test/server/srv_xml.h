/*
 * srv_xml.h - the little reading of XML that requests need: the elements of a flat document, by
 * name.  Attributes are skipped, entities decoded; comments, CDATA and nesting of one name inside
 * itself are not understood.
 */
#ifndef TEST_SERVER_SRV_XML_H
#define TEST_SERVER_SRV_XML_H

#include "test/server/srv_buf.h"

/* The inside of the next element of that name; moves *p and *left behind it. */
bool srv_xml_next(const char **p, size_t *left, const char *name, const char **ret_inside,
		  size_t *ret_len);
/* The decoded text of the first element of that name. */
bool srv_xml_text(const char *p, size_t len, const char *name, struct srv_buf *out);

#endif
