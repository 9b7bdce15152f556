/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the demo cluster (scripts/demo/cluster.json, in C: fixture_cluster.c) and
 * what has to be answered, for every engine alike. Configuration: cluster.local, ttl 5,
 * DNS Service kube-system/kube-dns, reverse zones not authoritative.
 *
 * Records are lines of presentation format, in any order within a section; the
 * serial of an SOA is the word SERIAL. Every answer has AA set. Queries carry EDNS with
 * 1232 bytes unless CASE_PLAIN; the OPT record of the reply is not listed.
 */
/* Rows of a table: */
/* clang-format off */
#ifndef KB_TESTS_ANSWER_CASES_H
#define KB_TESTS_ANSWER_CASES_H

enum {
	CASE_TC = 1,	/* truncated over UDP */
	CASE_LEAVE = 2, /* the fast path leaves it alone */
	CASE_PLAIN = 4, /* ask without EDNS */
};

struct answer_case {
	const char *qname, *qtype, *rcode;
	unsigned int flags;
	const char *answer, *authority, *additional;
};

#define Z "cluster.local."
#define SOA_REST "hostmaster." Z " SERIAL 7200 1800 86400 5\n"
#define SOA_Z Z " 5 IN SOA ns.dns." Z " " SOA_REST
#define SOA_4 "in-addr.arpa. 5 IN SOA ns.dns.in-addr.arpa. hostmaster.in-addr.arpa. SERIAL 7200 1800 86400 5\n"
#define SOA_6 "ip6.arpa. 5 IN SOA ns.dns.ip6.arpa. hostmaster.ip6.arpa. SERIAL 7200 1800 86400 5\n"
#define RR(owner, type, data) owner " 5 IN " type " " data "\n"
#define NXDOMAIN(name, type) { name, type, "NXDOMAIN", 0, "", SOA_Z, "" }
#define NODATA(name, type)   { name, type, "NOERROR", 0, "", SOA_Z, "" }
#define DNS_GLUE RR("kube-dns.kube-system.svc." Z, "A", "10.96.0.10") \
		 RR("kube-dns.kube-system.svc." Z, "AAAA", "fd00:10:96::a")
#define KAFKA_GLUE RR("kafka-0.kafka.data.svc." Z, "A", "10.244.0.36") \
		   RR("kafka-0.kafka.data.svc." Z, "AAAA", "fd00:10:244::24") \
		   RR("kafka-1.kafka.data.svc." Z, "A", "10.244.1.37") \
		   RR("kafka-1.kafka.data.svc." Z, "AAAA", "fd00:10:244:1::25") \
		   RR("kafka-2.kafka.data.svc." Z, "A", "10.244.2.38") \
		   RR("kafka-2.kafka.data.svc." Z, "AAAA", "fd00:10:244:2::26")

static const struct answer_case answer_cases[] = {
	/* The zone. */
	{ "cluster.local", "SOA", "NOERROR", 0, SOA_Z, "", "" },
	{ "cluster.local", "NS", "NOERROR", 0, RR(Z, "NS", "kube-dns.kube-system.svc." Z), "",
	  DNS_GLUE },
	NODATA("cluster.local", "A"),
	NODATA("cluster.local", "TXT"),
	NODATA("svc.cluster.local", "A"),
	NODATA("dns.cluster.local", "A"),
	{ "ns.dns.cluster.local", "A", "NOERROR", 0, RR("ns.dns." Z, "A", "10.96.0.10"), "", "" },
	{ "ns.dns.cluster.local", "AAAA", "NOERROR", 0, RR("ns.dns." Z, "AAAA", "fd00:10:96::a"),
	  "", "" },
	NODATA("ns.dns.cluster.local", "TXT"),
	{ "dns-version.cluster.local", "TXT", "NOERROR", 0,
	  "dns-version." Z " 28800 IN TXT \"1.1.0\"\n", "", "" },
	NODATA("dns-version.cluster.local", "A"),
	NXDOMAIN("www.example.com.cluster.local", "A"),
	NXDOMAIN("nothing.cluster.local", "AAAA"),

	/* Namespaces. */
	NODATA("default.svc.cluster.local", "A"),
	NODATA("staging.svc.cluster.local", "TXT"),
	NXDOMAIN("missing.svc.cluster.local", "A"),
	NXDOMAIN("kubernetes.missing.svc.cluster.local", "A"),
	NXDOMAIN("www.example.com.default.svc.cluster.local", "A"),
	NXDOMAIN("kubernetes.default.svc.cluster.local.svc.cluster.local", "A"),

	/* ClusterIP Services. */
	{ "kubernetes.default.svc.cluster.local", "A", "NOERROR", 0,
	  RR("kubernetes.default.svc." Z, "A", "10.96.0.1"), "", "" },
	{ "kubernetes.default.svc.cluster.local", "A", "NOERROR", CASE_PLAIN,
	  RR("kubernetes.default.svc." Z, "A", "10.96.0.1"), "", "" },
	{ "KuBeRnEtEs.DEFAULT.svc.Cluster.Local", "A", "NOERROR", 0,
	  RR("KuBeRnEtEs.DEFAULT.svc.Cluster.Local.", "A", "10.96.0.1"), "", "" },
	NODATA("kubernetes.default.svc.cluster.local", "AAAA"),
	NODATA("kubernetes.default.svc.cluster.local", "MX"),
	NODATA("kubernetes.default.svc.cluster.local", "TYPE65"),
	NODATA("kubernetes.default.svc.cluster.local", "ANY"),
	{ "kubernetes.default.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("kubernetes.default.svc." Z, "SRV", "0 100 443 kubernetes.default.svc." Z), "",
	  RR("kubernetes.default.svc." Z, "A", "10.96.0.1") },
	{ "_https._tcp.kubernetes.default.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("_https._tcp.kubernetes.default.svc." Z, "SRV",
	     "0 100 443 kubernetes.default.svc." Z), "",
	  RR("kubernetes.default.svc." Z, "A", "10.96.0.1") },
	NODATA("_https._tcp.kubernetes.default.svc.cluster.local", "A"),
	NODATA("_tcp.kubernetes.default.svc.cluster.local", "SRV"),
	NXDOMAIN("_udp.kubernetes.default.svc.cluster.local", "SRV"),
	NXDOMAIN("_https._udp.kubernetes.default.svc.cluster.local", "SRV"),
	NXDOMAIN("_http._tcp.kubernetes.default.svc.cluster.local", "SRV"),
	NXDOMAIN("x._https._tcp.kubernetes.default.svc.cluster.local", "SRV"),
	{ "172-18-0-2.kubernetes.default.svc.cluster.local", "A", "NOERROR", 0,
	  RR("172-18-0-2.kubernetes.default.svc." Z, "A", "172.18.0.2"), "", "" },
	{ "172-18-0-2.kubernetes.default.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("172-18-0-2.kubernetes.default.svc." Z, "SRV",
	     "0 100 6443 172-18-0-2.kubernetes.default.svc." Z), "",
	  RR("172-18-0-2.kubernetes.default.svc." Z, "A", "172.18.0.2") },
	NXDOMAIN("10-0-0-1.kubernetes.default.svc.cluster.local", "A"),
	NXDOMAIN("x.172-18-0-2.kubernetes.default.svc.cluster.local", "A"),

	/* Dual stack; duplicate ports fold, and weigh. */
	{ "kube-dns.kube-system.svc.cluster.local", "A", "NOERROR", 0,
	  RR("kube-dns.kube-system.svc." Z, "A", "10.96.0.10"), "", "" },
	{ "kube-dns.kube-system.svc.cluster.local", "AAAA", "NOERROR", 0,
	  RR("kube-dns.kube-system.svc." Z, "AAAA", "fd00:10:96::a"), "", "" },
	{ "kube-dns.kube-system.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("kube-dns.kube-system.svc." Z, "SRV", "0 16 53 kube-dns.kube-system.svc." Z)
	  RR("kube-dns.kube-system.svc." Z, "SRV", "0 16 9153 kube-dns.kube-system.svc." Z), "",
	  DNS_GLUE },
	{ "_dns._udp.kube-dns.kube-system.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("_dns._udp.kube-dns.kube-system.svc." Z, "SRV",
	     "0 50 53 kube-dns.kube-system.svc." Z), "", DNS_GLUE },
	{ "fd00-10-244-1--d.kube-dns.kube-system.svc.cluster.local", "AAAA", "NOERROR", 0,
	  RR("fd00-10-244-1--d.kube-dns.kube-system.svc." Z, "AAAA", "fd00:10:244:1::d"), "", "" },
	NODATA("fd00-10-244-1--d.kube-dns.kube-system.svc.cluster.local", "A"),
	/* IPv6 only, and a port without a name. */
	NODATA("sessions.shop.svc.cluster.local", "A"),
	{ "sessions.shop.svc.cluster.local", "AAAA", "NOERROR", 0,
	  RR("sessions.shop.svc." Z, "AAAA", "fd00:10:96::2331"), "", "" },
	{ "echo.default.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("echo.default.svc." Z, "SRV", "0 50 7 echo.default.svc." Z), "",
	  RR("echo.default.svc." Z, "A", "10.96.11.66")
	  RR("echo.default.svc." Z, "AAAA", "fd00:10:96::1776") },
	NXDOMAIN("_tcp.echo.default.svc.cluster.local", "SRV"),
	{ "_diameter._sctp.sctp-gateway.legacy.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("_diameter._sctp.sctp-gateway.legacy.svc." Z, "SRV",
	     "0 100 3868 sctp-gateway.legacy.svc." Z), "",
	  RR("sctp-gateway.legacy.svc." Z, "A", "10.96.16.144") },
	/* No endpoint, or none that is ready: the ClusterIP answers all the same. */
	{ "retired.legacy.svc.cluster.local", "A", "NOERROR", 0,
	  RR("retired.legacy.svc." Z, "A", "10.96.10.147"), "", "" },
	{ "recommendation.shop.svc.cluster.local", "A", "NOERROR", 0,
	  RR("recommendation.shop.svc." Z, "A", "10.96.14.96"), "", "" },
	NXDOMAIN("10-244-1-28.recommendation.shop.svc.cluster.local", "A"),
	NXDOMAIN("10-244-2-23.catalog.shop.svc.cluster.local", "A"),

	/* Headless Services. */
	{ "kafka.data.svc.cluster.local", "A", "NOERROR", 0,
	  RR("kafka.data.svc." Z, "A", "10.244.0.36") RR("kafka.data.svc." Z, "A", "10.244.1.37")
	  RR("kafka.data.svc." Z, "A", "10.244.2.38"), "", "" },
	{ "kafka.data.svc.cluster.local", "AAAA", "NOERROR", 0,
	  RR("kafka.data.svc." Z, "AAAA", "fd00:10:244::24")
	  RR("kafka.data.svc." Z, "AAAA", "fd00:10:244:1::25")
	  RR("kafka.data.svc." Z, "AAAA", "fd00:10:244:2::26"), "", "" },
	{ "_broker._tcp.kafka.data.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("_broker._tcp.kafka.data.svc." Z, "SRV", "0 16 9092 kafka-0.kafka.data.svc." Z)
	  RR("_broker._tcp.kafka.data.svc." Z, "SRV", "0 16 9092 kafka-1.kafka.data.svc." Z)
	  RR("_broker._tcp.kafka.data.svc." Z, "SRV", "0 16 9092 kafka-2.kafka.data.svc." Z), "",
	  KAFKA_GLUE },
	{ "kafka.data.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("kafka.data.svc." Z, "SRV", "0 8 9092 kafka-0.kafka.data.svc." Z)
	  RR("kafka.data.svc." Z, "SRV", "0 8 9093 kafka-0.kafka.data.svc." Z)
	  RR("kafka.data.svc." Z, "SRV", "0 8 9092 kafka-1.kafka.data.svc." Z)
	  RR("kafka.data.svc." Z, "SRV", "0 8 9093 kafka-1.kafka.data.svc." Z)
	  RR("kafka.data.svc." Z, "SRV", "0 8 9092 kafka-2.kafka.data.svc." Z)
	  RR("kafka.data.svc." Z, "SRV", "0 8 9093 kafka-2.kafka.data.svc." Z), "",
	  KAFKA_GLUE },
	{ "kafka.data.svc.cluster.local", "SRV", "NOERROR", CASE_PLAIN | CASE_TC, "", "", "" },
	{ "kafka-0.kafka.data.svc.cluster.local", "A", "NOERROR", 0,
	  RR("kafka-0.kafka.data.svc." Z, "A", "10.244.0.36"), "", "" },
	{ "kafka-0.kafka.data.svc.cluster.local", "AAAA", "NOERROR", 0,
	  RR("kafka-0.kafka.data.svc." Z, "AAAA", "fd00:10:244::24"), "", "" },
	NXDOMAIN("10-244-0-36.kafka.data.svc.cluster.local", "A"),
	NODATA("_broker._tcp.kafka.data.svc.cluster.local", "A"),
	NODATA("_tcp.kafka.data.svc.cluster.local", "A"),
	{ "10-244-2-41.redis.data.svc.cluster.local", "A", "NOERROR", 0,
	  RR("10-244-2-41.redis.data.svc." Z, "A", "10.244.2.41"), "", "" },
	{ "_mesh._udp.alertmanager.monitoring.svc.cluster.local", "SRV", "NOERROR", 0,
	  RR("_mesh._udp.alertmanager.monitoring.svc." Z, "SRV",
	     "0 25 9094 alertmanager-0.alertmanager.monitoring.svc." Z)
	  RR("_mesh._udp.alertmanager.monitoring.svc." Z, "SRV",
	     "0 25 9094 alertmanager-1.alertmanager.monitoring.svc." Z), "",
	  RR("alertmanager-0.alertmanager.monitoring.svc." Z, "A", "10.244.2.47")
	  RR("alertmanager-0.alertmanager.monitoring.svc." Z, "AAAA", "fd00:10:244:2::2f")
	  RR("alertmanager-1.alertmanager.monitoring.svc." Z, "A", "10.244.0.48")
	  RR("alertmanager-1.alertmanager.monitoring.svc." Z, "AAAA", "fd00:10:244::30") },
	NODATA("mainframe.legacy.svc.cluster.local", "AAAA"),
	NXDOMAIN("kubelet.kube-system.svc.cluster.local", "A"),
	NXDOMAIN("kubelet.kube-system.svc.cluster.local", "TXT"),

	/* ExternalName. */
	{ "database.shop.svc.cluster.local", "A", "NOERROR", 0,
	  RR("database.shop.svc." Z, "CNAME", "postgres-rw.data.svc." Z)
	  RR("postgres-rw.data.svc." Z, "A", "10.96.10.105"), "", "" },
	{ "database.shop.svc.cluster.local", "AAAA", "NOERROR", 0,
	  RR("database.shop.svc." Z, "CNAME", "postgres-rw.data.svc." Z)
	  RR("postgres-rw.data.svc." Z, "AAAA", "fd00:10:96::2553"), "", "" },
	{ "database.shop.svc.cluster.local", "CNAME", "NOERROR", 0,
	  RR("database.shop.svc." Z, "CNAME", "postgres-rw.data.svc." Z), "", "" },
	{ "database.shop.svc.cluster.local", "TXT", "NOERROR", 0,
	  RR("database.shop.svc." Z, "CNAME", "postgres-rw.data.svc." Z), SOA_Z, "" },
	NODATA("database.shop.svc.cluster.local", "ANY"),
	{ "payments.shop.svc.cluster.local", "CNAME", "NOERROR", 0,
	  RR("payments.shop.svc." Z, "CNAME", "payments.example.com."), "", "" },
	{ "payments.shop.svc.cluster.local", "A", "NOERROR", CASE_LEAVE, "", "", "" },
	NXDOMAIN("x.payments.shop.svc.cluster.local", "A"),

	/* PTR: the zones are not ours alone, but what is ours is. */
	{ "1.0.96.10.in-addr.arpa", "PTR", "NOERROR", 0,
	  RR("1.0.96.10.in-addr.arpa.", "PTR", "kubernetes.default.svc." Z), "", "" },
	{ "1.0.96.10.in-addr.arpa", "A", "NOERROR", 0, "", SOA_4, "" },
	{ "41.2.244.10.in-addr.arpa", "PTR", "NOERROR", 0,
	  RR("41.2.244.10.in-addr.arpa.", "PTR", "10-244-2-41.redis.data.svc." Z), "", "" },
	{ "36.0.244.10.in-addr.arpa", "PTR", "NOERROR", 0,
	  RR("36.0.244.10.in-addr.arpa.", "PTR", "kafka-0.kafka.data.svc." Z), "", "" },
	{ "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa", "PTR",
	  "NOERROR", 0,
	  RR("a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa.", "PTR",
	     "kube-dns.kube-system.svc." Z), "", "" },
	{ "9.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.4.4.2.0.0.1.0.0.0.0.D.F.ip6.arpa", "PTR",
	  "NOERROR", 0,
	  RR("9.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.4.4.2.0.0.1.0.0.0.0.D.F.ip6.arpa.", "PTR",
	     "fd00-10-244-2--29.redis.data.svc." Z), "", "" },
	{ "9.9.9.9.in-addr.arpa", "PTR", "NXDOMAIN", CASE_LEAVE, "", "", "" },
	{ "0.96.10.in-addr.arpa", "PTR", "NXDOMAIN", CASE_LEAVE, "", "", "" },
	{ "23.2.244.10.in-addr.arpa", "PTR", "NXDOMAIN", CASE_LEAVE, "", "", "" },

	/* Not ours. */
	{ "www.example.com", "A", "REFUSED", CASE_LEAVE, "", "", "" },
	{ "10-244-0-36.data.pod.cluster.local", "A", "SERVFAIL", CASE_LEAVE, "", "", "" },
	{ "pod.cluster.local", "A", "SERVFAIL", CASE_LEAVE, "", "", "" },
};

#define ANSWER_CASES (sizeof(answer_cases) / sizeof(answer_cases[0]))

#endif
