/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens to server blocks. A block's directives are not interpreted here, only gathered:
 * all occurrences of one name together, in the order of the file.
 *
 * Imports and snippets are spliced into the list of tokens where they stand. Whether a token begins
 * a line is told from its line number and its predecessor's, as CoreDNS does it, also where
 * the two come from different places.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

/* Of snippets and files; far above use, far below what hurts. */
#define IMPORTS_MAX 1000

struct snippet {
	const char *name;
	struct kb_cf_tokens tokens; /* owned */
};

struct parser {
	struct kb_cf *cf;
	struct kb_cf_tokens tokens; /* owned */
	size_t at;		    /* of the current token, tokens.n at the end */
	struct snippet *snippets;   /* owned */
	size_t n_snippets;
	unsigned int imports;
	struct kb_cf_block *block; /* of cf->blocks, NULL between blocks */
};

static const struct kb_cf_token *current(const struct parser *p)
{
	static const struct kb_cf_token none = {.text = ""};

	if (p->at < p->tokens.n)
		return &p->tokens.v[p->at];
	return p->tokens.n ? &p->tokens.v[p->tokens.n - 1] : &none;
}

static bool is(const struct parser *p, const char *text)
{
	return p->at < p->tokens.n && strcmp(p->tokens.v[p->at].text, text) == 0;
}

static bool begins_line(const struct parser *p)
{
	const struct kb_cf_token *a, *b;

	if (!p->at || p->at >= p->tokens.n)
		return p->at == 0;
	a = &p->tokens.v[p->at - 1];
	b = &p->tokens.v[p->at];
	return a->file != b->file || a->line + a->breaks < b->line;
}

static int fail(struct parser *p, int r, const char *what)
{
	const struct kb_cf_token *t = current(p);

	return kb_cf_fail(p->cf, r, t->file, t->line, "%s", what);
}

static int unexpected_end(struct parser *p)
{
	return fail(p, -EINVAL, "the file ends within a block, close it with }");
}

/* Replaces `n` tokens from `at` by those of `with`. */
static int splice(struct parser *p, size_t at, size_t n, const struct kb_cf_tokens *with)
{
	struct kb_cf_tokens out = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < at; i++)
		r = kb_cf_push(p->cf, &out, &p->tokens.v[i]);
	for (size_t i = 0; r == 0 && i < with->n; i++)
		r = kb_cf_push(p->cf, &out, &with->v[i]);
	for (size_t i = at + n; r == 0 && i < p->tokens.n; i++)
		r = kb_cf_push(p->cf, &out, &p->tokens.v[i]);
	if (r < 0) {
		free(out.v);
		return r;
	}
	free(p->tokens.v);
	p->tokens = out;
	return 0;
}

static int import_file(struct parser *p, const char *path, struct kb_cf_tokens *tokens)
{
	uint32_t file;
	char *text = NULL;
	size_t len;
	int r;

	r = kb_cf_load(p->cf, path, &text, &len, &file);
	if (r == -ENOMEM || r == -EOPNOTSUPP)
		return r;
	if (r < 0) {
		const struct kb_cf_token *t = current(p);

		return kb_cf_fail(p->cf, -EINVAL, t->file, t->line,
				  "import: %s: %s, mount it where CoreDNS has it", path,
				  strerror(-r));
	}
	r = kb_cf_lex(p->cf, file, text, len, tokens);
	free(text);
	return r;
}

/* Paths are relative to the file that imports. */
static int import_files(struct parser *p, const char *pattern, struct kb_cf_tokens *tokens)
{
	const char *from = kb_cf_file_name(p->cf, current(p)->file);
	const char *slash = strrchr(from, '/');
	char path[4096];
	glob_t found;
	int r;

	if (*pattern == '/' || !slash)
		r = snprintf(path, sizeof(path), "%s", pattern);
	else
		r = snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - from), from, pattern);
	if (r >= (int)sizeof(path))
		return fail(p, -EINVAL, "import: the path is too long, shorten it");
	if (!strpbrk(path, "*?["))
		return import_file(p, path, tokens);
	r = glob(path, 0, NULL, &found);
	if (r == GLOB_NOMATCH)
		return 0;
	if (r)
		return fail(p, -EINVAL, "import: the folder cannot be searched, mount it");
	r = 0;
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++)
		r = import_file(p, found.gl_pathv[i], tokens);
	globfree(&found);
	return r;
}

/* Nobody knows what it brings: whoever looks at the block, or at all blocks, has to leave them. */
static void note_unknown_import(struct parser *p)
{
	const struct kb_cf_token *t = current(p);

	if (p->block && p->block->n_keys) {
		p->block->unknown_import = t->line;
		p->block->unknown_file = t->file;
	} else {
		p->cf->unknown_import = t->line;
		p->cf->unknown_file = t->file;
	}
}

/* `import X` stands at the current token: afterwards the first imported one does. */
static int import(struct parser *p)
{
	struct kb_cf_tokens files = {0};
	const struct kb_cf_tokens *with = &files;
	size_t start = p->at;
	struct kb_cf_token what;
	int r;

	p->at++;
	if (p->at >= p->tokens.n || begins_line(p)) {
		p->at = start;
		return fail(p, -EINVAL, "import needs the name of a snippet or file");
	}
	what = p->tokens.v[p->at];
	r = kb_cf_expand(p->cf, &what);
	if (r < 0)
		return r;
	if (what.unset)
		return fail(p, -EOPNOTSUPP,
			    "import: the variable is not set in our environment, set it as "
			    "CoreDNS has it");
	if (!*what.text)
		return fail(p, -EINVAL, "import needs the name of a snippet or file");
	p->at++;
	if (p->at < p->tokens.n && !begins_line(p))
		return fail(p, -EINVAL, "import takes one argument, remove the others");
	p->at--;
	if (++p->imports > IMPORTS_MAX)
		return fail(p, -EINVAL, "too many imports, is there one of itself?");
	for (size_t i = 0; i < p->n_snippets; i++) {
		if (strcmp(p->snippets[i].name, what.text) == 0)
			with = &p->snippets[i].tokens;
	}
	if (with == &files && p->cf->follow_imports)
		r = import_files(p, what.text, &files);
	else if (with == &files)
		note_unknown_import(p);
	if (r == 0)
		r = splice(p, start, 2, with);
	free(files.v);
	p->at = start;
	return r;
}

static int add_key(struct parser *p, const struct kb_cf_token *key)
{
	struct kb_cf_block *b = p->block;
	void *v = realloc(b->keys, (b->n_keys + 1) * sizeof(*b->keys));

	if (!v)
		return kb_cf_no_memory(p->cf);
	b->keys = v;
	b->keys[b->n_keys++] = *key;
	return 0;
}

/* The line before the block. Sets *ret_end when nothing follows it. */
static int take_keys(struct parser *p, bool *ret_end)
{
	bool another = false;
	int r;

	for (;;) {
		struct kb_cf_token key;
		size_t len;

		if (is(p, "import") && begins_line(p)) {
			r = import(p);
			if (r < 0)
				return r;
			continue;
		}
		if (is(p, "{")) {
			if (another)
				return fail(p, -EINVAL,
					    "another zone is expected after the comma, remove it");
			return 0;
		}
		if (p->at < p->tokens.n) {
			key = *current(p);
			r = kb_cf_expand(p->cf, &key);
			if (r < 0)
				return r;
			if (key.unset)
				return fail(p, -EOPNOTSUPP,
					    "the variable is not set in our environment, set it "
					    "as CoreDNS has it");
			len = strlen(key.text);
			if (len) {
				another = key.text[len - 1] == ',';
				if (another)
					key.text = kb_cf_keep(p->cf, key.text, len - 1);
				r = key.text ? add_key(p, &key) : kb_cf_no_memory(p->cf);
				if (r < 0)
					return r;
			}
			p->at++;
		}
		if (p->at >= p->tokens.n) {
			*ret_end = true;
			return another ? unexpected_end(p) : 0;
		}
		if (!another && begins_line(p))
			return 0;
	}
}

static int take_snippet(struct parser *p, const char *name)
{
	struct snippet s = {name, {0}}, *v;
	unsigned int depth = 1;
	int r = 0;

	for (size_t i = 0; i < p->n_snippets; i++) {
		if (strcmp(p->snippets[i].name, name) == 0)
			return fail(p, -EINVAL, "the snippet is defined twice, rename one");
	}
	if (!is(p, "{"))
		return fail(p, -EINVAL, "the snippet has no { block, give it one");
	for (p->at++; r == 0 && p->at < p->tokens.n; p->at++) {
		if (is(p, "}") && --depth == 0)
			break;
		if (is(p, "{"))
			depth++;
		r = kb_cf_push(p->cf, &s.tokens, current(p));
	}
	if (r == 0 && depth)
		r = unexpected_end(p);
	v = r == 0 ? realloc(p->snippets, (p->n_snippets + 1) * sizeof(*v)) : NULL;
	if (!v) {
		free(s.tokens.v);
		return r < 0 ? r : kb_cf_no_memory(p->cf);
	}
	v[p->n_snippets++] = s;
	p->snippets = v;
	p->at++;
	return 0;
}

static int find_or_add(struct parser *p, const char *name, struct kb_cf_directive **ret)
{
	struct kb_cf_block *b = p->block;
	void *v;

	*ret = kb_cf_find(b, name);
	if (*ret)
		return 0;
	v = realloc(b->directives, (b->n_directives + 1) * sizeof(*b->directives));
	if (!v)
		return kb_cf_no_memory(p->cf);
	b->directives = v;
	*ret = &b->directives[b->n_directives++];
	**ret = (struct kb_cf_directive){.name = name};
	return 0;
}

/* One directive with its arguments and its { block }. */
static int take_directive(struct parser *p)
{
	struct kb_cf_token t = *current(p);
	struct kb_cf_directive *d = NULL;
	unsigned int depth = 0;
	int r;

	r = kb_cf_expand(p->cf, &t);
	if (r == 0)
		r = find_or_add(p, t.text, &d);
	if (r == 0)
		r = kb_cf_push(p->cf, &d->tokens, &t);
	if (r < 0)
		return r;
	for (p->at++; p->at < p->tokens.n;) {
		if (is(p, "{")) {
			depth++;
		} else if (begins_line(p) && !depth) {
			return 0;
		} else if (is(p, "}")) {
			if (!depth)
				return fail(p, -EINVAL,
					    "} without a {, put it on a line of its own");
			depth--;
		} else if (is(p, "import") && begins_line(p)) {
			r = import(p);
			if (r < 0)
				return r;
			continue;
		}
		t = *current(p);
		r = kb_cf_expand(p->cf, &t);
		if (r == 0)
			r = kb_cf_push(p->cf, &d->tokens, &t);
		if (r < 0)
			return r;
		p->at++;
	}
	return depth ? unexpected_end(p) : 0;
}

/* Up to the closing brace, or to the end when the block has none. */
static int take_directives(struct parser *p, bool braces)
{
	int r = 0;

	while (r == 0 && p->at < p->tokens.n) {
		if (is(p, "}")) {
			p->at++;
			return 0;
		}
		r = is(p, "import") ? import(p) : take_directive(p);
	}
	return r < 0 || !braces ? r : unexpected_end(p);
}

static int add_block(struct parser *p)
{
	struct kb_cf *cf = p->cf;
	void *v = realloc(cf->blocks, (cf->n_blocks + 1) * sizeof(*cf->blocks));

	if (!v)
		return kb_cf_no_memory(cf);
	cf->blocks = v;
	p->block = &cf->blocks[cf->n_blocks++];
	memset(p->block, 0, sizeof(*p->block));
	return 0;
}

static void block_free(struct kb_cf_block *b)
{
	for (size_t i = 0; i < b->n_directives; i++)
		free(b->directives[i].tokens.v);
	free(b->directives);
	free(b->keys);
	free(b->zones);
	kb_cf_kubernetes_free(b->kubernetes);
	kb_cf_forwards_free(b);
	kb_cf_cache_free(b);
}

/* The last block was none: a snippet, or an import without tokens. */
static void drop_block(struct parser *p)
{
	block_free(&p->cf->blocks[--p->cf->n_blocks]);
	p->block = NULL;
}

static int take_block(struct parser *p)
{
	struct kb_cf_block *b;
	bool end = false, braces;
	const char *key;
	size_t len;
	int r;

	r = add_block(p);
	if (r == 0)
		r = take_keys(p, &end);
	if (r < 0)
		return r;
	b = p->block;
	if (end) {
		if (!b->n_keys)
			drop_block(p);
		return 0;
	}
	key = b->n_keys ? b->keys[0].text : "";
	len = strlen(key);
	if (b->n_keys == 1 && len > 1 && key[0] == '(' && key[len - 1] == ')') {
		drop_block(p);
		key = kb_cf_keep(p->cf, key + 1, len - 2);
		return key ? take_snippet(p, key) : kb_cf_no_memory(p->cf);
	}
	braces = is(p, "{");
	if (braces)
		p->at++;
	r = take_directives(p, braces);
	if (r == 0 && !b->n_keys)
		drop_block(p);
	return r;
}

int kb_cf_parse(struct kb_cf *cf, struct kb_cf_tokens *tokens)
{
	struct parser p = {.cf = cf, .tokens = *tokens};
	int r = 0;

	memset(tokens, 0, sizeof(*tokens));
	while (r == 0 && p.at < p.tokens.n)
		r = take_block(&p);
	for (size_t i = 0; i < p.n_snippets; i++)
		free(p.snippets[i].tokens.v);
	free(p.snippets);
	free(p.tokens.v);
	return r;
}

void kb_cf_blocks_free(struct kb_cf *cf)
{
	for (size_t i = 0; i < cf->n_blocks; i++)
		block_free(&cf->blocks[i]);
	free(cf->blocks);
	cf->blocks = NULL;
	cf->n_blocks = 0;
}

struct kb_cf_directive *kb_cf_find(const struct kb_cf_block *block, const char *name)
{
	for (size_t i = 0; i < block->n_directives; i++) {
		if (strcmp(block->directives[i].name, name) == 0)
			return &block->directives[i];
	}
	return NULL;
}
