/*
 * report.h - the daemon's state as tables, for `ossc status`: from its JSON, and
 * from the one before it, for rates.  Prints; asks nobody.
 */
#ifndef LIBCLIENT_CLI_REPORT_H
#define LIBCLIENT_CLI_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#define REPORT_NAME_WIDTH 44 /* of the first column, where there is room */

struct report {
	FILE *out;
	const char *json;
	const char *before; /* NULL: no rates */
	double seconds;	    /* between the two */
	int name_width;	    /* of the first column; longer names are cut to it if `cut` */
	bool cut;
};

void report_print(const struct report *r);

#endif
