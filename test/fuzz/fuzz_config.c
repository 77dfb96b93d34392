/* The configuration, as YAML or JSON: whatever the text, the values stay inside their rows. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "daemon/config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void count(bool is_error, const char *text, void *arg)
{
	unsigned *nr_errors = arg;

	if (text[0] == '\0' || strchr(text, '\n') != NULL)
		abort(); /* a fault is one line */
	*nr_errors += is_error;
}

/* What was read, printed and read again, is the same. */
static void check_round_trip(const struct settings *s)
{
	struct settings *again = settings_new();
	struct strbuf text;
	unsigned nr_errors = 0, i;

	strbuf_init(&text, 1 << 20);
	conf_print(s->conf, &text);
	if (strbuf_error(&text) == 0) {
		if (conf_load_text(again->conf, "again", strbuf_str(&text), strbuf_len(&text),
				   count, &nr_errors) != 0)
			abort();
		for (i = 0; i < conf_nr_keys(s->conf); i++)
			if (strcmp(conf_text_at(s->conf, i), conf_text_at(again->conf, i)) != 0)
				abort();
	}
	strbuf_fini(&text);
	settings_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct settings *s = settings_new();
	unsigned nr_errors = 0;

	if (conf_load_text(s->conf, "fuzz", (const char *)bytes, len, count, &nr_errors) !=
	    nr_errors)
		abort(); /* an error that nobody heard of */
	if (s->log.level > 3 || s->mount.prefetch_vcpus < 1 || s->mount.prefetch_vcpus > 256 ||
	    (s->cache.chunk_size & (s->cache.chunk_size - 1)) != 0 ||
	    s->cache.verify > SETTINGS_VERIFY_STRICT || s->socket.mode > 0777)
		abort();
	check_round_trip(s);
	settings_free(s);
	return 0;
}
