// SPDX-License-Identifier: Apache-2.0
/* Which network cards --xdp takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/datapath/nic.h"

static void test_judge(void **state)
{
	static const struct {
		struct kb_nic nic;
		enum kb_nic_verdict verdict;
		const char *names; /* what the text has to name, NULL: no text */
	} rows[] = {
		{{"ice", false, ""}, KB_NIC_GOOD, NULL},
		{{"veth", true, ""}, KB_NIC_GOOD, NULL},
		{{"ice", false, "eth7.100"}, KB_NIC_GOOD, NULL},
		{{"ice", true, "eth7.100"}, KB_NIC_BAD, "eth7.100"},
		{{"ice", true, "eth7.100"}, KB_NIC_BAD, "ethtool -K eth7 rxvlan off"},
		{{"bonding", false, ""}, KB_NIC_BAD, "cards of the bond"},
		{{"hv_netvsc", false, ""}, KB_NIC_BAD, "virtual function"},
		{{"e1000e", false, ""}, KB_NIC_UNKNOWN, "e1000e"},
		{{"", false, ""}, KB_NIC_UNKNOWN, "none"},
		/* Names are compared whole. */
		{{"ice2", false, ""}, KB_NIC_UNKNOWN, "ice2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[128];

		if (kb_nic_judge(&rows[i].nic, "eth7", text, sizeof(text)) != rows[i].verdict)
			fail_msg("row %zu: verdict", i);
		if (rows[i].names ? !strstr(text, rows[i].names) : *text)
			fail_msg("row %zu: \"%s\"", i, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
