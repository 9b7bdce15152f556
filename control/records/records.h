/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects in, names out: what cluster DNS answers.
 *
 * Keeps Services, EndpointSlices, Namespaces and Pods in compact form, and for each change
 * enters, changes and removes just the names that it concerns (control/table).
 * Every function runs on the main loop's thread.
 */
#ifndef KB_RECORDS_RECORDS_H
#define KB_RECORDS_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/records/object.h"
#include "control/records/rules.h"
#include "control/table/table.h"

#define KB_DNS_SERVICES_MAX 8

struct kb_records;

struct kb_records_config {
	const struct kb_rules *rules; /* copied */
	/* "NS/NAME" of the cluster DNS Services: NS records and intercepts. */
	const char *dns_services[KB_DNS_SERVICES_MAX];
	size_t n_dns_services;
	/* Called in the event that changes them; port in host order. `service`: it is an address of
	 * such a Service, otherwise only of its endpoints. */
	void (*intercept)(void *arg, bool add, bool service, const struct kb_addr *addr,
			  uint16_t port);
	/* An EndpointSlice's change has been published. type and selector are its Service's, as in
	 * struct kb_service, and trigger_time_s is its own; not called when one of them is not
	 * known. */
	void (*programmed)(void *arg, enum kb_service_type type, bool selector,
			   double trigger_time_s);
	/* Every kind has synced for the first time, and the table holds all of it. */
	void (*synced)(void *arg);
	/* One line about an object that DNS cannot carry, once for each such state of it;
	 * NULL: nobody wants to know. */
	void (*warn)(void *arg, const char *line);
	/* Unix time, for the serial; NULL: time(2). */
	uint32_t (*now_s)(void *arg);
	void *arg;
};

struct kb_records_stats {
	uint64_t services, slices, namespaces, endpoints, pods;
	uint64_t skipped;  /* objects whose names are left alone */
	uint64_t warnings; /* names or parts of objects that DNS cannot carry */
	uint64_t refused;  /* puts that the table did not take; tried again */
	uint64_t left;	   /* names entered as ones to leave */
	bool synced[KB_KIND_MAX];
};

/*
 * Enters the zones and the apex names. 0 or -errno with a line in err. Borrows the table;
 * what the config points to is copied.
 *
 * The table may have names from before: of an earlier run, or of other records that were made
 * for other rules and freed. They stay until `synced`, when exactly the names that the new rules
 * give are left. Until then they are old answers: with the rules of before, the state may be HITS
 * if they are fresh; with other rules the caller must have set it to OFF. If the zones
 * are others, it has been set here, and kb_records_rezoned() says so: it must stay OFF until
 * `synced`. Intercepts are not told to go when records are freed, and are all told to come
 * by the next ones.
 */
int kb_records_new(const struct kb_records_config *config, struct kb_table *table,
		   struct kb_records **ret_records, char *err, size_t err_size);
bool kb_records_rezoned(const struct kb_records *records);
void kb_records_free(struct kb_records *records);

/* The sink through which a source feeds these records. */
void kb_records_sink(struct kb_records *records, struct kb_sink *ret_sink);

/* Tries again some of what the table has refused; to be called twice a second. Each event
 * also tries a little. */
void kb_records_retry(struct kb_records *records);

void kb_records_stats(const struct kb_records *records, struct kb_records_stats *ret_stats);

/*
 * Renders the whole answer to (qname, qtype), without the limits of UDP: for TCP and
 * for sets marked KB_SET_MORE. qname in wire form, any case. Writes what follows the
 * question (whose name has `qname_len` bytes and starts at offset 12) into out, at most
 * cap bytes; additional records that do not fit are left out. Returns 0 and fills ret when
 * there are answer records, or when it is a name of a Pod that the table leaves, which has
 * its denial here; -ENOENT when the table's own answer is whole or nobody knows; -EMSGSIZE. An
 * ExternalName that leads out of our zones gives its CNAMEs alone and NOERROR, and tells where:
 * a forwarder may add the rest.
 */
struct kb_rendered {
	uint16_t an, ns, ar;
	uint8_t rcode;
	uint32_t target; /* offset in the message of the name that the CNAMEs lead to, 0: the
			  * answer is whole */
	size_t len;
};
int kb_records_render(const struct kb_records *records, const uint8_t *qname, size_t qname_len,
		      uint16_t qtype, uint8_t *out, size_t cap, struct kb_rendered *ret);

/*
 * A walk over all names (text form, no final dot) and their entries, in pieces and in no
 * special order, for callers that may not hold up the loop. Zeroed at start; it holds no
 * pointer, so objects may come, change and go between two pieces. It is no snapshot then:
 * a name that comes or goes meanwhile, and a reverse name next to one in the index, may be
 * told twice or not at all.
 */
struct kb_records_walk {
	uint32_t part, at;
};
/* The next piece: about KB_RECORDS_WALK_NAMES names, but all those of a Service together,
 * possibly none. Returns 1, 0 after the last piece, or the first non-zero result of `each`,
 * which ends the walk. */
#define KB_RECORDS_WALK_NAMES 64
int kb_records_walk(struct kb_records *records, struct kb_records_walk *walk,
		    int (*each)(void *arg, const char *name, const struct kb_entry *entry),
		    void *arg);

#endif
