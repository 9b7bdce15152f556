/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of filter.h. */
#include "control/kube/filter.h"

#include <stdlib.h>
#include <string.h>

/* Tells only what is new: a list that is read again mostly says the same. Should there be
 * no memory for a copy, the next list is told again. */
static void tell(struct kb_filter *f, const char *text)
{
	if (f->told && (text ? f->last_text && !strcmp(text, f->last_text) : !f->last_text))
		return;
	free(f->last_text);
	f->last_text = text ? strdup(text) : NULL;
	f->told = !text || f->last_text;
	if (f->sink.config)
		f->sink.config(f->sink.config_arg, text);
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
		tell(f, obj->bad ? NULL : obj->u.configmap.text);
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
