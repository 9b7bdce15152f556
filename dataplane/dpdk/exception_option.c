// SPDX-License-Identifier: Apache-2.0
/* See exception_option.h. */
#include "dataplane/dpdk/exception_option.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define NUMBER	      "%d"
#define NUMBER_DIGITS 5 /* of a uint16_t */

/* What the kernel takes as a name (dev_valid_name()), with one NUMBER at most. */
static bool name_valid(const char *name)
{
	const char *number = strchr(name, '%');
	size_t len = strlen(name) + (number ? NUMBER_DIGITS - strlen(NUMBER) : 0);

	if (!*name || len >= IF_NAMESIZE || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (number && (strncmp(number, NUMBER, 2) != 0 || strchr(number + 1, '%')))
		return false;
	for (; *name; name++) {
		if (*name == '/' || *name == ':' || !isgraph((unsigned char)*name))
			return false;
	}
	return true;
}

int kb_exception_option_parse(const char *text, struct kb_exception_option *ret)
{
	static const char *const hows[] = {[KB_EXCEPTION_NONE] = "none",
					   [KB_EXCEPTION_AUTO] = "auto",
					   [KB_EXCEPTION_TAP] = "tap"};
	size_t len = strcspn(text, "=");
	const char *name = text[len] ? text + len + 1 : "kbdns" NUMBER;

	for (unsigned int i = 0; i < sizeof(hows) / sizeof(*hows); i++) {
		if (strlen(hows[i]) != len || strncmp(hows[i], text, len) != 0)
			continue;
		if (!name_valid(name) || (i == KB_EXCEPTION_NONE && text[len]))
			return -EINVAL;
		ret->how = i;
		snprintf(ret->name, sizeof(ret->name), "%s", name);
		return 0;
	}
	return -EINVAL;
}

bool kb_exception_wanted(const struct kb_exception_option *o, bool kernel_sees)
{
	return o->how == KB_EXCEPTION_TAP || (o->how == KB_EXCEPTION_AUTO && !kernel_sees);
}

void kb_exception_name(const struct kb_exception_option *o, uint16_t port, char ret[16])
{
	const char *number = strstr(o->name, NUMBER);
	size_t before = number ? (size_t)(number - o->name) : strlen(o->name);

	snprintf(ret, 16, "%.*s", (int)before, o->name);
	if (number)
		snprintf(ret + before, 16 - before, "%u%s", port, number + strlen(NUMBER));
}
