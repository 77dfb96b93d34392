#include "test/server/srv_synth.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PERIOD_BYTES ((size_t)SYNTH_PERIOD * SYNTH_PAGE)
#define RUN_PAGES    (SYNTH_TAG_PAGES - 1)

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int pattern_fd = -1;
static const unsigned char *pattern;

/* For CRCs: of the first i pages, and "append one page", "append a run". */
static struct crc_plan {
	uint64_t before[SYNTH_PERIOD + 1];
	struct srv_crc_shift page;
	struct srv_crc_shift run;
} plans[SRV_CRC_KINDS];

static void init_plan(enum srv_crc_kind kind)
{
	struct crc_plan *plan = &plans[kind];
	size_t i;

	for (i = 0; i < SYNTH_PERIOD; i++)
		plan->before[i + 1] =
			srv_crc_update(kind, plan->before[i], pattern + i * SYNTH_PAGE, SYNTH_PAGE);
	srv_crc_shift_init(kind, &plan->page, SYNTH_PAGE);
	srv_crc_shift_init(kind, &plan->run, (uint64_t)RUN_PAGES * SYNTH_PAGE);
}

static void start(void)
{
	uint64_t *words;
	size_t i;

	pattern_fd = memfd_create("ossstore-pattern", MFD_CLOEXEC);
	if (pattern_fd == -1 || ftruncate(pattern_fd, (off_t)PERIOD_BYTES) == -1)
		abort();
	words = mmap(NULL, PERIOD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, pattern_fd, 0);
	if (words == MAP_FAILED)
		abort();
	for (i = 0; i < PERIOD_BYTES / 8; i++)
		words[i] = synth_mix(i);
	pattern = (const unsigned char *)words;
	init_plan(SRV_CRC_XZ);
	init_plan(SRV_CRC_NVME);
}

void srv_synth_start(void)
{
	pthread_once(&once, start);
}

void srv_synth_run(uint64_t seed, uint64_t offset, uint64_t want, struct srv_synth_run *ret)
{
	uint64_t page = offset / SYNTH_PAGE;
	uint64_t in_page = offset % SYNTH_PAGE;
	uint64_t in_tag = page % SYNTH_TAG_PAGES;
	uint64_t at, pages;

	if (in_tag == 0) {
		ret->fd = -1;
		ret->fd_offset = 0;
		ret->p = NULL;
		ret->len = SYNTH_PAGE - in_page;
	} else {
		at = synth_pattern_page(seed, page);
		pages = SYNTH_TAG_PAGES - in_tag;
		if (pages > SYNTH_PERIOD - at)
			pages = SYNTH_PERIOD - at;
		ret->fd = pattern_fd;
		ret->fd_offset = (off_t)(at * SYNTH_PAGE + in_page);
		ret->p = pattern + ret->fd_offset;
		ret->len = pages * SYNTH_PAGE - in_page;
	}
	if (ret->len > want)
		ret->len = want;
}

/* Append pages [at, at + nr) of the pattern, wrapping round. */
static uint64_t append_pages(enum srv_crc_kind kind, uint64_t crc, uint64_t at, uint64_t nr)
{
	const struct crc_plan *plan = &plans[kind];

	while (nr > 0) {
		uint64_t take = nr < SYNTH_PERIOD - at ? nr : SYNTH_PERIOD - at;
		uint64_t sum = crc ^ plan->before[at];

		/* crc(A || B) = shift(crc(A)) ^ crc(B), and crc(B) follows from two prefixes. */
		if (take == RUN_PAGES)
			sum = srv_crc_shift(&plan->run, sum);
		else
			sum = srv_crc_combine(kind, sum, 0, take * SYNTH_PAGE);
		crc = sum ^ plan->before[at + take];
		at = (at + take) % SYNTH_PERIOD;
		nr -= take;
	}
	return crc;
}

uint64_t srv_synth_crc(enum srv_crc_kind kind, uint64_t seed, uint64_t size)
{
	unsigned char page[SYNTH_PAGE];
	uint64_t crc = 0, nr = size / SYNTH_PAGE, i = 0, run;

	while (i < nr) {
		if (i % SYNTH_TAG_PAGES == 0) {
			synth_fill(seed, i * SYNTH_PAGE, page, sizeof(page));
			crc = srv_crc_update(kind, crc, page, sizeof(page));
			i++;
		} else {
			run = SYNTH_TAG_PAGES - i % SYNTH_TAG_PAGES;
			if (run > nr - i)
				run = nr - i;
			crc = append_pages(kind, crc, synth_pattern_page(seed, i), run);
			i += run;
		}
	}
	if (size % SYNTH_PAGE != 0) {
		synth_fill(seed, nr * SYNTH_PAGE, page, size % SYNTH_PAGE);
		crc = srv_crc_update(kind, crc, page, size % SYNTH_PAGE);
	}
	return crc;
}
