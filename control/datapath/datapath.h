/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side of kbdnsd: loads the BPF programs, keeps the shared table's maps pinned,
 * attaches the programs to interfaces, beats the dead-man switch, reads the counters.
 * Only this folder knows libbpf and netlink; pods.h finds the interfaces of pods.
 *
 *   DIR/link_tc_IFINDEX link_xdp_IFINDEX link_local_in_IFINDEX link_local_out_IFINDEX
 *       attachments that outlive kbdnsd
 *   DIR/clsact_IFINDEX    a folder that says: the clsact qdisc there was made by us
 *   DIR/table             a symbolic link to the table in force, table_N
 *   DIR/table_N/kb_header kb_icept kb_index kb_arena kb_workers kb_worker_stats
 *       kb_percpu kb_ports kb_xsks kb_steer_beat kb_events   maps
 *   DIR/table_N/kb_pcache_index kb_pcache_arena kb_pcache_use
 *       likewise, of a size that is configured
 *   DIR/table_N/kb_local kb_local_counts    likewise, of local mode
 *   DIR/table_N/index_0 index_1 page_0000...    inner maps of kb_index and kb_arena
 *   DIR/table_N/prog_tc prog_xdp prog_unsteer prog_beat prog_local_in prog_local_out
 *       the programs, for bpftool
 *
 * kb_header is pinned last and so marks a complete set. A table that cannot be adopted (of another
 * layout, incomplete), or that another kbdnsd still writes, is left as it is: a new one is made
 * beside it, and is "pending" until kb_datapath_commit. Links that run a program over the former
 * table go on with it until they are attached anew, which is one step for each interface.
 * Whatever the moment of a crash, DIR/table leads to a whole table.
 *
 * Main thread only, but for kb_datapath_load_programs and the functions of kb_backing.
 */
#ifndef KB_DATAPATH_DATAPATH_H
#define KB_DATAPATH_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/pcache/pcache.h"
#include "control/table/epochs.h"
#include "control/table/table.h"
#include "dataplane/core/worker_stats.h"

struct kb_datapath;

struct kb_datapath_config {
	const char *dir;       /* in a mounted bpffs; made if it is not there */
	bool skip_tc;	       /* do not load kbdns_tc: half of the verifier's time */
	bool skip_xdp;	       /* do not load kbdns_xdp */
	bool generic_xdp;      /* attach in generic mode where the driver has no XDP */
	bool xdp_force;	       /* also onto cards of which nic.h says no */
	const char *tc_order;  /* see order.h; NULL: first, and before is all that clsact can */
	bool clsact;	       /* never tcx, as on kernels before 6.6 */
	bool local;	       /* with local mode's programs, see local.h */
	uint64_t packet_cache; /* bytes of the packet-path cache, 0: there is none */
	/* Another kbdnsd has dir, and will give way: a table of our own, and no lock until
	 * kb_datapath_lock. */
	bool beside;
};

/*
 * Takes over the table pinned in config->dir, or makes a new one and pins it there; with the
 * heartbeat's program, but not those that answer. Returns 0, or -errno with one line in err that
 * names the thing and the cure; then nothing has changed.
 */
int kb_datapath_open(const struct kb_datapath_config *config, struct kb_datapath **ret_datapath,
		     char *err, size_t err_size);
/*
 * Loads the programs that answer, over the same maps, and pins them. The verifier takes 0.1 to
 * 0.3 s for them, so that any thread may do it while the main one does all but what needs a
 * program: attach, prog_fd, close. 0, or -errno with one line in err.
 */
int kb_datapath_load_programs(struct kb_datapath *dp, char *err, size_t err_size);
/* Closes. `keep` leaves pins and attachments as they are, and they go on working; without
 * it everything is detached and removed. A pending table goes, and all else stays. Takes NULL. The
 * backing's memory is unmapped. */
void kb_datapath_close(struct kb_datapath *dp, bool keep);
/* Detaches and removes all that any run with this folder has left, then the folder. 0, also
 * when there was nothing, or -errno. */
int kb_datapath_uninstall(const char *dir, char *err, size_t err_size);

/* Is the table not in force yet? Then something else may still answer. */
bool kb_datapath_pending(const struct kb_datapath *dp);
/* From now on the table is the one in force. Call it when the programs are attached. 0 or -errno.
 */
int kb_datapath_commit(struct kb_datapath *dp);
/* And nobody will put another one in force again: all others go. */
void kb_datapath_alone(struct kb_datapath *dp);
/* The one kbdnsd of dir is from now on this one: `fd` is the lock that the former one has passed on
 * (taken over), or -1: that has gone. 0, or -errno with one line in err. */
int kb_datapath_lock(struct kb_datapath *dp, int fd, char *err, size_t err_size);
int kb_datapath_lock_fd(const struct kb_datapath *dp); /* borrowed */
/* Takes back what another one may have done that was to take over and could not: the table in force
 * and the links are ours again. */
void kb_datapath_reclaim(struct kb_datapath *dp);

/* True if a complete table was found pinned. */
bool kb_datapath_adopted(const struct kb_datapath *dp);
/* Readers of the table outside the kernel. Valid until kb_datapath_close. */
struct kb_epochs *kb_datapath_epochs(struct kb_datapath *dp);
/* What those of other processes count, KB_WORKER_STATS_MAX rows; likewise. */
const struct kb_worker_counts *kb_datapath_worker_counts(const struct kb_datapath *dp);
/* Sum of what went by exception paths. */
void kb_datapath_kernel_counts(const struct kb_datapath *dp, struct kb_kernel_counts *ret);
/* The maps as control/table wants them. Valid until kb_datapath_close. */
void kb_datapath_backing(struct kb_datapath *dp, struct kb_backing *ret_backing);
/* Those of the packet-path cache, for control/pcache. Likewise. -ENOENT if there is to be none. */
int kb_datapath_pcache(struct kb_datapath *dp, struct kb_pcache_backing *ret_backing);

/*
 * Attach to an interface of this network namespace. A link of an earlier run is updated
 * without a gap. tc goes where tc_order says among the tcx programs, or (before Linux 6.6)
 * in front of all filters by clsact, or nowhere if tc_order wants it behind others. xdp is native
 * or fails, unless generic_xdp. 0, or -errno with one line in err; the interface is listed either
 * way.
 */
int kb_datapath_attach_tc(struct kb_datapath *dp, const char *ifname, char *err, size_t err_size);
int kb_datapath_attach_xdp(struct kb_datapath *dp, const char *ifname, char *err, size_t err_size);
/* Detaches what earlier runs have attached and this one has not, and collects the pins of
 * interfaces that are gone. Call it after the last attach. */
void kb_datapath_prune(struct kb_datapath *dp);
/* Looks whether the attachments still stand, and attaches anew to interfaces that were lost
 * (and came back under their name). Costs microseconds; call it about once a second. */
void kb_datapath_refresh(struct kb_datapath *dp);
void kb_datapath_detach_all(struct kb_datapath *dp);

struct kb_datapath_port {
	char name[16];
	unsigned int ifindex;
	enum kb_engine engine;
	const char *mode; /* "tcx", "clsact", "native", "generic", "" while not attached */
	bool attached;
	uint64_t attached_ms; /* CLOCK_MONOTONIC, when this run did it or took it over */
	bool found;	      /* by control/datapath/pods.h, not by name */
	char error[128];      /* "" if there is none */
	bool seen, waits;     /* private */
	unsigned int placed;  /* private: times at tcx since it has this ifindex */
	uint64_t told_ns;     /* private */
	int link_fd;	      /* private; owned, -1 for clsact */
	int local_fd[2];      /* likewise, of local mode's */
};

size_t kb_datapath_n_ports(const struct kb_datapath *dp);
const struct kb_datapath_port *kb_datapath_port(const struct kb_datapath *dp, size_t i);
/* Those that were asked for by name. */
bool kb_datapath_all_attached(const struct kb_datapath *dp);

/* Lets the programs answer for another ttl_ms. About 3 us. 0 or -errno. */
int kb_datapath_beat(struct kb_datapath *dp, uint32_t ttl_ms);
/* What time the programs took it for then: jiffies64, of which there are hz in a second, at a
 * moment of CLOCK_MONOTONIC not before it. All 0 before the first beat. */
void kb_datapath_clock(const struct kb_datapath *dp, uint64_t *ret_ms, uint64_t *ret_jiffies,
		       uint32_t *ret_hz);

/* Counters and latency histogram of KB_ENGINE_TC or KB_ENGINE_XDP, over all CPUs, or of
 * KB_ENGINE_DPDK, over all workers; all 0 for other engines. 0 or -errno. */
int kb_datapath_engine_stats(const struct kb_datapath *dp, enum kb_engine engine,
			     uint64_t ret_counters[KB_CNT_MAX], uint64_t ret_hist[KB_HIST_BUCKETS]);

/* File descriptor of kbdns_tc or kbdns_xdp for BPF_PROG_TEST_RUN, borrowed; -1 if it is not
 * loaded. For tests. */
int kb_datapath_prog_fd(const struct kb_datapath *dp, enum kb_engine engine);

#endif
