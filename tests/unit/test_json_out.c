/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON writer, checked by reading its output with jansson. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ctl/json_out.h"

static void test_shapes(void **state)
{
	struct kb_json_out o;

	(void)state;
	kb_json_out_init(&o, 1 << 20);
	kb_json_out_open(&o, '{');
	kb_json_put_str(&o, "s", "x");
	kb_json_put_str(&o, "n", NULL);
	kb_json_put_open(&o, "a", '[');
	kb_json_out_u64(&o, UINT64_MAX);
	kb_json_out_i64(&o, INT64_MIN);
	kb_json_out_open(&o, '{');
	kb_json_out_close(&o);
	kb_json_out_open(&o, '[');
	kb_json_out_close(&o);
	kb_json_out_bool(&o, true);
	kb_json_out_double(&o, 0.5);
	kb_json_out_double(&o, NAN);
	kb_json_out_double(&o, INFINITY);
	kb_json_out_close(&o);
	kb_json_put_bool(&o, "b", false);
	kb_json_out_close(&o);
	assert_int_equal(kb_json_out_end(&o), 0);
	kb_json_out_open(&o, '['); /* the next document begins without a comma */
	kb_json_out_close(&o);
	assert_int_equal(kb_json_out_end(&o), 0);
	assert_int_equal(o.text.len, strlen("{\"s\":\"x\",\"n\":null,\"a\":[18446744073709551615,"
					    "-9223372036854775808,{},[],true,0.5,null,null],"
					    "\"b\":false}\n[]\n"));
	assert_memory_equal(o.text.buf,
			    "{\"s\":\"x\",\"n\":null,\"a\":[18446744073709551615,"
			    "-9223372036854775808,{},[],true,0.5,null,null],"
			    "\"b\":false}\n[]\n",
			    o.text.len);
	kb_json_out_fini(&o);
}

/* Every string of up to three bytes from a set that has all kinds, written, is read
 * back as itself when it is UTF-8, and as something valid when not. */
static void test_strings(void **state)
{
	static const unsigned char set[] = {0,	  1,	'\n', ' ',  '"',  '/',	'\\', 'a',  0x7e,
					    0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
					    0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};
	struct kb_json_out o;
	char s[4] = "";

	(void)state;
	kb_json_out_init(&o, 1 << 20);
	for (size_t n = 0; n < sizeof(set) * sizeof(set) * sizeof(set); n++) {
		json_t *back, *plain;

		s[0] = (char)set[n % sizeof(set)];
		s[1] = (char)set[n / sizeof(set) % sizeof(set)];
		s[2] = (char)set[n / sizeof(set) / sizeof(set)];
		kb_json_out_reset(&o);
		kb_json_out_strn(&o, s, 3);
		assert_int_equal(kb_json_out_end(&o), 0);
		assert_ptr_equal(memchr(o.text.buf, '\n', o.text.len), o.text.buf + o.text.len - 1);
		back = json_loadb(o.text.buf, o.text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		assert_non_null(back);
		plain = json_stringn(s, 3); /* NULL unless valid UTF-8 */
		if (plain)
			assert_true(json_equal(plain, back));
		json_decref(plain);
		json_decref(back);
	}
	kb_json_out_fini(&o);
}

static void test_limit(void **state)
{
	struct kb_json_out o;

	(void)state;
	kb_json_out_init(&o, 8);
	kb_json_out_str(&o, "12345678");
	kb_json_out_reset(&o);
	kb_json_out_str(&o, "12345678");
	assert_int_equal(o.text.error, -EMSGSIZE);
	kb_json_out_str(&o, "");
	assert_int_equal(kb_json_out_end(&o), -EMSGSIZE);
	assert_true(o.text.len <= 8);
	kb_json_out_reset(&o);
	kb_json_out_str(&o, "12345");
	assert_int_equal(kb_json_out_end(&o), 0);
	assert_int_equal(o.text.len, 8);
	kb_json_out_fini(&o);
}

static void test_growth(void **state)
{
	struct kb_json_out o;
	json_t *back;

	(void)state;
	kb_json_out_init(&o, 1 << 24);
	kb_json_out_open(&o, '[');
	for (unsigned int i = 0; i < 100000; i++)
		kb_json_out_u64(&o, i);
	kb_json_out_close(&o);
	assert_int_equal(kb_json_out_end(&o), 0);
	back = json_loadb(o.text.buf, o.text.len, 0, NULL);
	assert_int_equal(json_array_size(back), 100000);
	json_decref(back);
	kb_json_out_fini(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
