/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The --config file: a YAML mapping whose keys are the options' names, for
 * repeatable options with a list of values.
 *
 *	cluster-domain: [cluster.local, corp.example]
 *	listen:
 *	  - 169.254.20.10
 *	ttl: 30
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "control/config/options_private.h"

#define FILE_MAX (1 << 20)

struct reader {
	struct kb_options *o; /* borrowed */
	const char *path;     /* borrowed */
	yaml_parser_t parser;
	yaml_event_t event; /* owned while has_event */
	bool has_event;
	bool seen[KB_OPTIONS_ROWS_MAX];
	char *err;
	size_t err_size;
};

static size_t line_of(const struct reader *rd)
{
	return rd->event.start_mark.line + 1;
}

static int next_event(struct reader *rd)
{
	if (rd->has_event)
		yaml_event_delete(&rd->event);
	rd->has_event = false;
	if (!yaml_parser_parse(&rd->parser, &rd->event))
		return kb_config_fail(-EINVAL, rd->err, rd->err_size, "%s:%zu: not YAML: %s",
				      rd->path, rd->parser.problem_mark.line + 1,
				      rd->parser.problem ? rd->parser.problem : "unreadable");
	rd->has_event = true;
	return 0;
}

static const char *scalar(const struct reader *rd)
{
	return (const char *)rd->event.data.scalar.value;
}

/* The event must be a scalar with something in it, for this key. */
static int assign_scalar(struct reader *rd, const struct kb_option *row)
{
	char what[400];
	int r;

	if (rd->event.type != YAML_SCALAR_EVENT)
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: %s: the value must be plain text%s", rd->path,
				      line_of(rd), row->name,
				      row->flags & KB_OPT_REPEAT ? " or a list of it" : "");
	if (strlen(scalar(rd)) != rd->event.data.scalar.length)
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: %s: the value contains a NUL character", rd->path,
				      line_of(rd), row->name);
	r = kb_option_assign(rd->o, row, KB_LEVEL_FILE, scalar(rd), what, sizeof(what));
	if (r < 0)
		return kb_config_fail(r, rd->err, rd->err_size, "%s:%zu: %s: %s", rd->path,
				      line_of(rd), row->name, what);
	return 0;
}

static int read_value(struct reader *rd, const struct kb_option *row)
{
	int r = next_event(rd);

	if (r < 0)
		return r;
	if (rd->event.type != YAML_SEQUENCE_START_EVENT || !(row->flags & KB_OPT_REPEAT))
		return assign_scalar(rd, row);
	/* An empty list is a statement too: it replaces the default. */
	if (*kb_option_level(rd->o, row) < KB_LEVEL_FILE) {
		kb_option_clear(rd->o, row);
		*kb_option_level(rd->o, row) = KB_LEVEL_FILE;
	}
	for (;;) {
		r = next_event(rd);
		if (r < 0 || rd->event.type == YAML_SEQUENCE_END_EVENT)
			return r;
		r = assign_scalar(rd, row);
		if (r < 0)
			return r;
	}
}

static int read_key(struct reader *rd, const struct kb_option **ret_row)
{
	const struct kb_option *row, *first;
	const char *like;
	size_t n, i;

	if (rd->event.type != YAML_SCALAR_EVENT)
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: a key must be the name of an option", rd->path,
				      line_of(rd));
	row = kb_options_find(scalar(rd));
	if (!row) {
		like = kb_options_suggest(scalar(rd));
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: %.64s: no such option%s%s, see kbdnsd --help",
				      rd->path, line_of(rd), scalar(rd),
				      like ? ", did you mean " : "", like ? like : "");
	}
	if (row->flags & KB_OPT_CLI_ONLY)
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: %s: only for the command line, remove it", rd->path,
				      line_of(rd), row->name);
	first = kb_options_rows(&n);
	i = (size_t)(row - first);
	if (rd->seen[i])
		return kb_config_fail(-EINVAL, rd->err, rd->err_size, "%s:%zu: %s: given twice, %s",
				      rd->path, line_of(rd), row->name,
				      row->flags & KB_OPT_REPEAT ? "make it one list"
								 : "remove one");
	rd->seen[i] = true;
	*ret_row = row;
	return 0;
}

/* Everything up to the end of the stream. */
static int read_stream(struct reader *rd)
{
	const struct kb_option *row = NULL;
	int r;

	do { /* STREAM-START, DOCUMENT-START */
		r = next_event(rd);
		if (r < 0)
			return r;
	} while (rd->event.type == YAML_STREAM_START_EVENT ||
		 rd->event.type == YAML_DOCUMENT_START_EVENT);
	if (rd->event.type == YAML_STREAM_END_EVENT)
		return 0; /* empty, or comments only */
	if (rd->event.type != YAML_MAPPING_START_EVENT)
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: must be a list of \"option: value\" lines", rd->path,
				      line_of(rd));
	for (;;) {
		r = next_event(rd);
		if (r < 0)
			return r;
		if (rd->event.type == YAML_MAPPING_END_EVENT)
			break;
		r = read_key(rd, &row);
		if (r < 0)
			return r;
		r = read_value(rd, row);
		if (r < 0)
			return r;
	}
	do {
		r = next_event(rd);
		if (r < 0)
			return r;
	} while (rd->event.type == YAML_DOCUMENT_END_EVENT);
	if (rd->event.type != YAML_STREAM_END_EVENT)
		return kb_config_fail(-EINVAL, rd->err, rd->err_size,
				      "%s:%zu: a second document, only one is read", rd->path,
				      line_of(rd));
	return 0;
}

static int open_file(const char *path, FILE **ret_file, char *err, size_t err_size)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	int r;

	if (!f) {
		r = -errno;
		return kb_config_fail(r, err, err_size, "%s: %s, check --config", path,
				      strerror(-r));
	}
	if (fstat(fileno(f), &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
		fclose(f);
		return kb_config_fail(-EINVAL, err, err_size,
				      "%s: not a regular file of at most 1 MiB, check --config",
				      path);
	}
	*ret_file = f;
	return 0;
}

int kb_config_file_read(struct kb_options *o, const char *path, char *err, size_t err_size)
{
	struct reader rd = {.o = o, .path = path, .err = err, .err_size = err_size};
	FILE *f = NULL;
	int r;

	r = open_file(path, &f, err, err_size);
	if (r < 0)
		return r;
	if (!yaml_parser_initialize(&rd.parser)) {
		fclose(f);
		return kb_config_fail(-ENOMEM, err, err_size, "%s: out of memory", path);
	}
	yaml_parser_set_input_file(&rd.parser, f);
	r = read_stream(&rd);
	if (rd.has_event)
		yaml_event_delete(&rd.event);
	yaml_parser_delete(&rd.parser);
	fclose(f);
	return r;
}
