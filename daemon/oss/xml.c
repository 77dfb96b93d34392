#include "daemon/oss/xml.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <expat.h>

#include "daemon/oss/xml_plain.h"

struct parse {
	XML_Parser parser;
	const struct xml_events *events;
	void *arg;
	char *err;
	size_t err_len;
	int result;
	int depth;
	size_t nr_told; /* events that xml_plain() has made already, and are not made again */
	/* Text of the innermost open element; a child's start throws away what came before. */
	char text[XML_TEXT_MAX];
	size_t text_len;
};

static void stop(struct parse *p, int error, const char *reason)
{
	if (p->result != 0)
		return;
	p->result = error;
	if (reason != NULL)
		snprintf(p->err, p->err_len, "%s", reason);
	XML_StopParser(p->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon != NULL ? colon + 1 : name;
}

static void XMLCALL on_start(void *arg, const char *name, const char **attributes)
{
	struct parse *p = arg;
	int r;

	(void)attributes;
	if (p->result != 0)
		return;
	if (++p->depth > XML_DEPTH_MAX) {
		stop(p, -EPROTO, "the XML is nested too deeply");
		return;
	}
	p->text_len = 0;
	if (p->nr_told != 0) {
		p->nr_told--;
		return;
	}
	r = p->events->on_start != NULL ? p->events->on_start(local_name(name), p->depth, p->arg)
					: 0;
	if (r != 0)
		stop(p, r, NULL);
}

static void XMLCALL on_end(void *arg, const char *name)
{
	struct parse *p = arg;
	int r = 0;

	if (p->result != 0)
		return;
	if (p->nr_told != 0)
		p->nr_told--;
	else
		r = p->events->on_end(local_name(name), p->depth, p->text, p->text_len, p->arg);
	p->text_len = 0;
	p->depth--;
	if (r != 0)
		stop(p, r, NULL);
}

static void XMLCALL on_text(void *arg, const char *text, int len)
{
	struct parse *p = arg;

	if (p->result != 0)
		return;
	if ((size_t)len > XML_TEXT_MAX - p->text_len) {
		stop(p, -EPROTO, "an element of the XML is too long");
		return;
	}
	memcpy(p->text + p->text_len, text, (size_t)len);
	p->text_len += (size_t)len;
}

/* Entities can only be made there: without them nothing expands. */
static void XMLCALL on_doctype(void *arg, const char *name, const char *system_id,
			       const char *public_id, int has_subset)
{
	(void)name;
	(void)system_id;
	(void)public_id;
	(void)has_subset;
	stop(arg, -EPROTO, "the XML has a document type, which no store sends");
}

int xml_parse(const void *xml, size_t len, const struct xml_events *events, void *arg, char *err,
	      size_t err_len)
{
	struct parse p = { .events = events, .arg = arg, .err = err, .err_len = err_len };

	if (len > INT_MAX) {
		snprintf(err, err_len, "the XML is too long");
		return -EPROTO;
	}
	p.result = xml_plain(xml, len, events, arg, &p.nr_told);
	if (p.result <= 0)
		return p.result;
	p.result = 0;
	p.parser = XML_ParserCreate(NULL);
	if (p.parser == NULL)
		return -ENOMEM;
	XML_SetUserData(p.parser, &p);
	XML_SetElementHandler(p.parser, on_start, on_end);
	XML_SetCharacterDataHandler(p.parser, on_text);
	XML_SetStartDoctypeDeclHandler(p.parser, on_doctype);
	if (XML_Parse(p.parser, xml, (int)len, 1) != XML_STATUS_OK && p.result == 0) {
		enum XML_Error code = XML_GetErrorCode(p.parser);

		if (code == XML_ERROR_NO_MEMORY) {
			p.result = -ENOMEM;
		} else {
			snprintf(err, err_len, "line %lu of the XML: %s",
				 (unsigned long)XML_GetCurrentLineNumber(p.parser),
				 XML_ErrorString(code));
			p.result = -EPROTO;
		}
	}
	XML_ParserFree(p.parser);
	return p.result;
}
