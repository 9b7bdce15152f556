/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hosts directive, for a server that does as it says:
 *
 *	hosts [FILE [ZONE...]] {
 *		ADDRESS NAME...
 *		ttl SECONDS
 *		no_reverse
 *		reload DURATION
 *		fallthrough [ZONE...]
 *		fallthrough_unsupported
 *	}
 *
 * A file /etc/hosts, named or not, is not read: CoreDNS's is the one of its own container. Another
 * file is one that the result depends on, as imports are, so that it is read again when they are;
 * `reload` is not looked at. One that cannot be read any more says what it said before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/config/corefile_private.h"

#define HOSTS_FILE    "/etc/hosts"
#define TTL_DEFAULT_S 3600
#define TTL_MAX_S     65535

static int add_name(void *arg, const char *zone)
{
	return kb_cf_strings_add(arg, zone);
}

/* What is no name is passed over, as CoreDNS does. */
static int add_origins(struct kb_strings *to, const struct kb_cf_token *args, size_t n)
{
	enum kb_cf_transport transport;
	uint16_t port;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = kb_cf_each_origin(args[i].text, &transport, &port, add_name, to);
		r = r == -EINVAL ? 0 : r;
	}
	return r;
}

static int append(char **text, size_t *len, const char *word, char end)
{
	size_t n = strlen(word);
	char *v = realloc(*text, *len + n + 2);

	if (!v)
		return -ENOMEM;
	*text = v;
	memcpy(v + *len, word, n);
	v[*len + n] = end;
	*len += n + 1;
	v[*len] = '\0';
	return 0;
}

/* A line of the block. 0, -ENOMEM, or -EINVAL for one that CoreDNS refuses. */
static int take_line(struct kb_corefile_hosts *h, size_t *len, const char *name,
		     const struct kb_cf_token *args, size_t n)
{
	uint64_t v;
	int r;

	if (strcmp(name, "fallthrough") == 0) {
		kb_cf_strings_free(&h->fall);
		return n ? add_origins(&h->fall, args, n) : add_name(&h->fall, "");
	}
	if (strcmp(name, "fallthrough_unsupported") == 0) {
		h->unsupported_falls = true;
		return n ? -EINVAL : 0;
	}
	if (strcmp(name, "no_reverse") == 0) {
		h->reverse = false;
		return 0;
	}
	if (strcmp(name, "ttl") == 0) {
		if (!n || kb_parse_u64(args[0].text, 1, TTL_MAX_S, &v) < 0)
			return -EINVAL;
		h->ttl_s = (uint32_t)v;
		return 0;
	}
	if (strcmp(name, "reload") == 0)
		return n == 1 ? 0 : -EINVAL;
	if (h->fall.n)
		return -EINVAL; /* entries come before fallthrough */
	r = append(&h->inline_text, len, name, ' ');
	for (size_t i = 0; r == 0 && i < n; i++)
		r = append(&h->inline_text, len, args[i].text, i + 1 < n ? ' ' : '\n');
	return r == 0 && !n ? append(&h->inline_text, len, "", '\n') : r;
}

static int take(struct kb_cf_cursor *c, const struct kb_cf_token *args, size_t n,
		const char *file_text, const struct kb_strings *zones, struct kb_corefile_hosts *h)
{
	size_t len = 0;
	bool unseen = false;
	int r = append(&h->inline_text, &len, "", '\n');

	h->reverse = true;
	h->ttl_s = TTL_DEFAULT_S;
	if (r == 0 && n && strcmp(args[0].text, HOSTS_FILE) != 0) {
		unseen = !file_text;
		h->file_text = strdup(unseen ? "" : file_text);
		r = h->file_text ? 0 : -ENOMEM;
	}
	if (r == 0 && n > 1)
		r = add_origins(&h->origins, args + 1, n - 1);
	for (size_t i = 0; r == 0 && n < 2 && i < zones->n; i++)
		r = add_name(&h->origins, zones->v[i]);
	while (r == 0 && kb_cf_next_block(c)) {
		const char *name = kb_cf_val(c);

		args = kb_cf_args(c, &n);
		r = take_line(h, &len, name, args, n);
	}
	if (r == 0 && h->unsupported_falls && !h->fall.n)
		return -EINVAL;
	return r == 0 ? unseen : r;
}

int kb_cf_take_hosts(const struct kb_cf_block *from, const struct kb_cf_directive *d,
		     struct kb_corefile_block *block)
{
	struct kb_cf_cursor c = {.t = d->tokens.v, .n = d->tokens.n};
	const struct kb_cf_token *args;
	size_t n;
	int r;

	if (!kb_cf_next(&c))
		return -EINVAL;
	args = kb_cf_args(&c, &n);
	block->hosts = calloc(1, sizeof(*block->hosts));
	if (!block->hosts)
		return -ENOMEM;
	r = take(&c, args, n, from->hosts_text, &block->zones, block->hosts);
	return r >= 0 && kb_cf_next(&c) ? -EINVAL : r; /* once in a block */
}

/* What the file said when it could be read; NULL: it never could. */
static const char *former_text(const struct kb_corefile *former, const char *path)
{
	for (size_t i = 0; former && i < former->n_hosts_files; i++) {
		if (strcmp(former->hosts_files[i].path, path) == 0)
			return former->hosts_files[i].text;
	}
	return NULL;
}

/* For those who read it next. */
static int remember(struct kb_corefile *c, const char *path, const char *text)
{
	struct kb_corefile_hosts_file file = {.path = strdup(path), .text = strdup(text)};
	struct kb_corefile_hosts_file *v =
		reallocarray(c->hosts_files, c->n_hosts_files + 1, sizeof(*v));

	if (v)
		c->hosts_files = v;
	if (!v || !file.path || !file.text) {
		free(file.path);
		free(file.text);
		return -ENOMEM;
	}
	v[c->n_hosts_files++] = file;
	return 0;
}

int kb_cf_load_hosts(struct kb_cf *cf, struct kb_cf_block *block)
{
	const struct kb_cf_directive *d = kb_cf_find(block, "hosts");
	struct kb_cf_cursor c = {0};
	const struct kb_cf_token *args;
	char *text = NULL;
	size_t n, len;
	int r;

	if (d)
		c = (struct kb_cf_cursor){.t = d->tokens.v, .n = d->tokens.n};
	if (!cf->follow_imports || !kb_cf_next(&c))
		return 0;
	args = kb_cf_args(&c, &n);
	if (!n || strcmp(args[0].text, HOSTS_FILE) == 0)
		return 0;
	r = kb_cf_load(cf, args[0].text, &text, &len, &block->hosts_file);
	if (r == -ENOMEM)
		return kb_cf_no_memory(cf);
	if (r < 0) {
		const char *former = former_text(cf->former, args[0].text);

		*cf->err = '\0'; /* one that is not there, or too long, is one that we do not see */
		if (!former)
			return 0;
		block->hosts_kept = true;
		block->hosts_text = kb_cf_keep(cf, former, strlen(former));
	} else {
		block->hosts_text = kb_cf_keep(cf, text, len);
		free(text);
	}
	if (!block->hosts_text || remember(cf->out, args[0].text, block->hosts_text) < 0)
		return kb_cf_no_memory(cf);
	return 0;
}
