#include "libclient/preload/conf.h"

#include "libclient/core/text.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

static bool starts_with(const char *s, const char *prefix)
{
	while (*prefix != '\0')
		if (*s++ != *prefix++)
			return false;
	return true;
}

/* Take "//", "/./" and a slash at its end out of an absolute path.  The length; 0: unusable. */
static size_t tidy(char *path)
{
	const char *in = path;
	char *out = path;

	while (*in != '\0') {
		while (*in == '/' || (in[0] == '.' && (in[1] == '/' || in[1] == '\0')))
			in++;
		if (*in == '\0')
			break;
		*out++ = '/'; /* at least one was skipped: `out` stays behind */
		while (*in != '\0' && *in != '/')
			*out++ = *in++;
	}
	*out = '\0';
	return out - path < PATH_MAX ? (size_t)(out - path) : 0;
}

static const char *judge(struct conf *c, char *model_dir, const char *wait)
{
	uint64_t seconds = CONF_WAIT_SEC;

	if (model_dir == NULL)
		return "ENABLE_CONNECTOR is set but MODEL_DIR is not: set it to the directory that "
		       "shall show the files";
	if (model_dir[0] != '/')
		return "MODEL_DIR must be an absolute path";
	c->model_dir = model_dir;
	c->model_dir_len = tidy(model_dir);
	if (c->model_dir_len == 0)
		return "MODEL_DIR must name a directory below /, in fewer than 4096 bytes";
	if (c->oss_path == NULL)
		return "ENABLE_CONNECTOR is set but OSS_PATH is not: set it to "
		       "oss://bucket/prefix/ or s3://bucket/prefix/";
	if (!starts_with(c->oss_path, "oss://") && !starts_with(c->oss_path, "s3://"))
		return "OSS_PATH must begin with oss:// or s3://";
	if ((c->access_key != NULL) != (c->secret != NULL))
		return "OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET belong together: set both or "
		       "neither";
	if (wait != NULL && (text_number(wait, &seconds) != 0 || seconds == 0 || seconds > 86400))
		return "OSSC_WAIT_SEC must be a number of seconds from 1 to 86400";
	c->wait_ms = (unsigned)seconds * 1000;
	return NULL;
}

void conf_read(char *const *envp, struct conf *c, const char **ret_wrong)
{
	const char *enable = text_env(envp, "ENABLE_CONNECTOR");

	*ret_wrong = NULL;
	c->role = CONF_OFF;
	c->model_dir_len = 0;
	if (enable == NULL || (enable[0] == '0' && enable[1] == '\0'))
		return;
	if ((enable[0] != '1' && enable[0] != '2') || enable[1] != '\0') {
		*ret_wrong = "ENABLE_CONNECTOR must be 1 (primary), 2 (secondary) or 0 (off)";
		return;
	}
	c->oss_path = text_env(envp, "OSS_PATH");
	c->endpoint = text_env(envp, "OSS_ENDPOINT");
	c->region = text_env(envp, "OSS_REGION");
	c->access_key = text_env(envp, "OSS_ACCESS_KEY_ID");
	c->secret = text_env(envp, "OSS_ACCESS_KEY_SECRET");
	c->token = text_env(envp, "OSS_SESSION_TOKEN");
	c->sources = text_env(envp, "HTTP_SOURCE_IP");
	*ret_wrong = judge(c, (char *)(uintptr_t)text_env(envp, "MODEL_DIR"),
			   text_env(envp, "OSSC_WAIT_SEC"));
	if (*ret_wrong == NULL)
		c->role = enable[0] == '1' ? CONF_PRIMARY : CONF_SECONDARY;
	else
		c->model_dir_len = 0;
}
