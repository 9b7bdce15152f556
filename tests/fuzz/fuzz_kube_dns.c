/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kube-dns ConfigMap: whatever a key holds, it becomes rules that routes can be made of, or an
 * error of one line.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/kube_dns.h"
#include "tests/fuzz/make_routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kb_label entry = {"stubDomains", NULL};
	struct kb_kube_dns config;
	char err[512] = "", *text;
	int r;

	if (!size)
		return 0;
	text = malloc(size);
	if (!text)
		abort();
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] & 1)
		entry.key = "upstreamNameservers";
	entry.value = text;
	r = kb_kube_dns_parse("fuzz", &entry, 1, &config, err, sizeof(err));
	if ((r < 0) != (*err != '\0'))
		abort();
	if (r == 0) {
		make_routes(&config.rules);
		kb_kube_dns_free(&config);
	}
	free(text);
	return 0;
}
