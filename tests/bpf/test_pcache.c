// SPDX-License-Identifier: Apache-2.0
/* The packet-path cache in kbdns_tc and kbdns_xdp, see pcache_rows.h. */
#include "tests/bpf/rows.h"
#include "tests/rows/pcache_rows.h"

static int rows_pcache(struct kb_pcache_backing *ret_backing)
{
	return kb_datapath_pcache(dp, ret_backing);
}

static void rows_clock(uint64_t *ret_ms, uint64_t *ret_jiffies, uint32_t *ret_hz)
{
	kb_datapath_clock(dp, ret_ms, ret_jiffies, ret_hz);
}

static void rows_grace(void)
{
	backing.grace(backing.arg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {PCACHE_ROWS};

	return cmocka_run_group_tests(tests, pcache_setup, pcache_teardown);
}
