/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fixture_cluster.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 2048

/* Storage of one object; a sink only borrows it. */
static struct kb_port ports[LIST_MAX];
static struct kb_addr addrs[LIST_MAX];
static struct kb_endpoint eps[LIST_MAX];
static struct kb_label labels[LIST_MAX];

__attribute__((noreturn)) static void broken(const char *line)
{
	fprintf(stderr, "fixture: cannot read: %s\n", line);
	abort();
}

static void parse_addr(const char *text, struct kb_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->family = strchr(text, ':') ? 6 : 4;
	if (inet_pton(ret->family == 6 ? AF_INET6 : AF_INET, text, ret->b) != 1)
		broken(text);
}

static size_t parse_ports(char *text)
{
	char *item, *save = NULL;
	size_t n = 0;

	if (!strcmp(text, "-"))
		return 0;
	for (item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		char *proto = strchr(item, ':'), *port = proto ? strchr(proto + 1, ':') : NULL;

		if (!port)
			broken(item);
		*proto++ = '\0';
		*port++ = '\0';
		ports[n].name = item;
		ports[n].proto = !strcmp(proto, "udp")	  ? KB_UDP
				 : !strcmp(proto, "sctp") ? KB_SCTP
							  : KB_TCP;
		ports[n++].port = (uint16_t)atoi(port);
	}
	return n;
}

static size_t parse_addrs(char *text)
{
	char *item, *save = NULL;
	size_t n = 0;

	if (!strcmp(text, "-"))
		return 0;
	for (item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save))
		parse_addr(item, &addrs[n++]);
	return n;
}

/* Ends the text at the first `c` and returns what is behind it, NULL: nothing. */
static char *cut(char *text, char c)
{
	char *at = strchr(text, c);

	if (at)
		*at++ = '\0';
	return at;
}

static size_t parse_eps(char *text)
{
	char *item, *save = NULL;
	size_t n = 0;

	if (!strcmp(text, "-"))
		return 0;
	for (item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		struct kb_endpoint *e = &eps[n++];
		size_t len = strlen(item);

		memset(e, 0, sizeof(*e));
		e->ready = item[len - 1] != '!';
		if (!e->ready)
			item[len - 1] = '\0';
		e->pod = cut(item, '@');
		e->hostname = cut(item, '=');
		parse_addr(item, &e->addr);
	}
	return n;
}

static size_t parse_labels(char *text)
{
	char *item, *save = NULL;
	size_t n = 0;

	for (item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		labels[n].value = cut(item, '=');
		labels[n].value = labels[n].value ? labels[n].value : "";
		labels[n++].key = item;
	}
	return n;
}

static enum kb_kind parse_kind(const char *text)
{
	static const char *const kinds[KB_KIND_MAX] = {"svc", "slice", "ns", "pod"};
	enum kb_kind kind = 0;

	while (kind < KB_KIND_MAX - 1 &&
	       (strncmp(text, kinds[kind], strlen(kinds[kind])) || text[strlen(kinds[kind])] > ' '))
		kind++;
	return kind;
}

static void parse_service(struct kb_object *obj, char **word, size_t n, const char *line)
{
	struct kb_service *v = &obj->u.service;

	if (n < 4)
		broken(line);
	if (!strcmp(word[2], "external")) {
		v->type = KB_EXTERNAL_NAME;
		v->external_name = word[3];
		return;
	}
	v->type = !strcmp(word[2], "headless") ? KB_HEADLESS : KB_CLUSTER_IP;
	if (v->type == KB_CLUSTER_IP) {
		v->n_cluster_ips = parse_addrs(word[3]);
		v->cluster_ips = addrs;
	}
	v->n_ports = parse_ports(word[v->type == KB_CLUSTER_IP ? 4 : 3]);
	v->ports = ports;
	v->selector = !strcmp(word[n - 1], "selector");
}

static void parse_slice(struct kb_object *obj, char **word, size_t n, const char *line)
{
	struct kb_slice *v = &obj->u.slice;

	if (n < 5)
		broken(line);
	v->service = strcmp(word[2], "-") ? word[2] : NULL;
	v->n_ports = parse_ports(word[3]);
	v->ports = ports;
	v->n_endpoints = parse_eps(word[4]);
	v->endpoints = eps;
	if (n > 6 && !strcmp(word[5], "at"))
		v->trigger_time_s = strtod(word[6], NULL);
}

void fixture_apply(const struct kb_sink *sink, const char *line)
{
	char *copy = strdup(line), *word[8] = {NULL}, *save = NULL, *slash;
	struct kb_object obj = {.ns = ""};
	size_t n = 0;
	bool bad, gone;

	for (char *w = strtok_r(copy, " ", &save); w && n < 8; w = strtok_r(NULL, " ", &save))
		word[n++] = w;
	if (n < 2)
		broken(line);
	bad = !strcmp(word[0], "bad");
	gone = !strcmp(word[0], "gone");
	if (bad || gone)
		memmove(word, word + 1, --n * sizeof(word[0]));
	obj.kind = parse_kind(word[0]);
	obj.name = word[1];
	if (obj.kind != KB_NAMESPACE) {
		slash = strchr(word[1], '/');
		if (!slash)
			broken(line);
		*slash = '\0';
		obj.ns = word[1];
		obj.name = slash + 1;
	}
	if (gone) {
		sink->gone(sink->arg, obj.kind, obj.ns, obj.name);
	} else {
		if (bad) {
			obj.bad = word[n - 1];
			if (obj.kind == KB_SLICE && strcmp(word[2], "-"))
				obj.u.slice.service = word[2];
		} else if (obj.kind == KB_SERVICE) {
			parse_service(&obj, word, n, line);
		} else if (obj.kind == KB_SLICE) {
			parse_slice(&obj, word, n, line);
		} else if (obj.kind == KB_NAMESPACE && n > 2) {
			obj.n_labels = parse_labels(word[2]);
			obj.labels = labels;
		} else if (obj.kind == KB_POD) {
			if (n < 3)
				broken(line);
			obj.u.pod.n_ips = parse_addrs(word[2]);
			obj.u.pod.ips = addrs;
		}
		sink->apply(sink->arg, &obj);
	}
	free(copy);
}

void fixture_list(const struct kb_sink *sink, const char *const *lines)
{
	enum kb_kind kind;
	size_t i;

	for (kind = 0; kind < KB_KIND_MAX; kind++) {
		sink->relist_begin(sink->arg, kind);
		for (i = 0; lines[i]; i++) {
			const char *l = !strncmp(lines[i], "bad ", 4) ? lines[i] + 4 : lines[i];

			if (parse_kind(l) == kind)
				fixture_apply(sink, lines[i]);
		}
		sink->relist_end(sink->arg, kind);
	}
}

const char *const fixture_cluster[] = {
	"ns data",
	"ns default",
	"ns kube-node-lease",
	"ns kube-public",
	"ns kube-system",
	"ns legacy",
	"ns monitoring",
	"ns shop",
	"ns staging",
	"svc data/kafka headless broker:tcp:9092,controller:tcp:9093",
	"svc data/kafka-bootstrap cluster 10.96.13.114,fd00:10:96::2886 broker:tcp:9092",
	"svc data/minio cluster 10.96.15.120,fd00:10:96::2aa8 s3:tcp:9000,console:tcp:9001",
	"svc data/postgres headless postgresql:tcp:5432",
	"svc data/postgres-ro cluster 10.96.11.108,fd00:10:96::2664 postgresql:tcp:5432",
	"svc data/postgres-rw cluster 10.96.10.105,fd00:10:96::2553 postgresql:tcp:5432",
	"svc data/redis headless redis:tcp:6379,sentinel:tcp:26379",
	"svc default/echo cluster 10.96.11.66,fd00:10:96::1776 :tcp:7",
	"svc default/kubernetes cluster 10.96.0.1 https:tcp:443",
	"svc kube-system/kube-dns cluster 10.96.0.10,fd00:10:96::a "
	"dns:udp:53,dns-tcp:tcp:53,metrics:tcp:9153",
	"svc kube-system/kubelet headless https-metrics:tcp:10250",
	"svc kube-system/metrics-server cluster 10.96.13.72,fd00:10:96::1998 https:tcp:443",
	"svc legacy/billing cluster 10.96.15.141 http:tcp:80",
	"svc legacy/mainframe headless tn3270:tcp:23",
	"svc legacy/retired cluster 10.96.10.147,fd00:10:96::3441 http:tcp:80",
	"svc legacy/sctp-gateway cluster 10.96.16.144 diameter:sctp:3868",
	"svc monitoring/alertmanager headless web:tcp:9093,mesh:udp:9094",
	"svc monitoring/grafana cluster 10.96.11.129,fd00:10:96::2ddb http:tcp:80",
	"svc monitoring/node-exporter headless metrics:tcp:9100",
	"svc monitoring/prometheus cluster 10.96.16.123,fd00:10:96::2bb9 web:tcp:9090",
	"svc monitoring/statsd cluster 10.96.13.135,fd00:10:96::2ffd statsd:udp:8125",
	"svc shop/cart cluster 10.96.16.81,fd00:10:96::1ccb grpc:tcp:7070",
	"svc shop/catalog cluster 10.96.10.84,fd00:10:96::1ddc http:tcp:80,grpc:tcp:9000",
	"svc shop/checkout cluster 10.96.11.87,fd00:10:96::1eed http:tcp:80",
	"svc shop/currency cluster 10.96.12.90 grpc:tcp:7000",
	"svc shop/database external postgres-rw.data.svc.cluster.local",
	"svc shop/email cluster 10.96.13.93,fd00:10:96::210f smtp:tcp:25,submission:tcp:587",
	"svc shop/frontend cluster 10.96.15.78,fd00:10:96::1bba http:tcp:80,metrics:tcp:9102",
	"svc shop/payments external payments.example.com",
	"svc shop/recommendation cluster 10.96.14.96,fd00:10:96::2220 http:tcp:80",
	"svc shop/sessions cluster fd00:10:96::2331 redis:tcp:6379",
	"slice data/kafka-854mz kafka broker:tcp:9092,controller:tcp:9093 "
	"10.244.0.36=kafka-0,10.244.1.37=kafka-1,10.244.2.38=kafka-2",
	"slice data/kafka-bootstrap-74n87 kafka-bootstrap broker:tcp:9092 10.244.0.39,10.244.1.40",
	"slice data/kafka-bootstrap-snkbk kafka-bootstrap broker:tcp:9092 "
	"fd00:10:244:0::27,fd00:10:244:1::28",
	"slice data/kafka-jexpj kafka broker:tcp:9092,controller:tcp:9093 "
	"fd00:10:244:0::24=kafka-0,fd00:10:244:1::25=kafka-1,fd00:10:244:2::26=kafka-2",
	"slice data/minio-465k6 minio s3:tcp:9000,console:tcp:9001 "
	"fd00:10:244:2::2c,fd00:10:244:0::2d",
	"slice data/minio-kprrz minio s3:tcp:9000,console:tcp:9001 10.244.2.44,10.244.0.45",
	"slice data/postgres-4nc7r postgres postgresql:tcp:5432 "
	"fd00:10:244:0::1e=postgres-0,fd00:10:244:1::1f=postgres-1,fd00:10:244:2::20=postgres-2",
	"slice data/postgres-6cqqb postgres postgresql:tcp:5432 "
	"10.244.0.30=postgres-0,10.244.1.31=postgres-1,10.244.2.32=postgres-2",
	"slice data/postgres-ro-k4dnz postgres-ro postgresql:tcp:5432 10.244.1.34,10.244.2.35",
	"slice data/postgres-ro-vxkh7 postgres-ro postgresql:tcp:5432 "
	"fd00:10:244:1::22,fd00:10:244:2::23",
	"slice data/postgres-rw-9qxh4 postgres-rw postgresql:tcp:5432 fd00:10:244:0::21",
	"slice data/postgres-rw-b79gk postgres-rw postgresql:tcp:5432 10.244.0.33",
	"slice data/redis-55942 redis redis:tcp:6379,sentinel:tcp:26379 "
	"fd00:10:244:2::29,fd00:10:244:0::2a,fd00:10:244:1::2b",
	"slice data/redis-qcr2t redis redis:tcp:6379,sentinel:tcp:26379 "
	"10.244.2.41,10.244.0.42,10.244.1.43",
	"slice default/echo-2btqw echo :tcp:7 fd00:10:244:2::b,fd00:10:244:0::c",
	"slice default/echo-zwwd2 echo :tcp:7 10.244.2.11,10.244.0.12",
	"slice default/kubernetes kubernetes https:tcp:6443 172.18.0.2",
	"slice kube-system/kube-dns-p4aqv kube-dns dns:udp:53,dns-tcp:tcp:53,metrics:tcp:9153 "
	"fd00:10:244:1::d,fd00:10:244:2::e",
	"slice kube-system/kube-dns-wq9tg kube-dns dns:udp:53,dns-tcp:tcp:53,metrics:tcp:9153 "
	"10.244.1.13,10.244.2.14",
	"slice kube-system/kubelet-gwbfb kubelet - -",
	"slice kube-system/kubelet-q8pss kubelet - -",
	"slice kube-system/metrics-server-26pcf metrics-server https:tcp:10250 fd00:10:244:0::f",
	"slice kube-system/metrics-server-45hqp metrics-server https:tcp:10250 10.244.0.15",
	"slice legacy/billing billing http:tcp:8080 198.51.100.20",
	"slice legacy/mainframe mainframe tn3270:tcp:23 198.51.100.7,198.51.100.8",
	"slice legacy/retired-k6t4r retired - -",
	"slice legacy/retired-xvfcg retired - -",
	"slice legacy/sctp-gateway-vs2d9 sctp-gateway diameter:sctp:3868 10.244.0.54",
	"slice monitoring/alertmanager-chj6d alertmanager web:tcp:9093,mesh:udp:9094 "
	"10.244.2.47=alertmanager-0,10.244.0.48=alertmanager-1",
	"slice monitoring/alertmanager-rjrgw alertmanager web:tcp:9093,mesh:udp:9094 "
	"fd00:10:244:2::2f=alertmanager-0,fd00:10:244:0::30=alertmanager-1",
	"slice monitoring/grafana-5stgs grafana http:tcp:3000 10.244.1.49",
	"slice monitoring/grafana-f844v grafana http:tcp:3000 fd00:10:244:1::31",
	"slice monitoring/node-exporter-rw6a9 node-exporter metrics:tcp:9100 "
	"10.244.2.50,10.244.0.51,10.244.1.52",
	"slice monitoring/prometheus-cfne7 prometheus web:tcp:9090 10.244.1.46",
	"slice monitoring/prometheus-mmf9n prometheus web:tcp:9090 fd00:10:244:1::2e",
	"slice monitoring/statsd-4xhrk statsd statsd:udp:8125 10.244.2.53",
	"slice monitoring/statsd-e7599 statsd statsd:udp:8125 fd00:10:244:2::35",
	"slice shop/cart-7eke6 cart grpc:tcp:7070 fd00:10:244:1::13,fd00:10:244:2::14",
	"slice shop/cart-ww2c5 cart grpc:tcp:7070 10.244.1.19,10.244.2.20",
	"slice shop/catalog-7q9bs catalog http:tcp:8080,grpc:tcp:9000 "
	"fd00:10:244:0::15,fd00:10:244:1::16,fd00:10:244:2::17!",
	"slice shop/catalog-a4b8x catalog http:tcp:8080,grpc:tcp:9000 "
	"10.244.0.21,10.244.1.22,10.244.2.23!",
	"slice shop/checkout-cz4tq checkout http:tcp:8080 fd00:10:244:0::18,fd00:10:244:1::19",
	"slice shop/checkout-nmzhh checkout http:tcp:8080 10.244.0.24,10.244.1.25",
	"slice shop/currency-4tdxm currency grpc:tcp:7000 10.244.2.26",
	"slice shop/email-4pw5s email smtp:tcp:2525,submission:tcp:2587 10.244.0.27",
	"slice shop/email-ar2r7 email smtp:tcp:2525,submission:tcp:2587 fd00:10:244:0::1b",
	"slice shop/frontend-4nmvv frontend http:tcp:8080,metrics:tcp:9102 "
	"fd00:10:244:1::10,fd00:10:244:2::11,fd00:10:244:0::12",
	"slice shop/frontend-pva6x frontend http:tcp:8080,metrics:tcp:9102 "
	"10.244.1.16,10.244.2.17,10.244.0.18",
	"slice shop/recommendation-pwh7n recommendation http:tcp:8080 fd00:10:244:1::1c!",
	"slice shop/recommendation-td4xs recommendation http:tcp:8080 10.244.1.28!",
	"slice shop/sessions-pwcpq sessions redis:tcp:6379 fd00:10:244:2::1d",
	NULL,
};
