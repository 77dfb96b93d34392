/*
 * conf_internal.h - what conf.c and conf_yaml.c share.  Nobody else includes it.
 */
#ifndef DAEMON_CONFIG_CONF_INTERNAL_H
#define DAEMON_CONFIG_CONF_INTERNAL_H

#include "daemon/config/conf.h"

struct conf_value {
	const struct conf_key *key;
	void *target; /* in the section's struct */
	char *text;   /* as it was written */
	enum conf_origin origin;
	unsigned line; /* in the file being read, or the one read last; 0: not there */
};

struct conf {
	struct conf_value *values;
	unsigned nr;
};

#endif
