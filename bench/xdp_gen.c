// SPDX-License-Identifier: Apache-2.0
/*
 * Sends DNS queries from inside the kernel, out of an interface of the network
 * namespace it runs in, and counts the replies: some millions a second from one CPU. The
 * interface must take XDP frames: one end of a veth whose other end has an XDP program
 * or GRO on, or a NIC whose driver has ndo_xdp_xmit.
 *
 * Replies are counted and dropped at the hook named by --count: xdp for a responder that
 * sends with XDP_TX (the interface then stands for a NIC), tc for one that redirects.
 */
#include <net/if.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/check.h"
#include "bench/gen.h"
#include "bench/options.h"

#define TCX_INGRESS 46 /* BPF_TCX_INGRESS; newer than libbpf 1.1 */
#define NAMES_MAX   4000000

struct options {
	const char *names_file, *pattern, *count;
	uint64_t names, type;
	double seconds;
	struct kb_gen_path path;
};

/* Questions of one length; returns how many, and how many were left out. */
static uint32_t read_names(const struct options *o, struct question *q, uint32_t *ret_len,
			   uint32_t *ret_left)
{
	uint32_t per_len[QUESTION_MAX + 1] = {0}, best = 0, n = 0, m = 0;
	char line[300];
	FILE *f = NULL;

	if (o->names_file) {
		f = fopen(o->names_file, "r");
		if (!f)
			die(o->names_file, -errno);
	}
	while (n < (f ? NAMES_MAX : o->names)) {
		uint32_t len;

		if (f && !fgets(line, sizeof(line), f))
			break;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		if (!f)
			snprintf(line, sizeof(line), o->pattern, n);
#pragma GCC diagnostic pop
		line[strcspn(line, " \t\r\n")] = '\0';
		len = *line ? kb_gen_question(&q[n], line, (uint16_t)o->type) : 0;
		per_len[len]++;
		if (len)
			n++;
		else if (!f)
			option_bad("pattern", o->pattern);
	}
	if (f)
		fclose(f);
	for (uint32_t len = 8; len <= QUESTION_MAX; len++)
		best = per_len[len] > per_len[best] || best < 8 ? len : best;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t end = 0;

		while (q[i].b[end])
			end += q[i].b[end] + 1U;
		if (end + 5 == best)
			q[m++] = q[i];
	}
	*ret_len = best;
	*ret_left = n - m + per_len[0];
	return m;
}

static void option_interface(const char *name, const char *value, void *to)
{
	uint32_t ifindex = if_nametoindex(value);

	(void)name;
	if (!ifindex)
		die(value, -errno);
	*(uint32_t *)to = ifindex;
}

static void option_mac(const char *name, const char *value, void *to)
{
	struct ether_addr mac;

	if (!ether_aton_r(value, &mac))
		option_bad(name, value);
	memcpy(to, &mac, 6);
}

static void option_ip4(const char *name, const char *value, void *to)
{
	if (inet_pton(AF_INET, value, to) != 1)
		option_bad(name, value);
}

static void option_seconds(const char *name, const char *value, void *to)
{
	char *end;
	double v = strtod(value, &end);

	if (end == value || *end || !(v > 0 && v <= 3600))
		option_bad(name, value);
	*(double *)to = v;
}

static void parse_options(struct options *o, int argc, char **argv)
{
	static const uint8_t no_mac[6];
	const struct bench_option options[] = {
		{"if", "IFACE", "send from here (in this network namespace)", option_interface,
		 &o->path.far_ifindex},
		{"to-mac", "MAC", "of the responder's port", option_mac, o->path.near_mac},
		{"from-mac", "MAC", "default 02:00:00:00:00:02", option_mac, o->path.far_mac},
		{"from", "ADDR", "IPv4 source (default 10.244.0.11)", option_ip4, &o->path.saddr},
		{"to", "ADDR", "IPv4 destination (default 10.96.0.10)", option_ip4, &o->path.daddr},
		{"file", "FILE",
		 "names, one a line; those of the commonest length are asked, since all\n"
		 "                      frames of a run are equally long",
		 option_text, &o->names_file},
		{"pattern", "P",
		 "or names made from a printf pattern with one number\n"
		 "                      (default svc-%05u.ns-0000.svc.cluster.local)",
		 option_text, &o->pattern},
		{"names", "N", "how many of them (default 1000)", option_number, &o->names},
		{"type", "N", "number of the type (default 1, A)", option_number, &o->type},
		{"count", "xdp|tc|none", "where replies are counted and dropped (default xdp)",
		 option_text, &o->count},
		{"seconds", "S", "default 2", option_seconds, &o->seconds},
		{0},
	};

	bench_options("--if IFACE --to-mac MAC", options, argc, argv);
	if (!o->path.far_ifindex)
		option_bad("if", "missing");
	if (memcmp(o->path.near_mac, no_mac, 6) == 0)
		option_bad("to-mac", "missing");
	if (o->names > NAMES_MAX)
		option_bad("names", "too large");
	if (o->type > 65535)
		option_bad("type", "too large");
	if (strcmp(o->count, "xdp") != 0 && strcmp(o->count, "tc") != 0 &&
	    strcmp(o->count, "none") != 0)
		option_bad("count", o->count);
}

int main(int argc, char **argv)
{
	static struct options o = {.pattern = "svc-%05u.ns-0000.svc.cluster.local",
				   .count = "xdp",
				   .names = 1000,
				   .type = 1,
				   .seconds = 2};
	struct question *q = calloc(NAMES_MAX, sizeof(*q));
	struct arrivals a, z;
	struct kb_gen g;
	uint32_t n, len, left;
	uint64_t start;
	double took;
	int r, link = -1;

	inet_pton(AF_INET, "10.244.0.11", &o.path.saddr);
	inet_pton(AF_INET, "10.96.0.10", &o.path.daddr);
	memcpy(o.path.far_mac, "\2\0\0\0\0\2", 6);
	parse_options(&o, argc, argv);
	if (!q)
		die("memory", -ENOMEM);
	n = read_names(&o, q, &len, &left);
	if (!n)
		option_bad("names", "none fits");
	if (left)
		fprintf(stderr, "xdp_gen: %u names of other lengths are not asked\n", left);
	r = kb_gen_new(&g, &o.path, n, len);
	if (r < 0)
		die("gen.bpf.o", r);
	memcpy(g.questions, q, n * sizeof(*q));
	free(q);
	if (*o.count == 'x')
		link = bpf_link_create(bpf_program__fd(g.skel->progs.count_xdp), (int)g.far_ifindex,
				       BPF_XDP, NULL);
	else if (*o.count == 't')
		link = bpf_link_create(bpf_program__fd(g.skel->progs.count_tc), (int)g.far_ifindex,
				       (enum bpf_attach_type)TCX_INGRESS, NULL);
	if (*o.count != 'n' && link < 0)
		die("counter", -errno);
	r = kb_gen_start(&g);
	if (r < 0)
		die("thread", r);
	usleep(100000);
	kb_gen_arrivals(&g, &a);
	start = kb_gen_now();
	usleep((useconds_t)(o.seconds * 1e6));
	kb_gen_arrivals(&g, &z);
	took = (double)(kb_gen_now() - start) / 1e9;
	r = kb_gen_stop(&g);
	if (r < 0)
		die("live frames", r);
	printf("{\"names\": %u, \"seconds\": %.3f, \"sent_per_s\": %.0f, \"arrived_per_s\": %.0f, "
	       "\"replies_per_s\": %.0f, \"with_records\": %llu, \"nodata\": %llu, \"nxdomain\": "
	       "%llu}\n",
	       n, took, (double)(z.sent - a.sent) / took, (double)(z.frames - a.frames) / took,
	       (double)(z.replies - a.replies) / took, z.records - a.records, z.nodata - a.nodata,
	       z.nxdomain - a.nxdomain);
	kb_gen_free(&g);
	return 0;
}
