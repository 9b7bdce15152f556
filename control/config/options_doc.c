/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows as text: --help, and the option list of kbdnsd(8).
 */
#include <string.h>

#include "control/config/options_private.h"
#include "control/config/version.h"

#define HELP_COLUMN 34
#define HELP_WIDTH  96
#define ROFF_WIDTH  76

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
#define REMARK(...)                                                           \
	do {                                                                  \
		size_t used = strlen(buf);                                    \
		used += (size_t)snprintf(buf + used, size - used, "%s", sep); \
		snprintf(buf + used, size - used, __VA_ARGS__);               \
		sep = "; ";                                                   \
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

	fprintf(out, "Usage: kbdnsd [OPTION]...\n"
		     "Answers cluster DNS names of a Kubernetes node in the packet path "
		     "(kbdns " KB_VERSION ").\n\n");
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

/* Escapes a word for roff; returns the columns that its source takes. */
static size_t put_roff(FILE *out, const char *word, size_t n)
{
	size_t columns = n;

	for (size_t i = 0; i < n; i++) {
		bool dashes = word[i] == '-' &&
			      ((i + 1 < n && word[i + 1] == '-') || (i && word[i - 1] == '-'));

		if (word[i] == '\\' || dashes) {
			fputc('\\', out);
			columns++;
		}
		fputc(word[i] == '\\' ? 'e' : word[i], out);
	}
	return columns;
}

/* One paragraph of filled source lines: the text begins with a capital, ends with a dot. */
static void put_roff_text(FILE *out, const char *text)
{
	size_t column = 0;
	bool first = true;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (column && column + 1 + n > ROFF_WIDTH) {
			fputc('\n', out);
			column = 0;
		}
		if (column) {
			fputc(' ', out);
			column++;
		} else if (*text == '.' || *text == '\'') {
			fputs("\\&", out);
			column += 2;
		}
		if (first && *text >= 'a' && *text <= 'z') {
			fputc(*text - 'a' + 'A', out);
			column += 1 + put_roff(out, text + 1, n - 1);
		} else {
			column += put_roff(out, text, n);
		}
		first = false;
		text += n + strspn(text + n, " ");
	}
	fputs(".\n", out);
}

void kb_options_mdoc(FILE *out)
{
	const struct kb_option *rows;
	size_t n;

	rows = kb_options_rows(&n);
	fputs(".Bl -tag -width Ds\n", out);
	for (size_t i = 0; i < n; i++) {
		const struct kb_option *row = &rows[i];
		char text[512];

		fputs(".It ", out);
		if (row->letter)
			fprintf(out, "Fl %c , ", row->letter);
		fprintf(out, "Fl \\-%s", row->name);
		if (row->arg) {
			fputs(" Ar ", out);
			put_roff(out, row->arg, strlen(row->arg));
		}
		fputc('\n', out);
		put_roff_text(out, row->help);
		if (row->type == KB_OPT_NUMBER || row->type == KB_OPT_NUMBER_AUTO ||
		    row->type == KB_OPT_BYTES || row->type == KB_OPT_SECONDS) {
			kb_options_expect(row, text, sizeof(text));
			fputs("Takes ", out);
			put_roff(out, text, strlen(text));
			fputs(".\n", out);
		}
		if (row->flags & KB_OPT_REPEAT)
			fputs("May be repeated.\n", out);
		if (row->flags & KB_OPT_TUNABLE)
			fprintf(out, "Tunable, %s.\n",
				row->flags & KB_OPT_LIVE ? "live" : "at restart");
		if (row->def) {
			snprintf(text, sizeof(text), "Default: %s", row->def);
			put_roff_text(out, text);
		}
	}
	fputs(".El\n", out);
}
