/*
 * list_xml.h - one page of a listing, from XML to plain values.  Takes
 * ListObjects and ListObjectsV2 of OSS and S3; refuses what is not whole.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_LIST_XML_H
#define DAEMON_OSS_LIST_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/oss/endpoint.h"

#define LIST_PAGE_MAX_BYTES   (16u << 20) /* of one page's XML */
#define LIST_PAGE_MAX_ENTRIES 20000	  /* stores may give more than the 1000 that we ask for */

struct list_entry {
	const char *key; /* decoded; no NUL inside */
	size_t key_len;
	uint64_t size;
	int64_t mtime;	     /* unix seconds */
	const char *etag;    /* without quotes, case as sent; "" if not told */
	const char *type;    /* Normal, Multipart, Appendable, Symlink; "" on S3 */
	const char *class;   /* storage class; "" if not told */
	const char *restore; /* RestoreInfo; "" if not told */
};

struct list_page {
	struct list_entry *entries;
	size_t nr_entries;
	const char **prefixes; /* common prefixes, decoded */
	size_t nr_prefixes;
	const char *beyond; /* the first key left out, see oss_list_set_last(); NULL: none */
	bool is_truncated;
	const char *next_token; /* NULL: none */
	const char
		*next_marker; /* V1: as told, or the last key where S3 leaves it out; NULL: none */
	int64_t key_count;    /* -1: not told */
	struct list_arena *arena; /* owns every string above */
};

/*
 * 0; -EPROTO with a sentence in err that names what was wrong; -ENOMEM.
 * On success the page must be ended by list_page_fini().
 */
int list_xml_parse(const void *xml, size_t len, enum oss_dialect dialect,
		   struct list_page *ret_page, char *err, size_t err_len);
void list_page_fini(struct list_page *page);

#endif
