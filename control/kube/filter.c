/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of filter.h. */
#include "control/kube/filter.h"

#include <stdlib.h>
#include <string.h>

/* One piece of memory with all that is told of it, to be freed, so that it can be compared. What
 * is bad has no final NUL. */
static char *flatten(const struct kb_filter *f, const struct kb_object *obj, size_t *ret_len)
{
	const struct kb_configmap *c = &obj->u.configmap;
	size_t n = f->whole && !obj->bad ? c->n_data : 0;
	const char *text = obj->bad ? obj->bad : f->whole ? "" : c->text;
	size_t len = strlen(text) + 1;
	char *flat, *p;

	for (size_t i = 0; i < n; i++)
		len += strlen(c->data[i].key) + strlen(c->data[i].value) + 2;
	flat = malloc(len);
	if (!flat)
		return NULL;
	p = stpcpy(flat, text) + !obj->bad;
	for (size_t i = 0; i < n; i++) {
		p = stpcpy(p, c->data[i].key) + 1;
		p = stpcpy(p, c->data[i].value) + 1;
	}
	*ret_len = (size_t)(p - flat);
	return flat;
}

/* Tells only what is new: a list that is read again mostly says the same. Should there be
 * no memory for a copy, the next list is told again. NULL: there is no such object. */
static void tell(struct kb_filter *f, const struct kb_object *obj)
{
	char *flat = NULL;
	size_t len = 0;

	if (obj && !f->whole && (obj->bad || !obj->u.configmap.text))
		obj = NULL;
	if (obj)
		flat = flatten(f, obj, &len);
	if (f->told &&
	    (flat ? f->last_text && len == f->last_len && !memcmp(flat, f->last_text, len)
		  : !obj && !f->last_text)) {
		free(flat);
		return;
	}
	free(f->last_text);
	f->last_text = flat;
	f->last_len = len;
	f->told = !obj || flat;
	if (!f->whole && f->sink.config)
		f->sink.config(f->sink.config_arg, obj ? obj->u.configmap.text : NULL);
	else if (f->whole && f->sink.config_object)
		f->sink.config_object(f->sink.config_arg, obj);
}

static bool is_configmap(const struct kb_filter *f, const char *ns, const char *name)
{
	return f->configmap_name && !strcmp(ns, f->configmap_ns) &&
	       !strcmp(name, f->configmap_name);
}

static void on_begin(void *arg, enum kb_kind kind)
{
	struct kb_filter *f = arg;

	if (kind == KB_CONFIGMAP)
		f->in_list = false;
	else
		f->sink.relist_begin(f->sink.arg, kind);
}

static void on_end(void *arg, enum kb_kind kind)
{
	struct kb_filter *f = arg;

	if (kind != KB_CONFIGMAP)
		f->sink.relist_end(f->sink.arg, kind);
	else if (!f->in_list)
		tell(f, NULL);
}

static void on_abort(void *arg, enum kb_kind kind)
{
	struct kb_filter *f = arg;

	if (kind != KB_CONFIGMAP)
		f->sink.relist_abort(f->sink.arg, kind);
}

/* Of a bad object the labels are not known: it is handed over, and its names are left
 * alone. */
static bool selected(const struct kb_filter *f, const struct kb_object *obj)
{
	return !f->selector || obj->bad || obj->kind == KB_NAMESPACE ||
	       kb_selector_match(f->selector, obj->labels, obj->n_labels);
}

static void on_apply(void *arg, const struct kb_object *obj)
{
	struct kb_filter *f = arg;

	if (obj->kind == KB_CONFIGMAP) {
		if (!is_configmap(f, obj->ns, obj->name))
			return;
		f->in_list = true;
		tell(f, obj);
	} else if (selected(f, obj)) {
		f->sink.apply(f->sink.arg, obj);
	}
}

static void on_gone(void *arg, enum kb_kind kind, const char *ns, const char *name)
{
	struct kb_filter *f = arg;

	if (kind != KB_CONFIGMAP)
		f->sink.gone(f->sink.arg, kind, ns, name);
	else if (is_configmap(f, ns, name))
		tell(f, NULL);
}

static void on_alive(void *arg, enum kb_kind kind)
{
	struct kb_filter *f = arg;

	if (kind != KB_CONFIGMAP && f->sink.alive)
		f->sink.alive(f->sink.arg, kind);
}

void kb_filter_sink(struct kb_filter *f, struct kb_sink *ret_sink)
{
	*ret_sink = (struct kb_sink){
		.arg = f,
		.relist_begin = on_begin,
		.relist_end = on_end,
		.relist_abort = on_abort,
		.apply = on_apply,
		.gone = on_gone,
		.alive = on_alive,
	};
}

void kb_filter_fini(struct kb_filter *f)
{
	kb_selector_free(f->selector);
	free(f->configmap_ns);
	free(f->configmap_name);
	free(f->last_text);
}
