/*
 * conf.h - what the environment asks of the library (design: ENABLE_CONNECTOR,
 * MODEL_DIR, OSS_*, HTTP_SOURCE_IP, OSSC_WAIT_SEC), read once and judged.
 * No system call, no message.
 */
#ifndef LIBCLIENT_PRELOAD_CONF_H
#define LIBCLIENT_PRELOAD_CONF_H

#include <stddef.h>

enum conf_role {
	CONF_OFF = 0,
	CONF_PRIMARY = 1,
	CONF_SECONDARY = 2,
};

#define CONF_WAIT_SEC 60u /* a secondary waits so long for its primary */

struct conf {
	enum conf_role role;
	unsigned wait_ms;
	const char *oss_path; /* these point into the environment; NULL when absent */
	const char *endpoint;
	const char *region;
	const char *access_key;
	const char *secret;
	const char *token;
	const char *sources;
	size_t model_dir_len;
	const char *model_dir; /* absolute, without doubled and trailing slashes */
};

/*
 * envp can be written to: MODEL_DIR is tidied in place.  Sets *ret_wrong to a sentence, and the role to CONF_OFF, when the environment
 * asks for the connector but does not say enough; to NULL otherwise.
 */
void conf_read(char *const *envp, struct conf *ret, const char **ret_wrong);

#endif
