/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbdnsd's options. One table of rows (option_rows.c) gives the command line, the
 * keys of the --config file, --help, the option list of kbdnsd(8) and the keys of
 * `kbdnsctl tune`; a new option is a row there and a field here.
 *
 * Precedence: command line, then file, then the row's default. A repeatable option
 * given at a higher level replaces the list of the lower one. Main thread only.
 */
#ifndef KB_CONFIG_OPTIONS_H
#define KB_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/config/upstreams.h"

/* What is the same of every list: owned array `v`, `n` elements in use. */
struct kb_strings {
	char **v; /* owned, as are the strings */
	size_t n;
};
struct kb_addr_ports {
	struct kb_addr_port *v; /* owned */
	size_t n;
};
struct kb_cidrs {
	struct kb_cidr *v; /* owned */
	size_t n;
};

enum kb_reverse { KB_REVERSE_AUTHORITATIVE, KB_REVERSE_LEAVE };
enum kb_mode { KB_MODE_TRANSPARENT, KB_MODE_LOCAL };
enum kb_on_exit { KB_ON_EXIT_DETACH, KB_ON_EXIT_KEEP };
enum kb_query_log_class {
	KB_QUERY_LOG_ALL, /* every reply */
	KB_QUERY_LOG_SUCCESS,
	KB_QUERY_LOG_DENIAL,
	KB_QUERY_LOG_ERROR,
	KB_QUERY_LOG_LEFT, /* what the packet path leaves, instead */
};
enum kb_query_log_format { KB_QUERY_LOG_TEXT, KB_QUERY_LOG_JSON };

#define KB_OPTIONS_ROWS_MAX 64

/* As control/records takes them; kbdnsd.c, which sees both, asserts it. */
#define KB_OPT_DOMAINS_MAX	8
#define KB_OPT_DNS_SERVICES_MAX 8

struct kb_options {
	/* Source. Both NULL: in-cluster. */
	char *kubeconfig; /* owned or NULL */
	char *snapshot;	  /* owned or NULL */

	/* Names. */
	struct kb_strings cluster_domain; /* lower case, no final dot; at least one */
	unsigned int reverse;		  /* enum kb_reverse */
	char *corefile;			  /* owned or NULL; path or configmap:NS/NAME */
	struct kb_strings kubernetes;	  /* lines of a kubernetes block */
	struct kb_strings dns_service;	  /* NS/NAME */

	/* Where queries come in. */
	struct kb_addr_ports listen;
	struct kb_addr_ports intercept;
	struct kb_cidrs allow_from;
	unsigned int mode; /* enum kb_mode */
	struct kb_addr_ports local_address;
	struct kb_strings local_interface; /* one */
	struct kb_cidrs local_range;	   /* at most one of a family, with room for the slots */
	struct kb_strings tc;		   /* interfaces */
	struct kb_strings xdp;		   /* interfaces */
	struct kb_strings pods;		   /* see control/config/pods.h */
	uint64_t pods_max;
	char *tc_order; /* owned; good for kb_tc_order_check */
	bool xdp_force;

	/* Names that are nobody's here. */
	bool forward;
	struct kb_strings upstream;    /* as kb_format_upstream writes them; none: resolv_conf's */
	char *resolv_conf;	       /* owned */
	struct kb_strings stub_domain; /* each one good for kb_parse_stub */
	char *kube_dns_config;	       /* owned or NULL; folder or configmap:NS/NAME */
	unsigned int upstream_policy;  /* enum kb_policy */
	char *tls_ca;		       /* owned or NULL: the system's */
	bool use_caps_for_id;
	uint64_t forward_threads;
	uint64_t max_concurrent;
	uint64_t cache_size; /* bytes; 0: off */
	uint64_t cache_max_ttl_s, cache_max_negative_ttl_s;
	uint64_t serve_stale_s;	    /* 0: off */
	uint64_t packet_cache_size; /* bytes; 0: off */
	bool prefetch;

	/* The daemon. */
	unsigned int on_exit;	  /* enum kb_on_exit */
	char *run_dir;		  /* owned */
	char *bpffs;		  /* owned */
	struct kb_addr_port http; /* addr.family 0: off */
	bool foreground;
	unsigned int log_level; /* enum kb_log_level */
	char *query_log;	/* owned; "off", "-" or a path */
	uint64_t query_log_sample;
	unsigned int query_log_class;  /* enum kb_query_log_class */
	unsigned int query_log_format; /* enum kb_query_log_format */
	char *config;		       /* owned or NULL */

	/* Tunables. */
	uint64_t max_udp_size;
	uint64_t ttl_s;
	bool rotation;
	bool packet_cache;
	uint64_t max_stale_s;
	uint64_t max_age_s;	/* 0: unlimited */
	uint64_t table_mem_max; /* bytes; 0: no limit */
	uint64_t replicas;	/* 0: auto */
	uint64_t worker_wait_ms;
	uint64_t worker_burst, worker_ahead, worker_sleep_us;
	unsigned int worker_idle; /* enum kb_idle - 1 */
	bool latency_histogram;

	/* When set, kbdnsd prints and exits 0; nothing else has been checked. */
	bool help, version;

	uint8_t level[KB_OPTIONS_ROWS_MAX]; /* private: who set each row */
};

enum kb_option_type {
	KB_OPT_FLAG,	    /* bool without an argument on the command line */
	KB_OPT_BOOL,	    /* bool */
	KB_OPT_CHOICE,	    /* unsigned int, index into words */
	KB_OPT_NUMBER,	    /* uint64_t */
	KB_OPT_NUMBER_AUTO, /* uint64_t, "auto" is 0 */
	KB_OPT_BYTES,	    /* uint64_t */
	KB_OPT_SECONDS,	    /* uint64_t */
	KB_OPT_PATH,	    /* char * */
	KB_OPT_LINES,	    /* struct kb_strings */
	KB_OPT_DOMAIN,	    /* struct kb_strings */
	KB_OPT_NS_NAME,	    /* struct kb_strings */
	KB_OPT_IFNAME,	    /* struct kb_strings */
	KB_OPT_PODS,	    /* struct kb_strings; commas between elements */
	KB_OPT_ADDR_PORT,   /* struct kb_addr_port */
	KB_OPT_ADDR_PORTS,  /* struct kb_addr_ports */
	KB_OPT_CIDR,	    /* struct kb_cidrs */
	KB_OPT_UPSTREAM,    /* struct kb_strings */
	KB_OPT_STUB,	    /* struct kb_strings */
};

enum kb_option_flag {
	KB_OPT_REPEAT = 1,   /* may be given more than once; a list in the file */
	KB_OPT_TUNABLE = 2,  /* a key of `kbdnsctl tune` */
	KB_OPT_LIVE = 4,     /* and `tune` can change it; otherwise it acts at restart */
	KB_OPT_CLI_ONLY = 8, /* makes no sense in the file */
};

struct kb_option {
	const char *name;
	enum kb_option_type type;
	uint8_t flags;
	size_t offset;		  /* of the field in struct kb_options */
	const char *arg;	  /* name of the argument in help, NULL for a flag */
	const char *def;	  /* in the option's own syntax, blanks between list elements;
				   * NULL: none */
	uint64_t min, max;	  /* of the value; for lists max is how many */
	const char *const *words; /* of a choice */
	uint16_t port;		  /* default port of an address */
	char letter;		  /* short form or 0 */
	const char *help;
};

const struct kb_option *kb_options_rows(size_t *ret_n);
/* By name; '_' and '-' are the same. NULL if there is none. */
const struct kb_option *kb_options_find(const char *name);
/* The known name that looks most like this one, or NULL. */
const char *kb_options_suggest(const char *name);

/*
 * Fills ret_options from the command line, the --config file and the defaults.
 * Returns 0, or -errno with one line in err that names the option (or file, line
 * and key) and the cure; nothing has to be freed then. The result is freed by
 * kb_options_free.
 */
int kb_options_parse(int argc, char *const *argv, struct kb_options *ret_options, char *err,
		     size_t err_size);
/* Lets go of what the options own, and clears them. */
void kb_options_free(struct kb_options *options);

/* NS/NAME of an option's value of the form configmap:NS/NAME, NULL if it is not of that form, or
 * NULL itself. */
const char *kb_options_configmap(const char *value);
/* Makes ttl_s the TTL, unless command line, file or `tune` have set one. */
void kb_options_default_ttl(struct kb_options *options, uint32_t ttl_s);
/* The same of the max-age. */
void kb_options_default_max_age(struct kb_options *options, uint64_t max_age_s);
/* Does the command line, the file or `tune` say something about this option? */
bool kb_options_is_given(const struct kb_options *options, const char *name);
/* Of enum kb_mode. */
extern const char *const kb_mode_words[];

/* Sets a live tunable. -ENOENT: no such key; -EOPNOTSUPP: acts at restart only;
 * -EINVAL, -ERANGE: bad value; with one line in err. */
int kb_options_tune(struct kb_options *options, const char *key, const char *value,
		    const struct kb_option **ret_row, char *err, size_t err_size);

/* The row's value in its own syntax (lists with blanks between), "" when unset. */
void kb_options_format(const struct kb_options *options, const struct kb_option *row, char *buf,
		       size_t size);

/* "seconds 0..3600", "on or off": what the row takes. */
void kb_options_expect(const struct kb_option *row, char *buf, size_t size);

/* --help; and the same as mdoc(7) for kbdnsd(8). */
void kb_options_help(FILE *out);
void kb_options_mdoc(FILE *out);

#endif
