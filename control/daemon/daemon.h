/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbdnsd's parts and how they hang together. Everything runs on one libuv loop, but for
 * the table's works (grace periods, new maps) and the verification of the programs, which threads
 * of libuv's pool do, and for upstreams, which the forwarder's threads do.
 *
 *   source --objects--> records --names--> table --maps--> datapath (BPF)
 *                                            \--> responder <-- server (sockets)
 *                                                     \--> forward (threads) --> upstreams
 *                                                            \--> pcache --maps--> datapath
 *   rules: by which names are made of objects (options, or a Corefile that is followed)
 *   state: decides OFF, HITS or FULL from rules, sync, age, bypass; beats the dead-man switch
 *   control socket and HTTP read all of it
 *
 * Made in the order of the fields, unmade in the opposite one.
 */
#ifndef KB_DAEMON_DAEMON_H
#define KB_DAEMON_DAEMON_H

#include <stdbool.h>
#include <uv.h>

#include "control/config/corefile.h"
#include "control/config/kube_dns.h"
#include "control/config/options.h"
#include "control/ctl/server.h"
#include "control/daemon/intercepts.h"
#include "control/daemon/takeover.h"
#include "control/datapath/datapath.h"
#include "control/datapath/local.h"
#include "control/datapath/pods.h"
#include "control/forward/forward.h"
#include "control/forward/resolv_conf.h"
#include "control/forward/respond.h"
#include "control/forward/server.h"
#include "control/http/export.h"
#include "control/http/httpd.h"
#include "control/kube/source.h"
#include "control/pcache/pcache.h"
#include "control/querylog/querylog.h"
#include "control/records/records.h"
#include "control/table/table.h"

struct kb_rules_stats {
	uint64_t loads, failures; /* of configurations: taken over, and not */
};

/* See rules.c. */
struct kb_daemon_rules {
	struct kb_rules now;	     /* the records are made by these, or will be */
	struct kb_corefile corefile; /* last one taken over; its rules only if they name no
				      * cluster zone, otherwise they are in `now` */
	const char *from;	     /* "options" or --corefile's value; borrowed */
	uint64_t loaded_s;	     /* Unix time of what is in force */
	uint64_t hash;		     /* of the text last looked at, good or not */
	char error[1024];	     /* of that text, "" if it is in force */
	const char *off;	     /* why nothing may be answered, NULL: no reason; static */
	char *text;		     /* of the ConfigMap, owned; NULL: there is none */
	bool arrived;		     /* the source has told of it */
	bool known;		     /* with a Corefile: one has been taken over */
	bool again;		     /* records and source have to be made anew */
	bool has_blocks;	     /* hosts or rewrite rules are in force */
	uv_timer_t timer;
	struct kb_rules_stats stats;
};

#define KB_RESOLV_FILES_MAX 8

/* A resolv.conf that servers are taken from, see resolv.c. */
struct kb_daemon_resolv {
	char *path; /* owned */
	struct kb_resolv_conf conf;
};

#define KB_LOOPING_MAX KB_GROUP_MAX

struct kb_loops_stats {
	uint64_t found; /* upstreams that asked us in turn, each time */
	uint64_t now;	/* left out for that */
};

/* See loops.c. */
struct kb_daemon_loops {
	struct kb_upstream_spec v[KB_LOOPING_MAX]; /* left out */
	size_t n;
	size_t n_asked;	    /* of the round, those of the default group; `v` follows */
	bool due;	    /* a round is to begin */
	unsigned int ticks; /* of the round, 0: none */
	uint64_t began_ms;
	struct kb_loops_stats stats;
};

/* See kube_dns.c. */
struct kb_daemon_kube_dns {
	const char *from;	   /* --kube-dns-config's value, borrowed; NULL: none */
	struct kb_source *source;  /* owned; NULL with a folder */
	struct kb_kube_dns config; /* in force, if `known` */
	bool known;
	const char *off;      /* why nothing may be answered, NULL: no reason; static */
	uint64_t loaded_s;    /* Unix time of what is in force */
	uint64_t hash;	      /* of the folder as it was last read */
	char error[512];      /* of what was last read, "" if that is in force */
	char unreadable[256]; /* why it cannot be read, "" if it can */
	uv_timer_t timer;
	struct kb_rules_stats stats;
};

/* See local.c. */
struct kb_daemon_local {
	char mark[300];		     /* of the interface */
	const char *kind;	     /* of the interface, static */
	bool made;		     /* the interface, by this run */
	struct kb_addr_port *listen; /* owned: --listen and all that is on the interface */
	size_t n_listen;
	struct kb_addr *addrs; /* owned: of the interface */
	size_t n_addrs;
	unsigned int ticks;
	struct kb_netdev_watch *watch; /* owned; NULL: not in local mode */
	uv_poll_t poll;
	bool gone; /* the interface, says the watch */
};

struct kb_daemon {
	struct kb_options options;
	struct kb_daemon_rules rules;
	struct kb_daemon_kube_dns kube_dns;
	uv_loop_t *loop;
	uint64_t started_ms;	/* uv_now() */
	uint64_t started_hr_ms; /* uv_hrtime() */
	/* The loop runs once more after the source has gone: no timer, signal or thread's result
	 * does anything from here on. */
	bool stopping;

	struct kb_daemon_takeover takeover;
	struct kb_ctl_server *ctl;
	struct kb_datapath *datapath;
	struct kb_daemon_local local;
	struct kb_pods *pods; /* NULL: no --pods */
	uv_poll_t pods_poll;
	uv_idle_t pods_idle; /* runs while some wait to be attached to */
	struct kb_table *table;
	bool adopted;		  /* the table was found pinned */
	struct kb_pcache *pcache; /* NULL: there is none */
	uv_async_t pcache_wake;
	struct kb_intercepts intercepts;
	struct kb_records *records;
	struct kb_source *source;
	struct kb_querylog *querylog;
	struct kb_responder *responder;
	struct kb_forward *forward; /* NULL: names outside are refused */
	struct kb_daemon_loops loops;
	struct kb_daemon_resolv resolv[KB_RESOLV_FILES_MAX];
	size_t n_resolv;
	struct kb_server *server;
	struct kb_httpd *httpd;

	/* State, see state.c. */
	enum kb_state state;
	const char *state_reason; /* why it is not FULL, "" if it is; static */
	bool attached;		  /* the programs, as the options say: started */
	bool synced;
	bool fresh; /* adopted while its last beat was within max_stale */
	bool bypass;
	uint64_t bypass_until_s; /* Unix time, 0: until switched off */

	uv_timer_t tick;      /* beat and state */
	uv_prepare_t prepare; /* the table's turn */
	uv_idle_t idle;	      /* runs while the table wants another turn at once */
	uv_work_t table_work;
	/* Whose grace period the work is: one serves both. */
	bool table_works, pcache_works;
	/* The programs, loaded while the source already lists. */
	uv_work_t programs_work;
	int programs_result; /* the thread's, until it is done; so is the line */
	char programs_error[512];
	bool programs_ready; /* loaded, and may be attached */
	void (*started)(void);
	int start_result; /* of the start's last step */
	uv_signal_t signals[4];

	struct kb_durations programming[KB_PROGRAMMING_MAX];
};

/* upstreams.c: starts the forwarder, if there is to be one. 0, or -errno with one line in err. */
int kb_daemon_forward_start(struct kb_daemon *d, char *err, size_t err_size);
/* resolv.c: what the file says, read again when it has changed. Empty when it cannot be read, or
 * when there are too many. */
const struct kb_resolv_conf *kb_daemon_resolv(struct kb_daemon *d, const char *path);
/* Now and then: has one of them changed what it says? */
bool kb_daemon_resolv_changed(struct kb_daemon *d);
void kb_daemon_resolv_fini(struct kb_daemon *d);
/* Now and then: looks whether a resolv.conf has changed. */
void kb_daemon_forward_tick(struct kb_daemon *d);
/* Makes routes of the configuration as it is now. 0, or -errno with one line in err, and the routes
 * of before stay in force. */
int kb_daemon_forward_update(struct kb_daemon *d, char *err, size_t err_size);

/* loops.c */
bool kb_daemon_is_looping(const struct kb_daemon *d, const struct kb_upstream_spec *spec);
/* Looks again whether upstreams ask us in turn. */
void kb_daemon_loops_again(struct kb_daemon *d);
void kb_daemon_loops_tick(struct kb_daemon *d);

/* kube_dns.c. init comes before the source is made, start when everything else is up. */
int kb_daemon_kube_dns_init(struct kb_daemon *d, char *err, size_t err_size);
int kb_daemon_kube_dns_start(struct kb_daemon *d, char *err, size_t err_size);
void kb_daemon_kube_dns_reload(struct kb_daemon *d);
/* Now and then: looks whether the ConfigMap can be read. */
void kb_daemon_kube_dns_tick(struct kb_daemon *d);
/* Why it is not in force as it stands there, "" if it is. */
const char *kb_daemon_kube_dns_error(const struct kb_daemon *d);
void kb_daemon_kube_dns_fini(struct kb_daemon *d);

/* pods.c: finds interfaces, if --pods is given. 0, or -errno with one line in err. */
int kb_daemon_pods_start(struct kb_daemon *d, char *err, size_t err_size);
/* Paused, nothing is attached or detached. */
void kb_daemon_pods_pause(struct kb_daemon *d, bool pause);
void kb_daemon_pods_tick(struct kb_daemon *d);
/* Zeros when there is no --pods. */
void kb_daemon_pods_stats(const struct kb_daemon *d, struct kb_pods_stats *ret);
void kb_daemon_pods_metrics(const struct kb_daemon *d, struct kb_metrics *m);

/* pcache.c. Is there to be one? */
bool kb_daemon_pcache_wanted(const struct kb_options *o);
/* Makes it, if there is to be one. 0, or -errno with one line in err. */
int kb_daemon_pcache_start(struct kb_daemon *d, char *err, size_t err_size);
/* Names outside that are asked for at this address may come from it: KB_ICEPT_FORWARDED at a listen
 * address, _TC at one that is taken to the forwarder at tc. 0 or -errno. */
int kb_daemon_pcache_serve(struct kb_daemon *d, const struct kb_addr_port *at, uint64_t flags);
/* Any thread; there is one. */
void kb_daemon_pcache_offer(void *arg, const struct kb_pcache_offer *offer);
/* After a beat. */
void kb_daemon_pcache_tick(struct kb_daemon *d);
/* Whatever decides how a name outside is answered has changed. */
void kb_daemon_pcache_void(struct kb_daemon *d);
/* Zeros when there is none. */
void kb_daemon_pcache_stats(const struct kb_daemon *d, struct kb_pcache_stats *ret);

/* state.c */
int kb_daemon_state_start(struct kb_daemon *d);
/* Looks at everything that the state depends on and stores it if it has changed. */
void kb_daemon_state_update(struct kb_daemon *d);
int kb_daemon_bypass(struct kb_daemon *d, bool on, uint64_t for_s);
/* As the file in the run directory says. */
void kb_daemon_bypass_load(struct kb_daemon *d);
/* Age of the oldest kind in ms, UINT64_MAX before all have been heard of. */
uint64_t kb_daemon_age_ms(const struct kb_daemon *d);
bool kb_daemon_healthy(void *arg, const char **ret_why);
bool kb_daemon_ready(void *arg, const char **ret_why);

/* local.c. init comes before anything looks at --listen. */
int kb_daemon_local_init(struct kb_daemon *d, char *err, size_t err_size);
/* After the datapath, before sockets. */
int kb_daemon_local_start(struct kb_daemon *d, char *err, size_t err_size);
/* Before its addresses are listened at: makes the interface, or removes it if the mode is another.
 * 0, or -errno with one line in err. */
int kb_daemon_local_interface(struct kb_daemon *d, char *err, size_t err_size);
void kb_daemon_local_tick(struct kb_daemon *d);
/* All addresses of the cluster DNS are about to be told anew. */
void kb_daemon_local_clear(struct kb_daemon *d);
/* An address of the cluster DNS has come or gone. */
void kb_daemon_local_add(struct kb_daemon *d, const struct kb_addr *addr, uint16_t port);
void kb_daemon_local_del(struct kb_daemon *d, const struct kb_addr *addr, uint16_t port);
/* `failed`: the start has. After the sockets are gone. */
void kb_daemon_local_stop(struct kb_daemon *d, bool keep, bool failed);
/* Members mode and local. */
void kb_daemon_local_put(struct kb_json_out *o, const struct kb_daemon *d);
void kb_daemon_local_counts(const struct kb_daemon *d, struct kb_local_counts *ret);

/* rules.c. init comes first of all. */
int kb_daemon_rules_init(struct kb_daemon *d, char *err, size_t err_size);
/* Looks at the Corefile now. Not from a callback of source or records. */
void kb_daemon_rules_reload(struct kb_daemon *d);
/* The stub domains of the kube-dns ConfigMap may be others now. From anywhere on the loop. */
void kb_daemon_rules_stubs(struct kb_daemon *d);
/* What a source has to read for the rules. */
void kb_daemon_rules_source(struct kb_daemon *d, struct kb_source_config *config,
			    struct kb_sink *sink);
/* Puts what the Corefile's server blocks say before zones and upstreams in force in the responder,
 * if there is one by now. */
void kb_daemon_rules_blocks(struct kb_daemon *d);
const struct kb_rules *kb_daemon_rules_shown(const struct kb_daemon *d);
void kb_daemon_rules_fini(struct kb_daemon *d);

/* feed.c */
int kb_daemon_intercepts_start(struct kb_daemon *d, char *err, size_t err_size);
int kb_daemon_records_start(struct kb_daemon *d, char *err, size_t err_size);
int kb_daemon_source_start(struct kb_daemon *d, char *err, size_t err_size);
/* Ends an error line with what to do, where only the options tell. */
void kb_daemon_add_cure(char *err, size_t err_size, const char *cure);
/* Makes records and source anew, by d->rules.now. The state is OFF until they have synced, or until
 * this is called again after an error. Not from a callback of source or records. */
int kb_daemon_feed_again(struct kb_daemon *d, char *err, size_t err_size);

/* commands.c: what the control socket serves; ends with name NULL. */
extern const struct kb_ctl_cmd kb_daemon_commands[];

/* daemon.c: makes the live tunables in d->options effective. */
void kb_daemon_apply_tunables(struct kb_daemon *d);
/* Attaches the programs, as soon as they are loaded, and, if something else may still answer, only
 * once the table is synced. */
void kb_daemon_go(struct kb_daemon *d);
/* Ends the daemon; r: its result. */
void kb_daemon_end(struct kb_daemon *d, int r);
/* This is the kbdnsd of its run directory: control socket, and the one for those that are to take
 * over. -EBUSY: there is another one. 0 or -errno with one line in err. */
int kb_daemon_charge(struct kb_daemon *d, char *err, size_t err_size);
/* Listens on --listen and --http. Likewise. */
int kb_daemon_listen(struct kb_daemon *d, char *err, size_t err_size);

/* takeover.c. Before all others. */
int kb_daemon_takeover_init(struct kb_daemon *d);
/* Another kbdnsd has the run directory: asks it to give way. 0, and the step is BUILDING; or -errno
 * with one line in err, which is left alone if nobody listens. */
int kb_daemon_takeover_ask(struct kb_daemon *d, char *err, size_t err_size);
/* Everything is loaded and synced: the rest follows. */
void kb_daemon_takeover_ready(struct kb_daemon *d);
/* Are the node's interfaces this one's to change? */
bool kb_daemon_in_charge(const struct kb_daemon *d);
/* Is nothing of what is pinned and no socket's path ours to remove? */
bool kb_daemon_takeover_foreign(const struct kb_daemon *d);
void kb_daemon_takeover_fini(struct kb_daemon *d);

/* hand_over.c. Others may ask from now on. */
int kb_daemon_hand_over_listen(struct kb_daemon *d, char *err, size_t err_size);
/* A signal to end has come: true if that has to wait. */
bool kb_daemon_hand_over_first(struct kb_daemon *d);
/* The step's time is over. */
void kb_daemon_hand_over_timeout(struct kb_daemon *d);
/* Runs until a signal ends it. `started` is called when everything is up. 0, or -errno after
 * an error has been logged; then nothing is left attached that was not before. */
int kb_daemon_run(struct kb_daemon *d, void (*started)(void));

/* dump.c */
int kb_daemon_workers(void *arg, int argc, char **argv, struct kb_ctl_reply *reply);
int kb_daemon_dump(void *arg, int argc, char **argv, struct kb_ctl_reply *reply);
/* Members kind, zone, ref, address. */
void kb_daemon_put_entry(struct kb_json_out *o, const struct kb_daemon *d, const char *name,
			 const struct kb_entry *entry);

/* trace.c: the query log as the options say. 0, or -errno with one line in err, and then all is as
 * it was. */
int kb_daemon_querylog_apply(struct kb_daemon *d, char *err, size_t err_size);
int kb_daemon_trace(void *arg, int argc, char **argv, struct kb_ctl_reply *reply);

/* lookup.c */
int kb_daemon_lookup(void *arg, int argc, char **argv, struct kb_ctl_reply *reply);

/* metrics.c */
void kb_daemon_metrics(void *arg, struct kb_metrics *m);
/* See struct kb_records_config. */
void kb_daemon_programmed(void *arg, enum kb_service_type type, bool selector,
			  double trigger_time_s);
void kb_daemon_forward(const struct kb_daemon *d, struct kb_forward_stats *ret);
void kb_daemon_cache(const struct kb_daemon *d, struct kb_cache_stats *ret);
void kb_daemon_engines(const struct kb_daemon *d, struct kb_engine_stats ret[KB_ENGINE_MAX]);
/* Zeros when there is no --listen. */
void kb_daemon_sockets(const struct kb_daemon *d, struct kb_server_stats *ret);

#endif
