/*
 * report.h - the daemon's state as tables, for `ossc status`: from its JSON, and
 * from the one before it, for rates.  Prints; asks nobody.
 */
#ifndef LIBCLIENT_CLI_REPORT_H
#define LIBCLIENT_CLI_REPORT_H

#include <stdio.h>

struct report {
	FILE *out;
	const char *json;
	const char *before; /* NULL: no rates */
	double seconds;	    /* between the two */
	int columns;	    /* names are cut so that tables fit; 0: they are not */
};

void report_print(const struct report *r);

#endif
