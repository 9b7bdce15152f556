/* SPDX-License-Identifier: Apache-2.0 */
#include "control/ctl/render.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define CELL_MAX    96
#define COLUMNS_MAX 16

/* A value as one cell: "-" for null and empty, control characters as dots. */
static const char *cell(const json_t *v, char *buf)
{
	size_t n = 0;

	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		for (const char *s = json_string_value(v); *s && n < CELL_MAX - 1; s++)
			buf[n++] = (unsigned char)*s < ' ' || *s == 0x7f ? '.' : *s;
		buf[n] = '\0';
		break;
	case JSON_INTEGER:
		snprintf(buf, CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		break;
	case JSON_REAL:
		/* Shares are small. */
		snprintf(buf, CELL_MAX, json_real_value(v) < 1 ? "%.3f" : "%.1f",
			 json_real_value(v));
		break;
	case JSON_TRUE:
		return "yes";
	case JSON_FALSE:
		return "no";
	case JSON_ARRAY:
		snprintf(buf, CELL_MAX, "[%zu]", json_array_size(v));
		break;
	case JSON_OBJECT:
		snprintf(buf, CELL_MAX, "{%zu}", json_object_size(v));
		break;
	case JSON_NULL:
		break;
	}
	return v && !json_is_null(v) && *buf ? buf : "-";
}

static bool is_number(const json_t *v)
{
	return json_is_number(v);
}

/* Objects as rows, the first one's members as columns; numbers to the right. */
static void put_table(FILE *out, json_t *array, int indent)
{
	const char *key, *keys[COLUMNS_MAX];
	int width[COLUMNS_MAX], n = 0;
	bool right[COLUMNS_MAX];
	char buf[CELL_MAX];
	json_t *row, *v;
	size_t i;

	json_object_foreach(json_array_get(array, 0), key, v)
	{
		if (n == COLUMNS_MAX)
			break;
		keys[n] = key;
		width[n] = (int)strlen(key);
		right[n++] = is_number(v);
	}
	json_array_foreach(array, i, row)
	{
		for (int c = 0; c < n; c++) {
			int w = (int)strlen(cell(json_object_get(row, keys[c]), buf));

			width[c] = w > width[c] ? w : width[c];
		}
	}
	for (i = 0; i <= json_array_size(array); i++) {
		fprintf(out, "%*s", indent, "");
		for (int c = 0; c < n; c++) {
			const char *text = keys[c];
			bool last = c + 1 == n;

			if (i)
				text = cell(json_object_get(json_array_get(array, i - 1), keys[c]),
					    buf);
			if (right[c])
				fprintf(out, "%*s%s", width[c], text, last ? "" : "  ");
			else
				fprintf(out, "%-*s%s", last ? 0 : width[c], text, last ? "" : "  ");
		}
		fputc('\n', out);
	}
}

static bool is_envelope(const char *key, int indent)
{
	return !indent && (strcmp(key, "ok") == 0 || strcmp(key, "protocol") == 0);
}

static void put_object(FILE *out, json_t *object, int indent);

static void put_member(FILE *out, const char *key, json_t *v, int indent, int width)
{
	char buf[CELL_MAX];
	json_t *element;
	size_t i;

	if (json_is_object(v)) {
		fprintf(out, "%*s%s:\n", indent, "", key);
		put_object(out, v, indent + 2);
	} else if (json_is_array(v) && json_is_object(json_array_get(v, 0))) {
		fprintf(out, "%*s%s:\n", indent, "", key);
		put_table(out, v, indent + 2);
	} else if (json_is_array(v)) {
		fprintf(out, "%*s%-*s ", indent, "", width, key);
		json_array_foreach(v, i, element)
			fprintf(out, "%s%s", i ? " " : "", cell(element, buf));
		fputs(json_array_size(v) ? "\n" : "-\n", out);
	} else {
		fprintf(out, "%*s%-*s %s\n", indent, "", width, key, cell(v, buf));
	}
}

static void put_object(FILE *out, json_t *object, int indent)
{
	const char *key;
	int width = 0;
	json_t *v;

	json_object_foreach(object, key, v)
	{
		int w = (int)strlen(key);

		if (!is_envelope(key, indent) && !json_is_object(v) && w > width)
			width = w;
	}
	json_object_foreach(object, key, v)
	{
		if (!is_envelope(key, indent))
			put_member(out, key, v, indent, width);
	}
}

void kb_render_reply(FILE *out, json_t *reply)
{
	put_object(out, reply, 0);
}

/* The named members of each row, or of an object in it. */
static void put_columns(FILE *out, const char *title, json_t *rows, const char *within,
			const char *const *names)
{
	json_t *table = json_array(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_t *from = within ? json_object_get(row, within) : row, *line = json_object();

		json_object_set(line, "row", json_object_get(row, "row"));
		for (const char *const *name = names; *name; name++)
			json_object_set(line, *name, json_object_get(from, *name));
		json_array_append_new(table, line);
	}
	put_member(out, title, table, 0, 0);
	json_decref(table);
}

void kb_render_workers(FILE *out, json_t *reply)
{
	static const char *const who[] = {"port", "queue", "pid",   "state",	"link", "idle",
					  "wait", "burst", "ahead", "silent_s", NULL};
	static const char *const done[] = {"frames", "frames_per_burst", "answered",
					   "left",   "dropped",		 "discarded",
					   "gone",   "idle_share",	 NULL};
	static const char *const cycles[] = {"receive", "headers", "hash", "question", "lookup",
					     "answer",	"send",	   "all",  NULL};
	static const char *const kernel[] = {"kernel_in",	    "kernel_out",
					     "kernel_in_full",	    "kernel_in_failed",
					     "kernel_out_oversize", NULL};
	json_t *rows = json_object_get(reply, "workers");

	if (!json_array_size(rows)) {
		kb_render_reply(out, reply);
		return;
	}
	put_columns(out, "workers", rows, NULL, who);
	put_columns(out, "counts", rows, NULL, done);
	put_columns(out, "exception path", rows, NULL, kernel);
	put_columns(out, "cycles for each frame", rows, "cycles", cycles);
}

static json_int_t counter(json_t *reply, const char *engine, const char *name)
{
	json_t *engines = json_object_get(reply, "engines");

	return json_integer_value(json_object_get(json_object_get(engines, engine), name));
}

void kb_render_stats(FILE *out, json_t *reply, json_t *before, double seconds, int all)
{
	json_t *engines = json_object_get(reply, "engines"), *v, *first, *rest;
	const char *engine, *name;

	fprintf(out, "%-22s", "counter");
	json_object_foreach(engines, engine, v)
	{
		fprintf(out, "  %14s", engine);
		if (before)
			fprintf(out, "  %10s", "per_s");
	}
	fputc('\n', out);
	/* Every engine has the same rows: the first one's order is the table's. */
	first = json_object_iter_value(json_object_iter(engines));
	json_object_foreach(first, name, v)
	{
		json_int_t sum = 0;

		json_object_foreach(engines, engine, v) sum += counter(reply, engine, name);
		if (!sum && !all)
			continue;
		fprintf(out, "%-22s", name);
		json_object_foreach(engines, engine, v)
		{
			json_int_t now = counter(reply, engine, name);

			fprintf(out, "  %14" JSON_INTEGER_FORMAT, now);
			if (before)
				fprintf(out, "  %10.0f",
					(double)(now - counter(before, engine, name)) / seconds);
		}
		fputc('\n', out);
	}
	rest = json_copy(reply);
	json_object_del(rest, "engines");
	put_object(out, rest, 0);
	json_decref(rest);
}

static void put_section(FILE *out, const char *title, json_t *records)
{
	char name[CELL_MAX], ttl[CELL_MAX], type[CELL_MAX];
	json_t *rr;
	size_t i;

	json_array_foreach(records, i, rr)
	{
		const char *data = json_string_value(json_object_get(rr, "data"));

		if (!i)
			fprintf(out, "    %s:\n", title);
		fprintf(out, "      %s %s %s ", cell(json_object_get(rr, "name"), name),
			cell(json_object_get(rr, "ttl_s"), ttl),
			cell(json_object_get(rr, "type"), type));
		for (; data && *data; data++) /* longer than a cell may be */
			fputc((unsigned char)*data < ' ' ? '.' : *data, out);
		fputc('\n', out);
	}
}

static bool same_answer(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"verdict", "rcode",	   "truncated", "size_bytes",
					   "answer",  "authority", "additional"};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		json_t *x = json_object_get(a, keys[i]), *y = json_object_get(b, keys[i]);

		if (x != y && !(x && y && json_equal(x, y)))
			return false;
	}
	return true;
}

void kb_render_lookup(FILE *out, json_t *reply)
{
	json_t *engines = json_object_get(reply, "engines"), *e;
	char a[CELL_MAX], b[CELL_MAX];
	size_t i, j;

	fprintf(out, "%s %s\n", cell(json_object_get(reply, "name"), a),
		cell(json_object_get(reply, "type"), b));
	put_member(out, "where", json_object_get(reply, "where"), 0, 0);
	if (json_is_object(json_object_get(reply, "packet_cache")))
		put_member(out, "packet cache", json_object_get(reply, "packet_cache"), 0, 0);
	json_array_foreach(engines, i, e)
	{
		/* Engines that answer alike are one paragraph. */
		if (i && same_answer(json_array_get(engines, i - 1), e))
			continue;
		for (j = i; j < json_array_size(engines); j++) {
			json_t *other = json_array_get(engines, j);

			if (!same_answer(e, other))
				break;
			fprintf(out, "%s%s", j > i ? ", " : "",
				cell(json_object_get(other, "engine"), a));
		}
		fprintf(out, ": %s", cell(json_object_get(e, "verdict"), a));
		if (!json_is_null(json_object_get(e, "rcode")))
			fprintf(out, ", %s", cell(json_object_get(e, "rcode"), a));
		if (json_is_integer(json_object_get(e, "size_bytes")))
			fprintf(out, ", %s bytes", cell(json_object_get(e, "size_bytes"), a));
		if (json_is_true(json_object_get(e, "truncated")))
			fprintf(out, ", truncated");
		fputc('\n', out);
		put_section(out, "answer", json_object_get(e, "answer"));
		put_section(out, "authority", json_object_get(e, "authority"));
		put_section(out, "additional", json_object_get(e, "additional"));
	}
}

void kb_render_entry(FILE *out, json_t *entry)
{
	char kind[CELL_MAX], addr[CELL_MAX];
	const char *name = json_string_value(json_object_get(entry, "name"));

	fprintf(out, "%-7s %-16s ", cell(json_object_get(entry, "kind"), kind),
		cell(json_object_get(entry, "address"), addr));
	for (; name && *name; name++) /* up to 253 characters and escapes */
		fputc((unsigned char)*name < ' ' ? '.' : *name, out);
	fputc('\n', out);
}
