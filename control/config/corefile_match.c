/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names hosts and rewrite concern.
 *
 * Where a rule's reach cannot be told for certain (a pattern, a file that we do not see), it is
 * taken to be everything that its server block serves.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/config/corefile_private.h"
#include "control/config/parse.h"

#define HOSTS_FILE "/etc/hosts"

struct hosts {
	struct kb_cf_build *b;
	struct kb_cf_line *line; /* of the directive, or of the entry */
	struct kb_cf_names origins, fall;
	bool reverse; /* addresses give PTR records */
	bool hit;
};

static int hosts_leave(struct hosts *h, const char *name)
{
	int r = kb_cf_leave(h->b, h->line, name);

	h->hit |= r > 0;
	return r < 0 ? r : 0;
}

/* ADDRESS NAME... */
static int hosts_entry(struct hosts *h, struct kb_cf_line *entry)
{
	struct kb_cf_line *outer = h->line;
	bool named = false;
	struct kb_addr addr;
	int r = 0;

	if (kb_parse_hosts_addr(entry->name->text, &addr) < 0)
		return 0; /* CoreDNS ignores it, too */
	h->line = entry;
	for (size_t i = 0; r == 0 && i < entry->n; i++) {
		char name[KB_CF_NAME_MAX];

		if (!kb_cf_normalize(entry->args[i].text, name) ||
		    !kb_cf_names_cover(&h->origins, name))
			continue;
		/* *.example.org stands for all names below, and is no address's. */
		named |= strncmp(name, "*.", 2) != 0;
		r = hosts_leave(h, strncmp(name, "*.", 2) == 0 ? name + 2 : name);
	}
	if (r == 0 && named && h->reverse) {
		char name[KB_CF_NAME_MAX];

		kb_cf_reverse_name(&addr, addr.family == 4 ? 32 : 128, name);
		r = hosts_leave(h, name);
	}
	h->line = outer;
	return r;
}

/* Names that no entry has get SERVFAIL, unless they fall through. */
static int hosts_rest(struct hosts *h)
{
	int r = 0;

	h->line->why = "without fallthrough it answers every name itself";
	for (size_t i = 0; r == 0 && i < h->origins.n; i++) {
		for (size_t k = 0; r == 0 && k < h->b->n_served; k++) {
			const struct kb_cf_served *s = &h->b->served[k];
			const char *reach = NULL;

			if (s->block != h->line->block)
				continue;
			if (kb_cf_within(s->zone, h->origins.v[i]))
				reach = s->zone;
			else if (kb_cf_within(h->origins.v[i], s->zone))
				reach = h->origins.v[i];
			if (reach && !kb_cf_names_cover(&h->fall, reach))
				r = hosts_leave(h, reach);
		}
	}
	return r;
}

static int hosts_read(struct hosts *h, struct kb_cf_cursor *c)
{
	const struct kb_cf_line *line = h->line;
	int r = 0;

	if (line->n > 1)
		r = kb_cf_names_add_origins(&h->origins, line->args + 1, line->n - 1);
	for (size_t i = 0; r == 0 && line->n < 2 && i < line->block->n_zones; i++)
		r = kb_cf_names_add(&h->origins, line->block->zones[i].zone);
	h->reverse = true;
	while (r == 0 && kb_cf_next_block(c)) {
		struct kb_cf_line entry = {.block = line->block, .why = line->why};

		entry.name = kb_cf_at(c);
		entry.args = kb_cf_args(c, &entry.n);
		if (strcmp(entry.name->text, "fallthrough") == 0) {
			h->fall.n = 0;
			r = entry.n ? kb_cf_names_add_origins(&h->fall, entry.args, entry.n)
				    : kb_cf_names_add(&h->fall, "");
		} else if (strcmp(entry.name->text, "no_reverse") == 0) {
			h->reverse = false;
		}
	}
	return r;
}

/* The lines of the file, as they stand in the block. */
static int hosts_file(struct hosts *h, const char *text, uint32_t file)
{
	static const char blank[] = " \t\r\v\f";
	struct kb_cf_token *words = NULL;
	char *copy = strdup(text), *line, *word, *rest, *rest_of_line;
	size_t cap = 0;
	int r = copy ? 0 : -ENOMEM;
	uint32_t number = 0;

	for (rest = copy; r == 0 && (line = strsep(&rest, "\n"));) {
		struct kb_cf_line entry = {.block = h->line->block,
					   .why = "this entry answers instead of the objects"};
		size_t n = 0;

		number++;
		line[strcspn(line, "#")] = '\0';
		for (word = strtok_r(line, blank, &rest_of_line); r == 0 && word;
		     word = strtok_r(NULL, blank, &rest_of_line)) {
			if (n == cap) {
				void *v = realloc(words, (2 * cap + 8) * sizeof(*words));

				r = v ? 0 : -ENOMEM;
				words = v ? v : words;
				cap = v ? 2 * cap + 8 : cap;
			}
			if (r == 0)
				words[n++] = (struct kb_cf_token){
					.text = word, .line = number, .file = file};
		}
		if (r < 0 || !n)
			continue;
		entry.name = words;
		entry.args = words + 1;
		entry.n = n - 1;
		r = hosts_entry(h, &entry);
	}
	free(words);
	free(copy);
	return r;
}

/* hosts [FILE [ZONE...]] { ADDRESS NAME...; fallthrough [ZONE...]; no_reverse; ... } */
int kb_cf_judge_hosts(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	struct hosts h = {.b = b, .line = line};
	struct kb_cf_cursor entries = *c;
	int r;

	r = hosts_read(&h, c);
	if (r == 0 && line->n && strcmp(line->args[0].text, HOSTS_FILE) != 0 &&
	    !line->block->hosts_text) {
		line->why = "it answers names and addresses of a file that kbdnsd does not see";
		r = kb_cf_leave_all(b, line);
		h.hit = true;
	} else if (r == 0) {
		r = hosts_rest(&h);
	}
	if (r == 0 && line->block->hosts_text)
		r = hosts_file(&h, line->block->hosts_text, line->block->hosts_file);
	while (r == 0 && kb_cf_next_block(&entries)) {
		struct kb_cf_line entry = {.block = line->block,
					   .why = "this entry answers instead of the objects"};

		entry.name = kb_cf_at(&entries);
		entry.args = kb_cf_args(&entries, &entry.n);
		r = hosts_entry(&h, &entry);
	}
	if (r == 0 && !h.hit)
		r = kb_cf_harmless(
			b, line,
			"its entries are not below kubernetes zones; a pod's own " HOSTS_FILE
			" has nothing of them either");
	free(h.origins.v);
	free(h.fall.v);
	return r;
}

/* As kb_cf_leave, for a reach that is everything. */
static int leave_everything(struct kb_cf_build *b, const struct kb_cf_line *line)
{
	int r = kb_cf_leave_all(b, line);

	return r < 0 ? r : 1;
}

/* Names that end in these characters, even in the middle of a label. As kb_cf_leave. */
static int leave_suffix(struct kb_cf_build *b, const struct kb_cf_line *line, const char *suffix)
{
	char name[KB_CF_NAME_MAX];
	const char *below;
	int hit = 0, r;

	if (!kb_cf_normalize(*suffix == '.' ? suffix + 1 : suffix, name))
		return leave_everything(b, line);
	if (*suffix == '.' || !*name)
		return kb_cf_leave(b, line, name);
	/* "b.example" reaches all of "b.example" and "ab.example", and names below both. */
	below = strchr(name, '.');
	below = below ? below + 1 : "";
	for (size_t i = 0; i < b->n_served; i++) {
		const struct kb_cf_served *s = &b->served[i];
		size_t z = strlen(s->zone), n = strlen(name);

		if (s->block != line->block)
			continue;
		if (z >= n && strcmp(s->zone + z - n, name) == 0)
			r = kb_cf_leave(b, line, s->zone);
		else if (kb_cf_within(name, s->zone))
			r = kb_cf_leave(b, line, below);
		else
			continue;
		if (r < 0)
			return r;
		hit |= r;
	}
	return hit;
}

/*
 * The literal end of a regular expression, where it must match the end of the name:
 * "\.example\.org\.$". False when it has none, or is of a kind that is not understood here.
 */
static bool regex_tail(const char *regex, char tail[KB_CF_NAME_MAX])
{
	size_t n = 0;
	int depth = 0;

	/* Flags such as (?m) change what $ means, classes may hold anything. */
	if (strstr(regex, "(?") || strchr(regex, '[') || strstr(regex, "\\Q"))
		return false;
	for (const char *s = regex; *s; s++) {
		char c = *s;

		if (c == '$' && !s[1])
			return depth == 0 && n > 0 && (tail[n] = '\0', true);
		if (c == '\\') {
			c = *++s;
			if (c != '.' && c != '-' && c != '_')
				return false;
		} else if (c == '(' || c == ')') {
			depth += c == '(' ? 1 : -1;
			n = 0;
			continue;
		} else if (c == '|' && !depth) {
			return false;
		} else if (strchr(".*+?{}|^$", c)) {
			n = 0;
			continue;
		}
		if (n + 1 >= KB_CF_NAME_MAX)
			return false;
		tail[n++] = c;
	}
	return false;
}

/* Rules whose first words are [exact|prefix|suffix|substring|regex] FROM. */
static int rewrite_names(struct kb_cf_build *b, const struct kb_cf_line *line, const char *type,
			 const char *from)
{
	char name[KB_CF_NAME_MAX];

	if (strcasecmp(type, "exact") == 0) {
		if (!kb_cf_normalize(from, name))
			return leave_everything(b, line);
		return kb_cf_leave(b, line, name);
	}
	if (strcasecmp(type, "suffix") == 0)
		return leave_suffix(b, line, from);
	if (strcasecmp(type, "regex") == 0 && regex_tail(from, name)) {
		size_t n = strlen(name);

		/* It is matched against names with their final dot. */
		if (name[n - 1] != '.')
			return 0;
		name[n - 1] = '\0';
		return leave_suffix(b, line, name);
	}
	return leave_everything(b, line);
}

/* The words of a rule: those of the line or, if there is at most one, those of the block's lines.
 */
static int rewrite_rule(struct kb_cf_build *b, const struct kb_cf_line *line, const char *const *w,
			size_t n)
{
	size_t i = 0, values;
	int r;

	if (n && (strcasecmp(w[0], "continue") == 0 || strcasecmp(w[0], "stop") == 0))
		i = 1;
	if (i >= n)
		return kb_cf_leave_all(b, line);
	if (strcasecmp(w[i], "name") == 0)
		values = 2;
	else if (strcasecmp(w[i], "ttl") == 0)
		values = 2;
	else if (strcasecmp(w[i], "rcode") == 0)
		values = 3;
	else
		return kb_cf_leave_all(b, line); /* class, type, edns0, cname */
	n -= i + 1;
	w += i + 1;
	if (n < values)
		return kb_cf_leave_all(b, line);
	r = n == values ? rewrite_names(b, line, "exact", w[0])
			: rewrite_names(b, line, w[0], w[1]);
	if (r)
		return r < 0 ? r : 0;
	return kb_cf_harmless(b, line,
			      "none of its names is below a kubernetes zone of this server block");
}

int kb_cf_judge_rewrite(struct kb_cf_build *b, struct kb_cf_line *line, struct kb_cf_cursor *c)
{
	const char *words[64];
	size_t n = 0;

	for (size_t i = 0; i < line->n && n < 64; i++)
		words[n++] = line->args[i].text;
	/* Within the braces every word counts, lines do not. */
	while (n < 64 && line->n < 2 && kb_cf_next_block(c))
		words[n++] = kb_cf_val(c);
	if (n == 64)
		return kb_cf_leave_all(b, line);
	return rewrite_rule(b, line, words, n);
}
