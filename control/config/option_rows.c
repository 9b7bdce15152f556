/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of options. Order is the order of --help and of the manual.
 */
#include <limits.h>
#include <string.h>

#include "control/config/forward_rules.h"
#include "control/config/options.h"
#include "control/log.h"
#include "dataplane/core/layout.h"
#include "dataplane/core/worker_tune.h"

#define STR_(x) #x
#define STR(x)	STR_(x)

#define AT(field) offsetof(struct kb_options, field)

#define IFACES_MAX     1024
#define LISTEN_MAX     64
#define KUBERNETES_MAX 64
#define PATTERNS_MAX   64

static const char *const reverse_words[] = {"authoritative", "leave", NULL};
static const char *const policy_words[] = {"random", "round_robin", "sequential", NULL};
const char *const kb_mode_words[] = {"transparent", "local", NULL};
static const char *const on_exit_words[] = {"detach", "keep", NULL};
static const char *const query_class_words[] = {"all", "success", "denial", "error", "left", NULL};
/* In the order of enum kb_idle, which begins at 1. */
static const char *const idle_words[] = {"busy", "pause", "interrupt", NULL};
static const char *const query_format_words[] = {"text", "json", NULL};

static const struct kb_option rows[] = {
	/* Source. */
	{.name = "kubeconfig",
	 .type = KB_OPT_PATH,
	 .offset = AT(kubeconfig),
	 .arg = "FILE",
	 .help = "watch the API server that this kubeconfig names; without it and without "
		 "--snapshot, the one that the pod's service account gives"},
	{.name = "snapshot",
	 .type = KB_OPT_PATH,
	 .offset = AT(snapshot),
	 .arg = "FILE",
	 .help = "take objects from a file instead (output of kubectl get "
		 "svc,endpointslices,ns,pods -A -o json); SIGHUP reads it again"},
	/* Names. */
	{.name = "cluster-domain",
	 .type = KB_OPT_DOMAIN,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(cluster_domain),
	 .arg = "NAME",
	 .def = "cluster.local",
	 .max = KB_OPT_DOMAINS_MAX,
	 .help = "domain of the cluster; reverse names point into the first one"},
	{.name = "reverse",
	 .type = KB_OPT_CHOICE,
	 .offset = AT(reverse),
	 .arg = "authoritative|leave",
	 .def = "leave",
	 .words = reverse_words,
	 .help = "deny unknown names in in-addr.arpa and ip6.arpa, or leave them to the "
		 "cluster DNS"},
	{.name = "corefile",
	 .type = KB_OPT_PATH,
	 .offset = AT(corefile),
	 .arg = "FILE|configmap:NS/NAME",
	 .help = "take domains and options over from CoreDNS's configuration, and follow its "
		 "changes; configmap: read the key Corefile of this ConfigMap from the API server"},
	{.name = "kubernetes",
	 .type = KB_OPT_LINES,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(kubernetes),
	 .arg = "LINE",
	 .max = KUBERNETES_MAX,
	 .help = "an option as it stands within a Corefile's kubernetes block, such as \"pods "
		 "verified\"; for those without a Corefile"},
	{.name = "dns-service",
	 .type = KB_OPT_NS_NAME,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(dns_service),
	 .arg = "NS/NAME",
	 .def = "kube-system/kube-dns",
	 .max = KB_OPT_DNS_SERVICES_MAX,
	 .help = "Service of the cluster DNS: queries to its addresses and endpoints are "
		 "intercepted"},
	/* Where queries come in. */
	{.name = "listen",
	 .type = KB_OPT_ADDR_PORTS,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(listen),
	 .arg = "ADDR[:PORT]",
	 .max = LISTEN_MAX,
	 .port = 53,
	 .help = "serve DNS on this address over UDP and TCP; IPv6 with a port in brackets"},
	{.name = "intercept",
	 .type = KB_OPT_ADDR_PORTS,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(intercept),
	 .arg = "ADDR[:PORT]",
	 .max = KB_ICEPT_MAX,
	 .port = 53,
	 .help = "also answer queries to this address in the packet path"},
	{.name = "allow-from",
	 .type = KB_OPT_CIDR,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(allow_from),
	 .arg = "CIDR",
	 .def = "127.0.0.0/8 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 "
		"169.254.0.0/16 ::1/128 fc00::/7 fe80::/10",
	 .max = KB_ALLOW_MAX,
	 .help = "answer sources in this range; the first one given replaces the default list"},
	{.name = "mode",
	 .type = KB_OPT_CHOICE,
	 .offset = AT(mode),
	 .arg = "transparent|local",
	 .def = "transparent",
	 .words = kb_mode_words,
	 .help = "leave what the packet path does not answer to the cluster DNS, or take it to "
		 "this node's forwarder while kbdnsd lives"},
	{.name = "local-address",
	 .type = KB_OPT_ADDR_PORTS,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(local_address),
	 .arg = "ADDR[:PORT]",
	 .def = "169.254.20.10:53",
	 .max = 8,
	 .port = 53,
	 .help = "in local mode: serve DNS on this address, which --local-interface gets; for host "
		 "processes, and pods that are configured so"},
	{.name = "local-interface",
	 .type = KB_OPT_IFNAME,
	 .offset = AT(local_interface),
	 .arg = "IF",
	 .def = "kbdns0",
	 .max = 1,
	 .help = "in local mode: name of the interface that is made for the local addresses, a "
		 "dummy, or a bridge where the kernel has no dummies"},
	{.name = "local-range",
	 .type = KB_OPT_CIDR,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(local_range),
	 .arg = "CIDR",
	 .def = "169.254.53.0/29 fd6b:6264:6e73::/125",
	 .max = 2,
	 .help = "in local mode: addresses that stand for those of the cluster DNS on their way to "
		 "the forwarder; the first 8 of one range of each family are used"},
	{.name = "tc",
	 .type = KB_OPT_IFNAME,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(tc),
	 .arg = "IF",
	 .max = IFACES_MAX,
	 .help = "answer the pod behind this interface (node side of a veth) at tc ingress"},
	{.name = "pods",
	 .type = KB_OPT_PODS,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(pods),
	 .arg = "auto|PATTERN[,PATTERN]",
	 .max = PATTERNS_MAX,
	 .help = "find the interfaces of pods (veth and netkit whose other end is in another "
		 "network namespace) as they come and go, and answer them at tc ingress; patterns "
		 "such as \"cali*,!cali-build*\" narrow them by name"},
	{.name = "pods-max",
	 .type = KB_OPT_NUMBER,
	 .offset = AT(pods_max),
	 .arg = "N",
	 .def = "1024",
	 .min = 1,
	 .max = 4096,
	 .help = "most interfaces that are found; pods behind others ask the cluster DNS"},
	{.name = "tc-order",
	 .type = KB_OPT_PATH,
	 .offset = AT(tc_order),
	 .arg = "first|last|before:PROG|after:PROG",
	 .def = "first",
	 .help = "place among the other tcx programs of an interface; PROG is an id or a name as "
		 "bpftool prints it"},
	{.name = "xdp",
	 .type = KB_OPT_IFNAME,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(xdp),
	 .arg = "IF",
	 .max = IFACES_MAX,
	 .help = "answer queries that reach this network card in its driver (XDP)"},
	/* Names that are nobody's here. */
	{.name = "xdp-force",
	 .type = KB_OPT_FLAG,
	 .offset = AT(xdp_force),
	 .help = "also use cards that are known to do it badly, after a warning"},
	{.name = "forward",
	 .type = KB_OPT_BOOL,
	 .offset = AT(forward),
	 .arg = "on|off",
	 .def = "on",
	 .help = "ask upstreams for names outside the cluster that come in at --listen; off: "
		 "say REFUSED"},
	{.name = "upstream",
	 .type = KB_OPT_UPSTREAM,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(upstream),
	 .arg = "ADDR[:PORT]|tls://ADDR[:PORT][#SERVERNAME]",
	 .max = KB_STUB_ADDRS_MAX,
	 .help = "server to ask, with tls:// by DNS over TLS (port 853); none given: the "
		 "nameservers of --resolv-conf"},
	{.name = "resolv-conf",
	 .type = KB_OPT_PATH,
	 .offset = AT(resolv_conf),
	 .arg = "FILE",
	 .def = "/etc/resolv.conf",
	 .help = "where upstreams are taken from when none is given; read again when it changes"},
	{.name = "stub-domain",
	 .type = KB_OPT_STUB,
	 .flags = KB_OPT_REPEAT,
	 .offset = AT(stub_domain),
	 .arg = "NAME=SERVER[,SERVER]",
	 .max = KB_STUBS_MAX,
	 .help = "ask these servers, given as with --upstream, and no others, for names in this "
		 "domain; the longest domain wins"},
	{.name = "kube-dns-config",
	 .type = KB_OPT_PATH,
	 .offset = AT(kube_dns_config),
	 .arg = "DIR|configmap:NS/NAME",
	 .help = "take stubDomains and upstreamNameservers over from kube-dns's ConfigMap, and "
		 "follow its changes: from the API server, or from the folder where it is mounted"},
	{.name = "tls-ca",
	 .type = KB_OPT_PATH,
	 .offset = AT(tls_ca),
	 .arg = "FILE",
	 .help = "PEM file of the authorities that servers at tls:// have to be certified by, "
		 "under their SERVERNAME or else their address; default: the system's"},
	{.name = "use-caps-for-id",
	 .type = KB_OPT_BOOL,
	 .offset = AT(use_caps_for_id),
	 .arg = "on|off",
	 .def = "off",
	 .help = "give the letters of questions over UDP random case, and believe only replies "
		 "that have the same (0x20)"},
	{.name = "upstream-policy",
	 .type = KB_OPT_CHOICE,
	 .offset = AT(upstream_policy),
	 .arg = "random|round_robin|sequential",
	 .def = "random",
	 .words = policy_words,
	 .help = "which upstream is asked first"},
	{.name = "forward-threads",
	 .type = KB_OPT_NUMBER,
	 .offset = AT(forward_threads),
	 .arg = "N",
	 .def = "2",
	 .min = 1,
	 .max = 64,
	 .help = "threads that serve UDP, each with a socket of its own for each --listen, and "
		 "wait "
		 "for upstreams"},
	{.name = "max-concurrent",
	 .type = KB_OPT_NUMBER,
	 .offset = AT(max_concurrent),
	 .arg = "N",
	 .def = "5000",
	 .min = 1,
	 .max = 65536,
	 .help = "questions to upstreams at one time (the default takes 1,000 a second while all "
		 "are "
		 "silent); more are answered SERVFAIL"},
	{.name = "cache-size",
	 .type = KB_OPT_BYTES,
	 .offset = AT(cache_size),
	 .arg = "BYTES",
	 .def = "8M",
	 .max = 4ULL << 30,
	 .help = "memory for answers of upstreams, at least 256K; 0: none are kept"},
	{.name = "cache-max-ttl",
	 .type = KB_OPT_SECONDS,
	 .offset = AT(cache_max_ttl_s),
	 .arg = "SECONDS",
	 .def = "3600",
	 .min = 1,
	 .max = 604800,
	 .help = "keep an answer no longer than this"},
	{.name = "cache-max-negative-ttl",
	 .type = KB_OPT_SECONDS,
	 .offset = AT(cache_max_negative_ttl_s),
	 .arg = "SECONDS",
	 .def = "1800",
	 .min = 1,
	 .max = 604800,
	 .help = "keep the answer that a name or type does not exist no longer than this"},
	{.name = "serve-stale",
	 .type = KB_OPT_SECONDS,
	 .offset = AT(serve_stale_s),
	 .arg = "SECONDS",
	 .def = "86400",
	 .max = 604800,
	 .help = "give an expired answer up to this age when no upstream answers; 0: never"},
	{.name = "prefetch",
	 .type = KB_OPT_BOOL,
	 .offset = AT(prefetch),
	 .arg = "on|off",
	 .def = "on",
	 .help = "ask again for popular names shortly before they expire"},
	{.name = "packet-cache-size",
	 .type = KB_OPT_BYTES,
	 .offset = AT(packet_cache_size),
	 .arg = "BYTES",
	 .def = "4M",
	 .max = 256ULL << 20,
	 .help = "map memory for answers of upstreams that the packet path gives; 0: it gives "
		 "none"},
	/* The daemon. */
	{.name = "on-exit",
	 .type = KB_OPT_CHOICE,
	 .offset = AT(on_exit),
	 .arg = "detach|keep",
	 .def = "detach",
	 .words = on_exit_words,
	 .help = "detach the programs when kbdnsd ends, or keep them answering until "
		 "max-stale has passed"},
	{.name = "run-dir",
	 .type = KB_OPT_PATH,
	 .offset = AT(run_dir),
	 .arg = "DIR",
	 .def = "/run/kbdns",
	 .help = "holds the control socket kbdnsd.sock; made if missing"},
	{.name = "bpffs",
	 .type = KB_OPT_PATH,
	 .offset = AT(bpffs),
	 .arg = "DIR",
	 .def = "/sys/fs/bpf/kbdns",
	 .help = "folder in a mounted bpffs where maps and programs are pinned"},
	{.name = "http",
	 .type = KB_OPT_ADDR_PORT,
	 .offset = AT(http),
	 .arg = "ADDR[:PORT]",
	 .port = 9253,
	 .help = "serve /metrics, /healthz and /readyz here; off unless given"},
	{.name = "foreground",
	 .type = KB_OPT_FLAG,
	 .offset = AT(foreground),
	 .help = "stay in the foreground"},
	{.name = "log-level",
	 .type = KB_OPT_CHOICE,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(log_level),
	 .arg = "error|warn|info|debug",
	 .def = "info",
	 .words = kb_log_level_names,
	 .help = "least important messages to log"},
	{.name = "query-log",
	 .type = KB_OPT_PATH,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(query_log),
	 .arg = "FILE|-|dnstap:SOCKET|off",
	 .def = "off",
	 .help = "append a line for each query answered to this file, - for standard output; or "
		 "send them to a dnstap reader's UNIX socket; names and client addresses are "
		 "personal data"},
	{.name = "query-log-sample",
	 .type = KB_OPT_NUMBER,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(query_log_sample),
	 .arg = "N",
	 .def = "1",
	 .min = 1,
	 .max = 1000000,
	 .help = "have the query log look at one query in N"},
	{.name = "query-log-class",
	 .type = KB_OPT_CHOICE,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(query_log_class),
	 .arg = "all|success|denial|error|left",
	 .def = "all",
	 .words = query_class_words,
	 .help = "which of them are logged: every reply, those with records, NXDOMAIN and NODATA, "
		 "other rcodes; or what the packet path leaves"},
	{.name = "query-log-format",
	 .type = KB_OPT_CHOICE,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(query_log_format),
	 .arg = "text|json",
	 .def = "text",
	 .words = query_format_words,
	 .help = "lines as CoreDNS's log plugin writes them, or JSON objects"},
	{.name = "config",
	 .type = KB_OPT_PATH,
	 .flags = KB_OPT_CLI_ONLY,
	 .offset = AT(config),
	 .arg = "FILE",
	 .help = "read options from a YAML file whose keys are these names; the command "
		 "line wins"},
	/* Tunables. */
	{.name = "max-udp-size",
	 .type = KB_OPT_NUMBER,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(max_udp_size),
	 .arg = "BYTES",
	 .def = STR(KB_UDP_MAX_DEFAULT),
	 .min = KB_UDP_MIN,
	 .max = KB_UDP_MAX_DEFAULT,
	 .help = "largest answer over UDP"},
	{.name = "ttl",
	 .type = KB_OPT_SECONDS,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(ttl_s),
	 .arg = "SECONDS",
	 .def = "5",
	 .max = 3600,
	 .help = "TTL of cluster records"},
	{.name = "rotation",
	 .type = KB_OPT_BOOL,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(rotation),
	 .arg = "on|off",
	 .def = "on",
	 .help = "rotate the records of an answer"},
	{.name = "packet-cache",
	 .type = KB_OPT_BOOL,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(packet_cache),
	 .arg = "on|off",
	 .def = "on",
	 .help = "let the packet path give answers of upstreams to queries for a listen address"},
	{.name = "max-stale",
	 .type = KB_OPT_SECONDS,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(max_stale_s),
	 .arg = "SECONDS",
	 .def = "10",
	 .min = 1,
	 .max = 86400,
	 .help = "how long the programs answer after kbdnsd's last heartbeat"},
	{.name = "max-age",
	 .type = KB_OPT_SECONDS,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(max_age_s),
	 .arg = "SECONDS",
	 .def = "600",
	 .max = 31 * 86400,
	 .help = "stop answering when the API server has been silent for longer; 0: never"},
	{.name = "table-mem-max",
	 .type = KB_OPT_BYTES,
	 .flags = KB_OPT_TUNABLE,
	 .offset = AT(table_mem_max),
	 .arg = "BYTES",
	 .def = "256M",
	 .min = 1 << 20,
	 .max = 64ULL << 30,
	 .help = "limit of the shared table's memory; with K, M or G"},
	{.name = "worker-wait",
	 .type = KB_OPT_NUMBER,
	 .flags = KB_OPT_TUNABLE,
	 .offset = AT(worker_wait_ms),
	 .arg = "MS",
	 .def = "100",
	 .min = 1,
	 .max = 10000,
	 .help = "how long a stopped worker of another process may delay the reuse of memory, in "
		 "milliseconds; then it discards what it holds"},
	{.name = "worker-burst",
	 .type = KB_OPT_NUMBER,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(worker_burst),
	 .arg = "N",
	 .def = STR(KB_BURST_DEFAULT),
	 .min = 1,
	 .max = KB_BURST_MAX,
	 .help = "frames that a worker of kbdns-dpdk receives at once"},
	{.name = "worker-ahead",
	 .type = KB_OPT_NUMBER,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(worker_ahead),
	 .arg = "N",
	 .def = STR(KB_AHEAD_DEFAULT),
	 .min = 1,
	 .max = KB_AHEAD_MAX,
	 .help = "frames that it fetches ahead of the one it parses"},
	{.name = "worker-idle",
	 .type = KB_OPT_CHOICE,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(worker_idle),
	 .arg = "busy|pause|interrupt",
	 .def = "busy",
	 .words = idle_words,
	 .help = "what it does while nothing arrives: poll, rest the core between polls, or sleep "
		 "in the kernel"},
	{.name = "worker-sleep",
	 .type = KB_OPT_NUMBER,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(worker_sleep_us),
	 .arg = "US",
	 .def = STR(KB_IDLE_SLEEP_DEFAULT_US),
	 .min = 1,
	 .max = KB_IDLE_SLEEP_MAX_US,
	 .help = "its longest sleep while idle, in microseconds"},
	{.name = "replicas",
	 .type = KB_OPT_NUMBER_AUTO,
	 .flags = KB_OPT_TUNABLE,
	 .offset = AT(replicas),
	 .arg = "N|auto",
	 .def = "auto",
	 .min = 1,
	 .max = KB_REPLICAS_MAX,
	 .help = "copies of the index for CPUs and NIC queues to share; auto is 1, since more "
		 "showed no gain (bench/replicas)"},
	{.name = "latency-histogram",
	 .type = KB_OPT_BOOL,
	 .flags = KB_OPT_TUNABLE | KB_OPT_LIVE,
	 .offset = AT(latency_histogram),
	 .arg = "on|off",
	 .def = "off",
	 .help = "measure how long each answer takes; costs two clock reads a packet"},
	/* The rest. */
	{.name = "help",
	 .type = KB_OPT_FLAG,
	 .flags = KB_OPT_CLI_ONLY,
	 .offset = AT(help),
	 .letter = 'h',
	 .help = "print this help"},
	{.name = "version",
	 .type = KB_OPT_FLAG,
	 .flags = KB_OPT_CLI_ONLY,
	 .offset = AT(version),
	 .letter = 'V',
	 .help = "print the version"},
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(N_ROWS <= KB_OPTIONS_ROWS_MAX, "kb_options.level is too short");

const struct kb_option *kb_options_rows(size_t *ret_n)
{
	*ret_n = N_ROWS;
	return rows;
}

static bool same_name(const char *name, const char *given)
{
	for (; *name && *given; name++, given++) {
		if (*name != (*given == '_' ? '-' : *given))
			return false;
	}
	return *name == *given;
}

const struct kb_option *kb_options_find(const char *name)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		if (same_name(rows[i].name, name))
			return &rows[i];
	}
	return NULL;
}

/* Levenshtein distance; SIZE_MAX for strings that are not worth comparing. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64];
	size_t n = strlen(b);

	if (n >= 64 || strlen(a) >= 64)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (best > row[j] + 1)
				best = row[j] + 1;
			if (best > row[j - 1] + 1)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

const char *kb_options_suggest(const char *name)
{
	const char *best = NULL;
	size_t best_distance = 4;

	for (size_t i = 0; i < N_ROWS; i++) {
		size_t d = distance(name, rows[i].name);

		if (d < best_distance && d < strlen(rows[i].name)) {
			best = rows[i].name;
			best_distance = d;
		}
	}
	return best;
}
