/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/cmd_tune.h"

#include <errno.h>
#include <string.h>

static void put_row(struct kb_json_out *out, const struct kb_options *options,
		    const struct kb_option *row)
{
	char text[256];

	kb_json_out_open(out, '{');
	kb_json_put_str(out, "key", row->name);
	kb_options_format(options, row, text, sizeof(text));
	kb_json_put_str(out, "value", text);
	kb_json_put_str(out, "default", row->def);
	kb_options_expect(row, text, sizeof(text));
	kb_json_put_str(out, "takes", text);
	kb_json_put_str(out, "effect", row->flags & KB_OPT_LIVE ? "live" : "restart");
	kb_json_put_str(out, "help", row->help);
	kb_json_out_close(out);
}

static int set(struct kb_options *options, const char *key, const char *value,
	       struct kb_ctl_reply *reply, int (*apply)(void *arg, const struct kb_option *row),
	       void *arg)
{
	const struct kb_option *row = kb_options_find(key);
	char old[256], ignored[64];
	int r;

	if (row)
		kb_options_format(options, row, old, sizeof(old));
	r = kb_options_tune(options, key, value, &row, reply->error, sizeof(reply->error));
	if (r < 0)
		return r;
	r = apply(arg, row);
	if (r == 0)
		return 0;
	kb_options_tune(options, key, old, NULL, ignored, sizeof(ignored));
	if (*reply->error)
		return r;
	return kb_ctl_fail(reply, r, "%s: could not be changed: %s", row->name, strerror(-r));
}

int kb_ctl_tune(struct kb_options *options, int argc, char **argv, struct kb_ctl_reply *reply,
		int (*apply)(void *arg, const struct kb_option *row), void *arg)
{
	const struct kb_option *rows, *only = NULL;
	char *equals = argc > 1 ? strchr(argv[1], '=') : NULL;
	size_t n;
	int r;

	if (equals) {
		*equals = '\0';
		r = set(options, argv[1], equals + 1, reply, apply, arg);
		if (r < 0)
			return r;
	}
	if (argc > 1) {
		only = kb_options_find(argv[1]);
		if (!only || !(only->flags & KB_OPT_TUNABLE))
			return kb_ctl_fail(reply, -ENOENT,
					   "%.64s: no such tunable, `kbdnsctl tune` lists them",
					   argv[1]);
	}
	rows = kb_options_rows(&n);
	kb_json_put_open(&reply->out, "tunables", '[');
	for (size_t i = 0; i < n; i++) {
		if (only ? only == &rows[i] : rows[i].flags & KB_OPT_TUNABLE)
			put_row(&reply->out, options, &rows[i]);
	}
	kb_json_out_close(&reply->out);
	return 0;
}
