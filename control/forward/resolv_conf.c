/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/resolv_conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINES_MAX 1000 /* then it is something else */

static void take(struct kb_resolv_conf *conf, const char *text)
{
	struct kb_addr_port at;

	memset(&at, 0, sizeof(at)); /* compared as bytes */
	at.port = 53;
	if (conf->n == KB_STUB_ADDRS_MAX || kb_parse_addr(text, &at.addr) < 0)
		return;
	for (size_t i = 0; i < conf->n; i++) {
		if (memcmp(&conf->at[i], &at, sizeof(at)) == 0)
			return;
	}
	conf->at[conf->n++] = at;
}

int kb_resolv_conf_read(const char *path, struct kb_resolv_conf *ret)
{
	struct kb_resolv_conf conf = {0};
	char line[512], word[64], addr[128];
	FILE *f = fopen(path, "re");
	int r = 0;

	if (!f)
		return -errno;
	if (fstat(fileno(f), &conf.seen) < 0)
		r = -errno;
	for (int i = 0; r == 0 && i < LINES_MAX && fgets(line, sizeof(line), f); i++) {
		if (sscanf(line, " %63s %127s", word, addr) == 2 && strcmp(word, "nameserver") == 0)
			take(&conf, addr);
	}
	if (ferror(f))
		r = -EIO;
	fclose(f);
	ret->seen = conf.seen;
	if (r == 0)
		*ret = conf;
	return r;
}

bool kb_resolv_conf_changed(const char *path, const struct kb_resolv_conf *conf)
{
	struct stat st;

	return stat(path, &st) == 0 &&
	       (st.st_ino != conf->seen.st_ino || st.st_dev != conf->seen.st_dev ||
		st.st_size != conf->seen.st_size ||
		st.st_mtim.tv_sec != conf->seen.st_mtim.tv_sec ||
		st.st_mtim.tv_nsec != conf->seen.st_mtim.tv_nsec);
}
