// SPDX-License-Identifier: Apache-2.0
/*
 * Random packets through kbdns_tc and kbdns_xdp; and what the verifier had to process to accept
 * them.
 */
#include "tests/bpf/rows.h"
#include "tests/rows/random_rows.h"

/* A kernel refuses at a million; 6.1 needs more than newer ones, see tests/bpf/vm. */
#define VERIFIED_MAX 900000

static void test_verifier_cost(void **state)
{
	(void)state;
	FOR_EACH_ENGINE(engine)
	{
		struct bpf_prog_info info = {0};
		uint32_t len = sizeof(info);

		assert_int_equal(
			bpf_obj_get_info_by_fd(kb_datapath_prog_fd(dp, engine), &info, &len), 0);
		printf("# kbdns_%s: %u instructions, the verifier processed %u\n",
		       engine_name[engine], info.xlated_prog_len / 8, info.verified_insns);
		fflush(stdout);
		assert_in_range(info.verified_insns, 1, VERIFIED_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifier_cost),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, rows_setup, rows_teardown);
}
