// SPDX-License-Identifier: Apache-2.0
/* See options.h. */
#include "dataplane/dpdk/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_version.h>

enum {
	OPT_BPFFS = 256,
	OPT_BURST,
	OPT_AHEAD,
	OPT_EXCEPTION,
	OPT_IDLE,
	OPT_SLEEP,
	OPT_HELP,
	OPT_VERSION
};

static const struct {
	struct option o;
	const char *arg, *help;
} options[] = {
	{{"bpffs", required_argument, NULL, OPT_BPFFS},
	 "DIR",
	 "folder in bpffs where kbdnsd has its table (/sys/fs/bpf/kbdns)"},
	{{"burst", required_argument, NULL, OPT_BURST},
	 "N",
	 "frames that are received at once, 1..128"},
	{{"ahead", required_argument, NULL, OPT_AHEAD},
	 "N",
	 "frames that are fetched ahead of the parser, 1..32"},
	{{"exception", required_argument, NULL, OPT_EXCEPTION},
	 "HOW",
	 "all else goes to the kernel by a tap: auto, tap or none, see kbdns-dpdk(8) (auto)"},
	{{"idle", required_argument, NULL, OPT_IDLE},
	 "HOW",
	 "while nothing arrives: busy, pause or interrupt"},
	{{"idle-sleep", required_argument, NULL, OPT_SLEEP},
	 "US",
	 "longest sleep while idle, in microseconds, 1..5000"},
	{{"help", no_argument, NULL, OPT_HELP}, "", "print this and end"},
	{{"version", no_argument, NULL, OPT_VERSION}, "", "print the version and end"},
};
#define N_OPTIONS (sizeof(options) / sizeof(*options))

static void help(FILE *f)
{
	fprintf(f, "usage: kbdns-dpdk [OPTIONS] -- EAL-ARGUMENTS\n"
		   "Answers DNS on ports of DPDK out of the table of the kbdnsd on this node; one\n"
		   "worker for each lcore, one queue for each worker. See kbdns-dpdk(8).\n\n");
	for (size_t i = 0; i < N_OPTIONS; i++)
		fprintf(f, "  --%-10s %-4s %s\n", options[i].o.name, options[i].arg,
			options[i].help);
	fprintf(f, "\nBurst, ahead, idle and idle-sleep that are not given are those of kbdnsd, "
		   "now and\n"
		   "whenever they change: kbdnsctl tune worker-burst=N and so on.\n");
	fprintf(f,
		"\nEAL-ARGUMENTS say which lcores, memory and devices, for instance\n"
		"  -l 2-3 --in-memory -a 0000:03:00.0\n"
		"  -l 2 --no-huge -m 64 --no-pci --vdev net_af_packet0,iface=eth1\n"
		"  -l 2 --in-memory --no-pci --vdev net_af_xdp0,iface=eth1  (kbdnsd --xdp eth1)\n");
}

__attribute__((noreturn)) static void usage_error(const char *what, const char *value)
{
	fprintf(stderr, "kbdns-dpdk: %s: %s: see kbdns-dpdk --help\n", what, value);
	exit(2);
}

/* From 1 to max. */
static uint32_t number(const char *name, const char *text, uint32_t max)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || v < 1 || v > max)
		usage_error(name, text);
	return (uint32_t)v;
}

static uint32_t idle_policy(const char *text)
{
	static const char *const words[KB_IDLE_MAX] = {[KB_IDLE_BUSY] = "busy",
						       [KB_IDLE_PAUSE] = "pause",
						       [KB_IDLE_INTERRUPT] = "interrupt"};

	for (uint32_t i = KB_IDLE_BUSY; i < KB_IDLE_MAX; i++) {
		if (strcmp(text, words[i]) == 0)
			return i;
	}
	usage_error("--idle", text);
}

int kb_dpdk_options_parse(struct kb_dpdk_options *o, int argc, char **argv)
{
	struct option longs[N_OPTIONS + 1] = {0};
	int c;

	*o = (struct kb_dpdk_options){.bpffs = KB_DPDK_BPFFS};
	kb_exception_option_parse(KB_EXCEPTION_DEFAULT, &o->exception);
	for (size_t i = 0; i < N_OPTIONS; i++)
		longs[i] = options[i].o;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:", longs, NULL)) != -1) {
		switch (c) {
		case OPT_BPFFS:
			o->bpffs = optarg;
			break;
		case OPT_BURST:
			o->given.burst = number("--burst", optarg, KB_BURST_MAX);
			break;
		case OPT_AHEAD:
			o->given.ahead = number("--ahead", optarg, KB_AHEAD_MAX);
			break;
		case OPT_EXCEPTION:
			if (kb_exception_option_parse(optarg, &o->exception) < 0)
				usage_error("--exception", optarg);
			break;
		case OPT_IDLE:
			o->given.idle = idle_policy(optarg);
			break;
		case OPT_SLEEP:
			o->given.sleep_us = number("--idle-sleep", optarg, KB_IDLE_SLEEP_MAX_US);
			break;
		case OPT_HELP:
			help(stdout);
			exit(0);
		case OPT_VERSION:
			printf("kbdns-dpdk %s, %s\n", KB_VERSION, rte_version());
			exit(0);
		case ':':
			usage_error(argv[optind - 1], "value is missing");
		default:
			usage_error(argv[optind - 1], "no such option (EAL's come behind --)");
		}
	}
	if (optind < argc && strcmp(argv[optind - 1], "--") != 0)
		usage_error(argv[optind], "no argument is wanted here (EAL's come behind --)");
	return optind;
}
