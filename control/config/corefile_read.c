/* SPDX-License-Identifier: Apache-2.0 */
/* Files, memory, errors and notes of the Corefile reader, and its public functions. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config/corefile_private.h"
#include "control/config/options_private.h"
#include "control/config/rules.h"

/* Of strings kept: the files once, and what their words become. */
#define MEMORY_MAX (8UL * KB_COREFILE_MAX)
/* Of a line in a note. */
#define WHAT_MAX 120
/* Of notes; the rest is only counted. */
#define NOTES_MAX 2000

const char *kb_cf_keep(struct kb_cf *cf, const char *s, size_t n)
{
	char *copy;

	cf->full |= cf->bytes + n + 1 > MEMORY_MAX;
	if (cf->full)
		return NULL;
	if (cf->n_memory == cf->cap_memory) {
		size_t cap = cf->cap_memory ? cf->cap_memory * 2 : 64;
		void *v = realloc(cf->memory, cap * sizeof(*cf->memory));

		if (!v)
			return NULL;
		cf->memory = v;
		cf->cap_memory = cap;
	}
	copy = malloc(n + 1);
	if (!copy)
		return NULL;
	memcpy(copy, s, n);
	copy[n] = '\0';
	cf->memory[cf->n_memory++] = copy;
	cf->bytes += n + 1;
	return copy;
}

int kb_cf_no_memory(struct kb_cf *cf)
{
	if (cf->full)
		return kb_config_fail(-EOPNOTSUPP, cf->err, cf->err_size,
				      "%s: too long with everything imported, make it shorter",
				      kb_cf_file_name(cf, 0));
	return kb_config_fail(-ENOMEM, cf->err, cf->err_size, "%s: out of memory",
			      kb_cf_file_name(cf, 0));
}

int kb_cf_explain(struct kb_cf *cf, int r)
{
	if (r == -E2BIG)
		return kb_cf_fail(cf, -EOPNOTSUPP, 0, 1,
				  "more than %d zones or names in one place, use fewer",
				  KB_CF_NAMES_MAX);
	return r == -ENOMEM ? kb_cf_no_memory(cf) : r;
}

const char *kb_cf_file_name(const struct kb_cf *cf, uint32_t i)
{
	return i < cf->out->n_files ? cf->out->files[i] : "";
}

int kb_cf_fail(struct kb_cf *cf, int r, uint32_t file, uint32_t line, const char *format, ...)
{
	char what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (cf->no_lines)
		return kb_config_fail(r, cf->err, cf->err_size, "%s: %s", kb_cf_file_name(cf, file),
				      what);
	return kb_config_fail(r, cf->err, cf->err_size, "%s:%u: %s", kb_cf_file_name(cf, file),
			      line, what);
}

/* "name arg arg", with no character that would upset a terminal. */
static char *shorten(const struct kb_cf_token *name, const struct kb_cf_token *args, size_t n)
{
	char text[WHAT_MAX + 1];
	size_t used = 0;

	for (size_t i = 0; i <= n; i++) {
		const char *s = i ? args[i - 1].text : name->text;

		if (i && used < WHAT_MAX)
			text[used++] = ' ';
		for (; *s && used < WHAT_MAX; s++)
			text[used++] = (unsigned char)*s < ' ' || *s == 0x7f ? ' ' : *s;
		if (*s && used == WHAT_MAX)
			memcpy(text + used - 3, "...", 3);
	}
	text[used] = '\0';
	return strdup(text);
}

int kb_cf_note(struct kb_cf *cf, const struct kb_cf_token *name, const struct kb_cf_token *args,
	       size_t n_args, enum kb_corefile_verdict verdict, const char *zone, const char *why)
{
	struct kb_corefile *out = cf->out;
	struct kb_corefile_note *note;
	void *v;

	if (out->n_notes == NOTES_MAX) {
		out->n_more_notes++;
		return 0;
	}
	v = realloc(out->notes, (out->n_notes + 1) * sizeof(*out->notes));
	if (!v)
		return kb_cf_no_memory(cf);
	out->notes = v;
	note = &out->notes[out->n_notes++];
	*note = (struct kb_corefile_note){
		.file = kb_cf_file_name(cf, name->file),
		.line = name->line,
		.verdict = verdict,
		.what = shorten(name, args, n_args),
		.zone = zone ? strdup(zone) : NULL,
		.why = why,
	};
	return note->what && (note->zone || !zone) ? 0 : kb_cf_no_memory(cf);
}

static void add_to_hash(struct kb_corefile *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out->hash = (out->hash ^ (unsigned char)s[i]) * 0x100000001b3ULL;
	out->hash = (out->hash ^ 0x100) * 0x100000001b3ULL;
}

static int add_file(struct kb_corefile *out, const char *name, uint32_t *ret)
{
	char **v = realloc(out->files, (out->n_files + 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	out->files = v;
	v[out->n_files] = strdup(name);
	if (!v[out->n_files])
		return -ENOMEM;
	*ret = (uint32_t)out->n_files++;
	add_to_hash(out, name, strlen(name));
	return 0;
}

/* The whole of a regular file. */
static int read_all(const char *path, char **ret_text, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	size_t len = 0;
	struct stat st;
	char *text;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EISDIR;
	}
	text = malloc(KB_COREFILE_MAX + 1);
	if (!text)
		r = -ENOMEM;
	while (r == 0 && len <= KB_COREFILE_MAX) {
		ssize_t n = read(fd, text + len, KB_COREFILE_MAX + 1 - len);

		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	if (r == 0 && len > KB_COREFILE_MAX)
		r = -EFBIG;
	if (r < 0) {
		free(text);
		return r;
	}
	text[len] = '\0';
	*ret_text = text;
	*ret_len = len;
	return 0;
}

int kb_cf_load(struct kb_cf *cf, const char *path, char **ret_text, size_t *ret_len,
	       uint32_t *ret_file)
{
	int r = add_file(cf->out, path, ret_file);

	if (r == 0)
		r = read_all(path, ret_text, ret_len);
	if (r == 0 && cf->loaded + *ret_len > KB_COREFILE_MAX) {
		free(*ret_text);
		*ret_text = NULL;
		r = -EFBIG;
	}
	if (r == -EFBIG)
		return kb_cf_fail(cf, -EOPNOTSUPP, *ret_file, 1,
				  "more than 1 MiB of text, make it shorter");
	if (r < 0)
		return r;
	cf->loaded += *ret_len;
	add_to_hash(cf->out, *ret_text, *ret_len);
	return 0;
}

/* Text to rules, and the end of everything that was kept on the way. */
static int finish(struct kb_cf *cf, const char *text, size_t len)
{
	struct kb_cf_tokens tokens = {0};
	int r;

	r = kb_cf_lex(cf, 0, text, len, &tokens);
	if (r == 0)
		r = kb_cf_parse(cf, &tokens);
	if (r == 0)
		r = kb_cf_build(cf);
	free(tokens.v);
	kb_cf_blocks_free(cf);
	for (size_t i = 0; i < cf->n_memory; i++)
		free(cf->memory[i]);
	free(cf->memory);
	return r;
}

static void start(struct kb_cf *cf, struct kb_corefile *ret, char *err, size_t err_size)
{
	memset(ret, 0, sizeof(*ret));
	ret->hash = 0xcbf29ce484222325ULL;
	memset(cf, 0, sizeof(*cf));
	cf->out = ret;
	cf->err = err;
	cf->err_size = err_size;
}

static void notes_free(struct kb_corefile *c)
{
	for (size_t i = 0; i < c->n_notes; i++) {
		free(c->notes[i].what);
		free(c->notes[i].zone);
	}
	free(c->notes);
	c->notes = NULL;
	c->n_notes = 0;
}

static void hosts_files_free(struct kb_corefile *c)
{
	for (size_t i = 0; i < c->n_hosts_files; i++) {
		free(c->hosts_files[i].path);
		free(c->hosts_files[i].text);
	}
	free(c->hosts_files);
	c->hosts_files = NULL;
	c->n_hosts_files = 0;
}

/* Of a read that failed only what it depends on is kept. */
static int end(struct kb_corefile *ret, int r)
{
	if (r < 0) {
		notes_free(ret);
		kb_rules_free(&ret->rules);
		kb_forward_rules_free(&ret->forward);
		kb_corefile_blocks_free(ret->blocks, ret->n_blocks);
		ret->blocks = NULL;
		ret->n_blocks = 0;
		hosts_files_free(ret);
	}
	return r;
}

int kb_corefile_read(const char *path, const struct kb_corefile *former, struct kb_corefile *ret,
		     char *err, size_t err_size)
{
	struct kb_cf cf;
	uint32_t file;
	char *text = NULL;
	size_t len;
	int r;

	start(&cf, ret, err, err_size);
	cf.follow_imports = true;
	cf.former = former;
	r = kb_cf_load(&cf, path, &text, &len, &file);
	if (r == -EOPNOTSUPP)
		return r;
	if (r < 0)
		return kb_config_fail(r, err, err_size, "%s: %s, check --corefile", path,
				      strerror(-r));
	r = finish(&cf, text, len);
	free(text);
	return end(ret, r);
}

int kb_corefile_parse(const char *name, const char *text, size_t len, struct kb_corefile *ret,
		      char *err, size_t err_size)
{
	struct kb_cf cf;
	uint32_t file;
	int r;

	start(&cf, ret, err, err_size);
	r = add_file(ret, name, &file);
	if (r < 0)
		return kb_config_fail(r, err, err_size, "%s: out of memory", name);
	add_to_hash(ret, text, len);
	if (len > KB_COREFILE_MAX)
		return kb_cf_fail(&cf, -EOPNOTSUPP, 0, 1,
				  "more than 1 MiB of text, make it shorter");
	return end(ret, finish(&cf, text, len));
}

void kb_corefile_free(struct kb_corefile *c)
{
	kb_rules_free(&c->rules);
	kb_forward_rules_free(&c->forward);
	hosts_files_free(c);
	kb_corefile_blocks_free(c->blocks, c->n_blocks);
	notes_free(c);
	for (size_t i = 0; i < c->n_files; i++)
		free(c->files[i]);
	free(c->files);
	memset(c, 0, sizeof(*c));
}

/* One line of --kubernetes. */
static int take_line(struct kb_cf *cf, const char *text, struct kb_cf_kubernetes *k)
{
	struct kb_cf_tokens tokens = {0};
	struct kb_cf_cursor c;
	int r;

	r = kb_cf_lex(cf, 0, text, strlen(text), &tokens);
	for (size_t i = 0; r == 0 && i < tokens.n; i++)
		r = kb_cf_expand(cf, &tokens.v[i]);
	c = (struct kb_cf_cursor){.t = tokens.v, .n = tokens.n};
	if (r == 0 && !kb_cf_next(&c))
		r = kb_cf_fail(cf, -EINVAL, 0, 1, "empty, give a line such as \"pods verified\"");
	if (r == 0)
		r = kb_cf_kubernetes_property(cf, &c, k);
	if (r == 0 && kb_cf_next(&c))
		r = kb_cf_fail(cf, -EINVAL, 0, 1,
			       "\"%.64s\" is more than one line of a kubernetes block", text);
	free(tokens.v);
	return r;
}

/* The zones of pods' names, which were left as long as nothing said what they mean. */
static void drop_pod_zones(struct kb_rules *rules)
{
	size_t kept = 0;

	for (size_t i = 0; i < rules->n_zones; i++) {
		struct kb_zone_rule *z = &rules->zones[i];

		if (z->role == KB_ZONE_FOREIGN && strncmp(z->name, "pod.", 4) == 0)
			free(z->name);
		else
			rules->zones[kept++] = *z;
	}
	rules->n_zones = kept;
}

/* What the lines say of zones that others have named. */
static void apply_zones(const struct kb_cf_kubernetes *k, struct kb_rules *rules)
{
	if (k->has_pods)
		drop_pod_zones(rules);
	for (size_t i = 0; i < rules->n_zones; i++) {
		struct kb_zone_rule *z = &rules->zones[i];

		if (k->zonal || (k->has_fall && kb_cf_names_touch(&k->fall, z->name)))
			z->leave_misses = true;
		for (size_t m = 0; m < k->multicluster.n; m++) {
			if (strcmp(k->multicluster.v[m], z->name) == 0) {
				z->role = KB_ZONE_FOREIGN;
				z->leave_misses = true;
			}
		}
	}
}

int kb_corefile_kubernetes_lines(const struct kb_strings *lines, struct kb_rules *rules, char *err,
				 size_t err_size)
{
	struct kb_cf_kubernetes k = {.api = NULL};
	struct kb_corefile out;
	struct kb_cf cf;
	uint32_t file;
	int r;

	start(&cf, &out, err, err_size);
	cf.no_lines = true;
	r = add_file(&out, "--kubernetes", &file);
	for (size_t i = 0; r == 0 && i < rules->n_zones; i++)
		r = kb_rules_add_zone(&k.rules, rules->zones[i].name, rules->zones[i].role,
				      rules->zones[i].leave_misses);
	k.rules.ttl_s = rules->ttl_s;
	for (size_t i = 0; r == 0 && i < lines->n; i++)
		r = take_line(&cf, lines->v[i], &k);
	r = kb_cf_explain(&cf, r);
	if (r == 0)
		r = kb_cf_kubernetes_check(&cf, &k);
	if (r == 0) {
		apply_zones(&k, &k.rules);
		kb_rules_free(rules);
		*rules = k.rules;
		memset(&k.rules, 0, sizeof(k.rules));
	}
	kb_rules_free(&k.rules);
	free(k.fall.v);
	free(k.multicluster.v);
	free(k.api);
	for (size_t i = 0; i < cf.n_memory; i++)
		free(cf.memory[i]);
	free(cf.memory);
	kb_corefile_free(&out);
	return r;
}
