/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of control/datapath share. */
#ifndef KB_DATAPATH_PRIVATE_H
#define KB_DATAPATH_PRIVATE_H

#include <limits.h>

#include "control/datapath/datapath.h"

/* The order in which they are pinned: the header last. */
enum kb_map_id {
	KB_MAP_ICEPT,
	KB_MAP_INDEX,
	KB_MAP_ARENA,
	KB_MAP_WORKERS,
	KB_MAP_WORKER_STATS,
	KB_MAP_PERCPU,
	KB_MAP_PORTS,
	KB_MAP_XSKS,
	KB_MAP_STEER_BEAT,
	KB_MAP_EVENTS,
	KB_MAP_PCACHE_INDEX,
	KB_MAP_PCACHE_ARENA,
	KB_MAP_PCACHE_USE,
	KB_MAP_HEADER,
	KB_MAP_COUNT,
};

enum kb_prog_id { KB_PROG_TC, KB_PROG_XDP, KB_PROG_BEAT, KB_PROG_UNSTEER, KB_PROG_COUNT };

struct kb_mapping {
	void *at; /* owned mapping or NULL */
	size_t size;
};

enum { KB_LOCAL_MAP_SLOTS, KB_LOCAL_MAP_COUNTS, KB_LOCAL_MAPS };
enum { KB_LOCAL_IN, KB_LOCAL_OUT, KB_LOCAL_PROGS };

struct kb_local_state {
	bool wanted;
	int map_fd[KB_LOCAL_MAPS];   /* owned, -1 */
	int prog_fd[KB_LOCAL_PROGS]; /* owned, -1: not loaded */
	struct kb_local *at;	     /* owned mapping of `size` bytes, or NULL */
	size_t size;
	struct kb_local_counts *counts; /* owned: for each CPU */
};

#define KB_FOLDER_NAME 24 /* "table_1" */

struct kb_datapath {
	char dir[PATH_MAX - 64];
	char folder[KB_FOLDER_NAME]; /* of the table, in dir; "" before there is one */
	char table_dir[PATH_MAX - 64 + KB_FOLDER_NAME + 1]; /* both */
	int dir_fd;					    /* owned, -1: none; holds the lock */
	bool adopted;
	bool pending; /* the folder is not yet the one in force */
	bool beside;  /* until then another kbdnsd serves, whose lock it is */
	bool skip_tc, skip_xdp;
	bool generic_xdp;
	bool xdp_force;
	char tc_order[32];
	bool clsact;
	uint64_t packet_cache;		   /* bytes, 0: none */
	struct kb_pcache_size pcache_size; /* the least there can be, if it is none */

	int map_fd[KB_MAP_COUNT];   /* owned */
	int prog_fd[KB_PROG_COUNT]; /* owned, -1: not loaded */

	struct kb_mapping header, icept, workers, worker_stats, index[2];
	struct kb_local_state local;
	struct kb_epochs epochs; /* over `workers` */
	struct kb_mapping pcache_index, pcache_arena, pcache_use;
	struct kb_mapping page[KB_PAGES_MAX];
	uint32_t index_entries[2];
	/* Only where membarrier is refused: an array of maps whose update waits. */
	int grace_outer_fd, grace_inner_fd; /* owned or -1 */

	unsigned int hz;
	uint64_t beat_ms, beat_jiffies; /* the last beat, 0 before */
	unsigned int cpus;
	struct kb_percpu *percpu; /* owned: one row of kb_percpu */

	struct kb_datapath_port *ports; /* owned */
	size_t n_ports;
};

/* snprintf into err; returns r. */
int kb_datapath_error(char *err, size_t size, int r, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* pin.c: names have no folder and, as bpffs wants it, no dot. */
int kb_pin_dir(const char *dir, char *err, size_t err_size);
int kb_pin_open(const char *dir, const char *name);
/* Pins over what may stand there. */
int kb_pin_put(const char *dir, const char *name, int fd);
void kb_pin_remove(const char *dir, const char *name);
/* Calls fn for each entry of the folder; 0 or the first result that is not 0. */
int kb_pin_each(const char *dir, int (*fn)(const char *dir, const char *name, void *arg),
		void *arg);
void kb_pin_remove_like(const char *dir, const char *prefix);

/* datapath.c: one engine's row of kb_percpu, into dp->percpu. 0 or -errno. */
int kb_percpu_read(const struct kb_datapath *dp, uint32_t row);

/* folder.c. The folder of the table in force; -ENOENT. */
int kb_folder_current(const char *dir, char name[KB_FOLDER_NAME]);
/* Makes an empty one beside it. 0 or -errno. */
int kb_folder_new(const char *dir, char name[KB_FOLDER_NAME]);
/* From now on it is the one in force. 0 or -errno. */
int kb_folder_commit(const char *dir, const char *name);
/* With the link, if it leads there. */
void kb_folder_remove(const char *dir, const char *name);
/* All but `keep`; NULL: all, with the link to the one in force. */
void kb_folder_remove_others(const char *dir, const char *keep);
/* Is there a table of a version that knew no such folders? */
bool kb_folder_has_flat(const char *dir);

/* load.c */
int kb_load_maps(struct kb_datapath *dp, char *err, size_t err_size);

/* backing.c */
int kb_backing_open(struct kb_datapath *dp);
void kb_backing_close(struct kb_datapath *dp);

/* pinned.c: links pinned as DIR/link_ENGINE_IFINDEX. */
#define KB_LINK_NAME 32
void kb_link_name(char name[KB_LINK_NAME], enum kb_engine engine, unsigned int ifindex);
/* Interface of a link, 0 if that is gone. */
unsigned int kb_link_ifindex(int fd);
/* The link an earlier run has pinned for this interface, running `prog_fd` from now on; or
 * -ENOENT. */
int kb_link_take(const char *dir, const char *name, unsigned int ifindex, int prog_fd);
/* Takes over fd; returns it, or -errno and then it is closed. */
int kb_link_pin(const char *dir, const char *name, int fd);

/* attach.c */
/* Appends a port that is not attached; others may move. 0, or -errno with one line in err. */
int kb_port_add(struct kb_datapath *dp, enum kb_engine engine, const char *ifname, char *err,
		size_t err_size, struct kb_datapath_port **ret_port);
/* The one that was asked for by this name, or NULL. */
struct kb_datapath_port *kb_port_listed(const struct kb_datapath *dp, enum kb_engine engine,
					const char *ifname);
/* Is the program still where it was attached, and in the place that it should have? */
bool kb_port_stands(const struct kb_datapath *dp, const struct kb_datapath_port *p);
/* Detaches, and removes the pin; the port stays. */
void kb_port_detach(struct kb_datapath *dp, struct kb_datapath_port *p);
/* Takes a port off the list as it is; others may move. */
void kb_port_drop(struct kb_datapath *dp, struct kb_datapath_port *p);
/* Lets go of the link and finds the interface by its name. 0, or -errno as kb_port_error. */
int kb_port_begin(struct kb_datapath *dp, struct kb_datapath_port *p, enum kb_prog_id prog,
		  char *err, size_t err_size);
/* The port is not attached because of `text`; returns r, with one line in err. */
int kb_port_error(struct kb_datapath_port *port, int r, char *err, size_t err_size,
		  const char *text);
/* The port is attached. */
void kb_port_done(struct kb_datapath_port *p);
/* Those that run another kbdnsd's program run ours again. */
void kb_ports_reclaim(struct kb_datapath *dp);
void kb_ports_close(struct kb_datapath *dp);
/* Detaches everything whose pins are in dir, and our clsact filters. */
void kb_attach_remove_all(const char *dir);

/* steer.c: the port is served no more; its queues are nobody's. */
void kb_port_forget(const struct kb_datapath *dp, unsigned int ifindex);
/* Queues whose workers have died are nobody's. Now and then. */
void kb_steer_tidy(const struct kb_datapath *dp);

/* attach_tc.c, attach_xdp.c: 0, or -errno as kb_port_error. */
int kb_port_attach_tc(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
		      size_t err_size);
int kb_port_attach_xdp(struct kb_datapath *dp, struct kb_datapath_port *p, char *err,
		       size_t err_size);

/* order.c */
enum kb_hook_dir { KB_HOOK_IN, KB_HOOK_OUT };
/* Behind the program of link `behind_fd`, or, if that is -1, in front of all that are there. A
 * link's fd or -errno. */
int kb_tcx_create(int prog_fd, unsigned int ifindex, enum kb_hook_dir dir, int behind_fd);

/* local.c: nothing happens in any of these while it is not wanted. */
int kb_local_open(struct kb_datapath *dp);
void kb_local_close(struct kb_datapath *dp);
int kb_local_load(struct kb_datapath *dp);
/* After kbdns_tc, in the same way. 0 or -errno. */
int kb_local_attach(struct kb_datapath *dp, struct kb_datapath_port *p);
void kb_local_detach(struct kb_datapath *dp, struct kb_datapath_port *p);
void kb_local_forget(struct kb_datapath_port *p);
/* Removes what a run in local mode has pinned beside its links, if it is not wanted. */
void kb_local_prune(const struct kb_datapath *dp);
/* Is this the pin of one of its links? */
bool kb_local_is_link(const char *name, unsigned int *ret_ifindex);
bool kb_local_stands(const struct kb_datapath *dp, const struct kb_datapath_port *p);

/* clsact.c: filters of kernels without tcx, each with a place of its own. */
enum kb_clsact { KB_CLSACT_TC, KB_CLSACT_LOCAL_IN, KB_CLSACT_LOCAL_OUT, KB_CLSACT_MAX };

int kb_clsact_attach(const char *dir, unsigned int ifindex, enum kb_clsact which, int prog_fd);
/* Removes one filter, if it is ours. True if it was there. */
bool kb_clsact_remove(unsigned int ifindex, enum kb_clsact which);
/* Removes our filters, and the qdisc if it was ours and nobody else uses it. True if there was
 * any. */
bool kb_clsact_detach(const char *dir, unsigned int ifindex);
/* Of an interface that has gone. */
void kb_clsact_forget(const char *dir, unsigned int ifindex);
/* True when in doubt: a shortage of descriptors is no reason to attach anew. */
bool kb_clsact_is_attached(unsigned int ifindex, enum kb_clsact which);
/* kbdns_tc's program, 0: none. */
uint32_t kb_clsact_prog(unsigned int ifindex);

#endif
