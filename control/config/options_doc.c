/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows as text: --help, and the option list of kbdnsd(8).
 */
#include <string.h>

#include "control/config/options_private.h"
#include "control/config/version.h"

#define HELP_COLUMN 34
#define HELP_WIDTH  96

/* Writes words from `column` on, broken at HELP_WIDTH, continued at HELP_COLUMN. */
static void put_wrapped(FILE *out, size_t column, const char *text)
{
	bool first = true;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (!first && column + 1 + n > HELP_WIDTH) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
			first = true;
		}
		fprintf(out, "%s%.*s", first ? "" : " ", (int)n, text);
		column += n + (first ? 0 : 1);
		first = false;
		text += n + strspn(text + n, " ");
	}
}

/* What stands behind the help: default, repeatable, live. */
static void remarks(const struct kb_option *row, char *buf, size_t size)
{
	const char *sep = " (";

	*buf = '\0';
#define REMARK(...)                                                                                \
	do {                                                                                       \
		size_t used = strlen(buf);                                                         \
		used += (size_t)snprintf(buf + used, size - used, "%s", sep);                      \
		snprintf(buf + used, size - used, __VA_ARGS__);                                    \
		sep = "; ";                                                                        \
	} while (0)
	if (row->flags & KB_OPT_REPEAT)
		REMARK("repeatable");
	if (row->flags & KB_OPT_TUNABLE)
		REMARK("tunable, %s", row->flags & KB_OPT_LIVE ? "live" : "at restart");
	if (row->def)
		REMARK("default %s", row->def);
#undef REMARK
	if (*buf)
		snprintf(buf + strlen(buf), size - strlen(buf), ")");
}

void kb_options_help(FILE *out)
{
	const struct kb_option *rows;
	size_t n;

	fprintf(out,
		"Usage: kbdnsd [OPTION]...\n"
		"Answers cluster DNS names of a Kubernetes node in the packet path (kbdns " KB_VERSION
		").\n\n");
	rows = kb_options_rows(&n);
	for (size_t i = 0; i < n; i++) {
		const struct kb_option *row = &rows[i];
		char left[80], text[768], more[512], letter[8] = "";
		int used;

		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		used = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, row->name,
				row->arg ? " " : "", row->arg ? row->arg : "");
		fprintf(out, "%-*s", HELP_COLUMN, left);
		if (used >= HELP_COLUMN)
			fprintf(out, "\n%*s", HELP_COLUMN, "");
		remarks(row, more, sizeof(more));
		snprintf(text, sizeof(text), "%s%s", row->help, more);
		put_wrapped(out, HELP_COLUMN, text);
		fputc('\n', out);
	}
}

/* One source line of roff: dashes of options kept as minus, a leading dot guarded. */
static void put_roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-' && text[1] == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

/* Sentences begin on lines of their own (mandoc -Tlint); clauses may, too. */
static void put_roff_clauses(FILE *out, const char *text)
{
	char line[256];

	while (*text) {
		size_t n = strcspn(text, ";");

		if (text[n] == ';')
			n++;
		snprintf(line, sizeof(line), "%.*s", (int)n, text);
		put_roff(out, line);
		fputc('\n', out);
		text += n + strspn(text + n, " ");
	}
}

void kb_options_mdoc(FILE *out)
{
	const struct kb_option *rows;
	size_t n;

	rows = kb_options_rows(&n);
	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < n; i++) {
		const struct kb_option *row = &rows[i];
		char expect[128];

		fputs(".It ", out);
		if (row->letter)
			fprintf(out, "Fl %c , ", row->letter);
		fprintf(out, "Fl \\-%s", row->name);
		if (row->arg) {
			fputs(" Ar ", out);
			put_roff(out, row->arg);
		}
		fputc('\n', out);
		put_roff_clauses(out, row->help);
		if (row->def || row->flags & (KB_OPT_REPEAT | KB_OPT_TUNABLE))
			fputs(".br\n", out);
		if (row->type == KB_OPT_NUMBER || row->type == KB_OPT_NUMBER_AUTO ||
		    row->type == KB_OPT_BYTES || row->type == KB_OPT_SECONDS) {
			kb_options_expect(row, expect, sizeof(expect));
			fprintf(out, "Takes %s.\n", expect);
		}
		if (row->flags & KB_OPT_REPEAT)
			fputs("May be repeated.\n", out);
		if (row->flags & KB_OPT_TUNABLE)
			fprintf(out, "Tunable, %s.\n",
				row->flags & KB_OPT_LIVE ? "live" : "at restart");
		if (row->def)
			fprintf(out, "Default: %s.\n", row->def);
	}
	fputs(".El\n", out);
}
