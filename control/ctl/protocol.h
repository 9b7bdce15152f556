/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control protocol, for kbdnsd, kbdnsctl and scripts.
 *
 * Connect to RUN_DIR/kbdnsd.sock (UNIX stream, root or kbdnsd's own user only), send
 * one request line, read JSON documents, one a line, until the connection ends:
 *
 *	request = command *( " " word ) "\n"	at most KB_CTL_REQUEST_MAX bytes, printable
 *
 * Every command but dump answers with one document. Its first members are
 *
 *	"ok": true, "protocol": 1
 *	"ok": false, "protocol": 1, "code": "EINVAL", "error": "one line for people"
 *
 * A stream (dump) is such documents without those members, one an entry, and ends
 * with {"ok": true, "protocol": 1, "count": N}; without that line it is incomplete. Names are
 * stable: members may be added, never renamed. Units stand in names (_s, _ms, _ns, _bytes);
 * counts have none. null: not known, or none.
 *
 * status
 *	"version": "0.1.0", "pid": 1, "uptime_s": 12.5
 *	"state": "off" | "hits" | "full", "reason": "why it is not full", or ""
 *	"healthy": true, "ready": true, "why": "" (of the first of the two that is false)
 *	"bypass": { "on": false, "left_s": null }
 *	"age_s": 0.8		oldest of the kinds' last events, null before the first sync
 *	"generation": 3
 *	"source": { "name": "apiserver https://10.96.0.1:443", "kinds": [ {
 *	    "kind": "services" | "endpointslices" | "namespaces", "synced": true, "watching": true,
 *	    "age_s": 0.8, "events", "relists", "reconnects", "skipped", "bytes", "error": "" } ] }
 *	"objects": { "services", "endpointslices", "namespaces", "endpoints", "skipped",
 *	    "warnings" }
 *	"table": { as in stats }
 *	"workers": { "registered", "gone" }
 *	"interfaces": [ { "name": "veth1", "ifindex": 7, "engine": "tc" | "xdp",
 *	    "mode": "tcx" | "clsact" | "native" | "generic", "attached": true, "attached_s": how
 *	    long since this kbdnsd has attached to it or taken it over, null if it has not,
 *	    "found": by --pods, otherwise by its name, "error": "" } ]
 *	"pods": { "attached", "failing", "waiting", "left_out": found by --pods, now; "attaches",
 *	    "detaches", "vanished", "refused", "occupied", "no_memory", "other": failures;
 *	    "listings" }
 *	"mode": "transparent" | "local"
 *	"local": { "interface": "kbdns0", "kind": "dummy" | "bridge",
 *	    "taken": [ { "address": "10.96.0.10", "internal": "169.254.53.0" } ] }, in local mode
 *	"rules": { "from": "options" | path | "configmap:NS/NAME", "loaded_s": Unix time,
 *	    "loads", "failures": configurations taken over, and not,
 *	    "error": of the last one, or "",
 *	    "zones": [ { "zone": "cluster.local", "role": "cluster" | "reverse" | "foreign",
 *	    "unknown_names": "denied" | "left" } ], "options": { "pods": "disabled" | "insecure" |
 *	    "verified", "ttl_s", "endpoint_pod_names", "noendpoints", "ignore_empty_service": bool,
 *	    "namespaces": [ ], "namespace_labels": null, "labels": null },
 *	    "left": [ { "file", "line": 3, "what": "the line", "zone": null, "why" } ] }
 *	"domains": [ "cluster.local" ], "listen": [ "169.254.20.10:53" ],
 *	"intercepts": [ "10.96.0.10:53" ]
 *
 * interfaces
 *	"interfaces", "pods": as in status
 *
 * stats [PREFIX]		only members of engines whose names begin with PREFIX
 *	"engines": { "tc": { "answered_positive": 5, ... every row of KB_COUNTERS }, "xdp",
 *	    "socket" }
 *	"latency_ns": { "tc": [ N, ... 32 ] }	bucket i counts [2^i, 2^(i+1)) ns; left out
 *	    when off
 *	"sockets": { "udp_queries", "tcp_queries", "udp_send_failed", "udp_deferred",
 *	    "udp_deferred_dropped", "tcp_accepted", "tcp_open",
 *	    "tcp_refused", "tcp_timed_out", "tcp_overflowed", "tcp_waiting_bytes" }
 *	"local": { "rewritten_udp", ... every row of KB_LOCAL_COUNTERS }
 *	"table": { "names", "buckets", "replicas", "generation", "index_bytes", "arena_bytes",
 *	    "arena_used_bytes", "records", "puts", "dels", "changes", "growths", "limbo",
 *	    "refused", "collisions" }
 *	"querylog": { "packet_events", "socket_events", "written", "dropped_ring", "dropped_queue",
 *	    "dropped_write", "traces" }
 *	"objects", "source": as in status
 *
 * lookup NAME [TYPE]		TYPE: A by default; a mnemonic, TYPEnnn or a number
 *	"name": "kubernetes.default.svc.cluster.local", "type": "A"
 *	"where": { "kind": "none" | "a" | "record" | "leave", "zone": "cluster.local" | null,
 *	    "generation": 3, "bucket": 17, "slot": 2, "ref": 0, "address": "10.96.0.1" | null }
 *	"packet_cache": { "left_s": 57, "rcode": 0, "records": 1, "body_bytes": 16 } | null
 *	"engines": [ { "engine": "tc" | "xdp" | "socket-udp" | "socket-tcp",
 *	    "verdict": "answered_positive" (a row of KB_COUNTERS), "rcode": "NOERROR" | null,
 *	    "truncated": false, "size_bytes": 70 | null,
 *	    "answer": [ RR ], "authority": [ RR ], "additional": [ RR ] } ]
 *	RR = { "name", "ttl_s": 5, "type": "A", "data": "10.96.0.1" }
 *	The table's place of a name is shown, the hash key and hashes never are.
 *
 * dump				a stream; in no special order, not a snapshot in time
 *	{ "name": "kubernetes.default.svc.cluster.local", "kind": "a" | "record" | "leave",
 *	  "zone": "cluster.local", "ref": 0, "address": "10.96.0.1" | null }
 *
 * workers			of other processes, kbdns-dpdk's; counts are those of the row, which
 *	may have had other workers before
 *	"workers": [ { "row", "engine": "dpdk", "pid", "ifindex": 0 if it is none of the kernel's,
 *	    "queue", "port": name, "state": "serving" | "draining" | "drained",
 *	    "link": "up" | "down", "idle": "busy" | "pause" | "interrupt" (the policy),
 *	    "wait": "poll" | "pause" | "tpause" | "sleep" | "interrupt" (what became of it),
 *	    "sleep_us", "burst", "ahead",
 *	    "gone": true while it has not noticed that kbdnsd waits for it no more, "online",
 *	    "generation": of the index that it has mapped, "silent_s", "registered_s", "bursts",
 *	    "frames", "answered", "left", "dropped", "discarded": of this registration,
 *	    "frames_per_burst": null without any, "idle_share": 0..1 of its time, "tsc_hz",
 *	    "cycles": { "receive", "headers", "hash", "question", "lookup", "answer", "send", "all"
 *} of the TSC for each frame, from a sample; null without any } ] workers drain|resume|stop ROW|all
 *"asked": how many; what became of it is seen in "state"
 *
 * tune				"tunables": [ TUNABLE ]
 * tune KEY			"tunables": [ TUNABLE ]
 * tune KEY=VALUE		"tunables": [ TUNABLE ], with the new value
 *	TUNABLE = { "key": "ttl", "value": "5", "default": "5", "takes": "seconds 0..3600, ...",
 *	    "effect": "live" | "restart", "help": "TTL of cluster records" }
 *
 * trace SECONDS [FILTER]...	a stream: queries as they are answered, for so long; see
 *	control/querylog/trace.h
 *	FILTER = name=DOMAIN | type=TYPE | rcode=RCODE | client=CIDR | engine=tc|xdp|socket |
 *	    sample=N
 *	{ "time": "2026-11-24T14:22:01.123456Z", "engine": "tc" | "xdp" | "socket",
 *	  "verdict": a row of KB_COUNTERS | null (socket),
 *	  "from": "table" | "cache" | "upstream" | null (left),
 *	  "client": "10.244.0.7:40212", "to": "10.96.0.10:53", "transport": "udp" | "tcp",
 *	  "id": 54321, "name": "example.org.", "type": "A", "class": "IN", "query_bytes": 41,
 *	  "do": false, "bufsize": 1232 (0: no EDNS), "rcode": "NOERROR" | null (left),
 *	  "flags": "qr,aa,rd" | null, "answers", "authority", "additional",
 *	  "reply_bytes": 106, "duration_s": 0.000123 | null (not measured),
 *	  "line": the same as a line of the query log }
 *	At the end, if events were lost because they were not read in time: { "dropped": 5 }
 *
 * bypass			"bypass": { "on": false, "left_s": null }
 * bypass on [SECONDS] | off	the same, after the change; left_s null: until switched off
 *
 * version			"version": "0.1.0", "pid": 1
 */
#ifndef KB_CTL_PROTOCOL_H
#define KB_CTL_PROTOCOL_H

#define KB_CTL_PROTOCOL	   1
#define KB_CTL_SOCKET_NAME "kbdnsd.sock"
#define KB_CTL_SOCKET	   "/run/kbdns/" KB_CTL_SOCKET_NAME
#define KB_CTL_BPFFS	   "/sys/fs/bpf/kbdns"
#define KB_CTL_REQUEST_MAX 1024	      /* bytes, newline included */
#define KB_CTL_WORDS_MAX   8	      /* of a request, command included */
#define KB_CTL_REPLY_MAX   (16 << 20) /* bytes of one document */
#define KB_CTL_CLIENTS_MAX 16

#endif
