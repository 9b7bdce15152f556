/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the text of one object, or of one watch event, to struct kb_object. The text
 * is JSON or protobuf, as the API server sends them.
 *
 * Reads v1 Service, discovery.k8s.io/v1 EndpointSlice, v1 Namespace, v1 Pod and v1
 * ConfigMap in one pass and in any member order. Absent and null are the same everywhere. An object
 * with an absurd field is handed back as `bad` with the reason, as long as it can be named. Main
 * loop's thread only.
 */
#ifndef KB_KUBE_OBJECT_PARSE_H
#define KB_KUBE_OBJECT_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "control/records/object.h"

enum kb_encoding {
	KB_JSON,
	KB_PROTOBUF, /* application/vnd.kubernetes.protobuf */
};

enum kb_parse_result {
	KB_PARSE_OBJECT,  /* obj is filled, and may be bad */
	KB_PARSE_IGNORED, /* a proper text of a kind that is none of ours */
	KB_PARSE_UNNAMED, /* cannot be named; the reason is in `why` */
};

enum kb_event_type {
	KB_EVENT_UNKNOWN,
	KB_EVENT_ADDED,
	KB_EVENT_MODIFIED,
	KB_EVENT_DELETED,
	KB_EVENT_BOOKMARK,
	KB_EVENT_ERROR,
};

/* All pointers are borrowed from the parser until its next call. */
struct kb_parsed {
	enum kb_parse_result result;
	struct kb_object obj; /* with KB_PARSE_OBJECT; of one unnamed only its kind, or
			       * KB_KIND_MAX */
	const char *why;      /* with KB_PARSE_UNNAMED, static */
	bool malformed;	      /* not of that encoding, or only a beginning */
	size_t error_at;      /* where, when malformed; JSON only */

	const char *resource_version; /* "" when there is none */
	enum kb_event_type event;     /* of kb_object_parse_event only */
	bool initial_events_end;      /* the bookmark that ends the initial list */
	int status_code;	      /* of a Status: 410 and so on, 0 when absent */
	const char *status_message;   /* of a Status: "" when absent */
};

struct kb_object_parser;

int kb_object_parser_new(struct kb_object_parser **ret_parser);
void kb_object_parser_free(struct kb_object_parser *parser);
/* The key of ConfigMaps whose text is read; borrowed. Without one none is. */
void kb_object_parser_config_key(struct kb_object_parser *parser, const char *key);
/* Instead: the texts of all keys are read. */
void kb_object_parser_config_all(struct kb_object_parser *parser);
/* Reads one object. `kind` is what it has to be when the caller knows (the items of
 * a typed list do not say), or KB_KIND_MAX: then by its apiVersion and kind. Labels are
 * filled for Namespaces, and for every kind when the caller did not know it.
 * `bad` is NULL, or why the object is unusable anyway (text may then be only its
 * beginning) and is borrowed like the rest. Returns 0 or -ENOMEM. */
int kb_object_parse(struct kb_object_parser *parser, enum kb_encoding encoding, enum kb_kind kind,
		    const char *text, size_t len, const char *bad, struct kb_parsed *ret_parsed);
/* The same for a watch event. */
int kb_object_parse_event(struct kb_object_parser *parser, enum kb_encoding encoding,
			  enum kb_kind kind, const char *text, size_t len, const char *bad,
			  struct kb_parsed *ret_parsed);
/* The same for a list's "metadata": the text ret_continue ("" at the end of the
 * list) and the resource version. Returns 0, -ENOMEM or -EBADMSG. */
int kb_object_parse_list_meta(struct kb_object_parser *parser, enum kb_encoding encoding,
			      const char *text, size_t len, const char **ret_resource_version,
			      const char **ret_continue);
/* Bytes of working memory kept between calls. */
size_t kb_object_parser_memory(const struct kb_object_parser *parser);

#endif
