#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/crc64.h"
#include "test/unit/json.h"

#define BUF_SIZE (1u << 20)

struct fixture {
	struct jv *sums, *joins;
	unsigned char *buf;
};

static int setup(void **state)
{
	static struct fixture f;

	f.sums = jv_load("crc64.json");
	f.joins = jv_load("crc64_combine.json");
	f.buf = malloc(BUF_SIZE + 64);
	*state = &f;
	return f.buf != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	jv_free(f->sums);
	jv_free(f->joins);
	free(f->buf);
	return 0;
}

/* The bytes that a vector describes in words. */
static size_t make_data(const struct jv *v, unsigned char *buf)
{
	static const char sentence[] = "This is a test of the emergency broadcast system.";
	const char *name = jv_str(v, "name"), *data = jv_str(v, "data");
	size_t i, len = (size_t)jv_int(v, "length");
	uint32_t x = 1;

	assert_true(len <= BUF_SIZE);
	for (i = 0; i < len; i++) {
		x = x * 1103515245u + 12345u;
		if (strcmp(name, "lcg1m") == 0)
			buf[i] = (unsigned char)(x >> 16);
		else if (strncmp(name, "inc", 3) == 0)
			buf[i] = (unsigned char)i;
		else
			buf[i] = strncmp(name, "ff", 2) == 0 ? 0xff : 0;
	}
	if (strcmp(data, "ascii sentence of 49 bytes") == 0)
		memcpy(buf, sentence, len);
	else if (strncmp(data, "ascii ", 6) == 0)
		memcpy(buf, data + 6, len);
	return len;
}

static void test_every_published_sum_comes_out(void **state)
{
	struct fixture *f = *state;
	const struct jv *v;
	size_t len;

	jv_each(v, jv_get(f->sums, "vectors"))
	{
		len = make_data(v, f->buf);
		assert_int_equal(crc64_update(0, f->buf, len), jv_hex(v, "ecma_hex"));
		assert_int_equal(crc64_update_tables(0, f->buf, len), jv_hex(v, "ecma_hex"));
		assert_int_equal(crc64_update(0, f->buf, len),
				 strtoull(jv_str(v, "ecma_dec"), NULL, 10));
		assert_int_equal(crc64_nvme_update(0, f->buf, len), jv_hex(v, "nvme_hex"));
	}
	assert_int_equal(crc64_update(0, "123456789", 9), jv_hex(jv_get(f->sums, "ecma"), "check"));
	assert_int_equal(crc64_nvme_update(0, "123456789", 9),
			 jv_hex(jv_get(f->sums, "nvme"), "check"));
}

static void test_first_table_entries_are_those_of_the_polynomial(void **state)
{
	struct fixture *f = *state;
	const struct jv *v;
	unsigned char i = 0;

	/* From the bare register 0, one byte leaves its table entry. */
	jv_each(v, jv_get(f->sums, "table_ecma_first8"))
	{
		assert_int_equal(~crc64_update(~(uint64_t)0, &i, 1), strtoull(v->str, NULL, 16));
		i++;
	}
	assert_int_equal(i, 8);
}

static void test_any_split_length_and_alignment_gives_what_the_tables_give(void **state)
{
	struct fixture *f = *state;
	size_t len, at, cut;
	uint64_t whole;

	for (len = 0; len < BUF_SIZE; len++)
		f->buf[len] = (unsigned char)(len * 2654435761u >> 13);
	for (len = 0; len < 2400; len++) { /* 128 bits at a time, and more */
		at = len % 17;
		cut = len * 7 % (len + 1);
		whole = crc64_update_tables(0, f->buf + at, len);
		assert_int_equal(crc64_update(0, f->buf + at, len), whole);
		assert_int_equal(crc64_update(crc64_update(0, f->buf + at, cut), f->buf + at + cut,
					      len - cut),
				 whole);
		assert_int_equal(crc64_combine(crc64_update(0, f->buf + at, cut),
					       crc64_update(0, f->buf + at + cut, len - cut),
					       len - cut),
				 whole);
	}
}

static void test_sums_of_parts_join_as_published(void **state)
{
	struct fixture *f = *state;
	const struct jv *v;

	jv_each(v, jv_get(f->joins, "pairs"))
	{
		uint64_t len2 = (uint64_t)jv_int(v, "len2");

		assert_int_equal(crc64_combine(jv_hex(v, "crc1"), jv_hex(v, "crc2"), len2),
				 jv_hex(v, "combined"));
		assert_int_equal(
			crc64_nvme_combine(jv_hex(v, "nvme_crc1"), jv_hex(v, "nvme_crc2"), len2),
			jv_hex(v, "nvme_combined"));
	}
}

static void test_parts_of_an_upload_fold_to_the_object(void **state)
{
	struct fixture *f = *state;
	const struct jv *multipart = jv_get(f->joins, "multipart"), *v;
	uint64_t crc = 0;

	jv_each(v, jv_get(multipart, "parts"))
	{
		crc = crc64_combine(crc, jv_hex(v, "part_crc"), (uint64_t)jv_int(v, "part_len"));
		assert_int_equal(crc, jv_hex(v, "running"));
	}
	assert_int_equal(crc, jv_hex(multipart, "object_crc"));
}

static void test_zeros_shift_a_sum_as_published(void **state)
{
	struct fixture *f = *state;
	const uint64_t one = (uint64_t)1 << 63; /* the polynomial 1, lowest power first */
	const struct jv *v;

	jv_each(v, jv_get(f->joins, "shift_operators"))
	{
		uint64_t n = strtoull(jv_str(v, "zero_bytes"), NULL, 10);
		uint64_t shifted = crc64_combine(one, 0, n);

		assert_int_equal(shifted, jv_hex(v, "x_pow_8n_mod_p_reflected"));
		/* Zeros from the register of all ones, inverted at the end. */
		assert_int_equal(~crc64_combine(~(uint64_t)0, 0, n),
				 jv_hex(v, "crc_of_n_zero_bytes"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_published_sum_comes_out),
		cmocka_unit_test(test_first_table_entries_are_those_of_the_polynomial),
		cmocka_unit_test(test_any_split_length_and_alignment_gives_what_the_tables_give),
		cmocka_unit_test(test_sums_of_parts_join_as_published),
		cmocka_unit_test(test_parts_of_an_upload_fold_to_the_object),
		cmocka_unit_test(test_zeros_shift_a_sum_as_published),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
