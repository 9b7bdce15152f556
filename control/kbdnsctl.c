/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kbdnsctl: asks kbdnsd over its control socket and prints the reply. A command is a
 * row of the table below. Exit status: 0 done, 1 failed, 2 wrong usage, 3 kbdnsd
 * does not run; 4 is check-corefile's.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/config/parse.h"
#include "control/config/version.h"
#include "control/ctl/client.h"
#include "control/ctl/cmd_uninstall.h"
#include "control/ctl/corefile_out.h"
#include "control/ctl/protocol.h"
#include "control/ctl/render.h"
#include "control/doctor/doctor.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NOT_RUNNING = 3 };

#define TIMEOUT_S 10
#define TRACE_S	  10 /* unless --for says otherwise */

struct invocation {
	const char *socket; /* borrowed from argv */
	const char *bpffs;  /* likewise */
	const char *dns;    /* likewise, NULL: not given */
	bool json, all;
	unsigned int watch_s; /* 0: once */
	uint64_t for_s;	      /* 0: not given */
};

struct command {
	const char *name, *args, *help;
	int min_args, max_args; /* words after the name */
	const char *options;	/* letters of OPTIONS that it takes besides the common ones */
	int (*run)(const struct invocation *inv, int argc, char **argv);
};

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "kbdnsctl: %s%s%s, see kbdnsctl help\n", what, word ? ": " : "",
		word ? word : "");
	return EXIT_USAGE;
}

/* A failure to talk to kbdnsd: says what it was, returns the exit status. */
static int client_error(const struct invocation *inv, int r)
{
	switch (r) {
	case -ENOENT:
	case -ECONNREFUSED:
		fprintf(stderr,
			"kbdnsctl: kbdnsd does not run: nothing listens on %s "
			"(another place: -s SOCKET)\n",
			inv->socket);
		return EXIT_NOT_RUNNING;
	case -EACCES:
	case -EPERM:
		fprintf(stderr, "kbdnsctl: %s: %s, run as root\n", inv->socket, strerror(-r));
		return EXIT_FAILED;
	case -EAGAIN:
		fprintf(stderr, "kbdnsctl: %s: no answer for %d s, kbdnsd hangs\n", inv->socket,
			TIMEOUT_S);
		return EXIT_FAILED;
	case -EINVAL:
		return usage_error("an argument is empty or contains blanks", NULL);
	case -E2BIG:
		return usage_error("arguments are too long", NULL);
	case -EPIPE:
		fprintf(stderr, "kbdnsctl: %s: the reply broke off\n", inv->socket);
		return EXIT_FAILED;
	}
	fprintf(stderr, "kbdnsctl: %s: %s\n", inv->socket, strerror(-r));
	return EXIT_FAILED;
}

static json_t *load(const char *line, size_t len)
{
	json_error_t error;
	json_t *doc = json_loadb(line, len, 0, &error);

	if (json_is_object(doc))
		return doc;
	fprintf(stderr, "kbdnsctl: the reply is not valid: %s\n", doc ? "no object" : error.text);
	json_decref(doc);
	return NULL;
}

/* Prints the error of a reply that is not ok; the exit status. */
static int reply_error(const json_t *doc)
{
	const char *text = json_string_value(json_object_get(doc, "error"));

	fprintf(stderr, "kbdnsctl: %s\n", text ? text : "kbdnsd gave no reason");
	return EXIT_FAILED;
}

/* One request with one document as its reply, which must be ok; with --json the
 * line is printed as it came. Gives the document to the caller. */
static int ask(const struct invocation *inv, int argc, char **argv, json_t **ret_doc)
{
	struct kb_ctl_client *client = NULL;
	json_t *doc = NULL;
	char *line;
	size_t len;
	int r, status;

	r = kb_ctl_client_open(inv->socket, argc, argv, TIMEOUT_S, &client);
	if (r < 0)
		return client_error(inv, r);
	r = kb_ctl_client_next(client, &line, &len);
	if (r != 1) {
		status = client_error(inv, r < 0 ? r : -EPIPE);
		goto out;
	}
	status = EXIT_FAILED;
	doc = load(line, len);
	if (!doc)
		goto out;
	if (inv->json)
		puts(line);
	if (!json_is_true(json_object_get(doc, "ok"))) {
		status = reply_error(doc);
		goto out;
	}
	status = EXIT_OK;
	*ret_doc = doc;
	doc = NULL;
out:
	json_decref(doc);
	kb_ctl_client_close(client);
	return status;
}

static int show(const struct invocation *inv, int argc, char **argv,
		void (*render)(FILE *out, json_t *reply))
{
	json_t *doc = NULL;
	int status = ask(inv, argc, argv, &doc);

	if (status == EXIT_OK && !inv->json)
		render(stdout, doc);
	json_decref(doc);
	return status;
}

static int run_plain(const struct invocation *inv, int argc, char **argv)
{
	return show(inv, argc, argv, kb_render_reply);
}

static int run_lookup(const struct invocation *inv, int argc, char **argv)
{
	return show(inv, argc, argv, kb_render_lookup);
}

static int run_workers(const struct invocation *inv, int argc, char **argv)
{
	return show(inv, argc, argv, kb_render_workers);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_stats(const struct invocation *inv, int argc, char **argv)
{
	json_t *doc = NULL, *before = NULL;
	double at = 0, before_at = 0;
	int status;

	for (;;) {
		status = ask(inv, argc, argv, &doc);
		at = now_s();
		if (status != EXIT_OK)
			break;
		if (!inv->json) {
			if (inv->watch_s && isatty(STDOUT_FILENO))
				fputs("\033[H\033[2J", stdout);
			kb_render_stats(stdout, doc, before, at - before_at, inv->all || argc > 1);
		}
		if (!inv->watch_s)
			break;
		if (!inv->json && !isatty(STDOUT_FILENO))
			putchar('\n');
		if (fflush(stdout) != 0)
			break;
		json_decref(before);
		before = doc;
		before_at = at;
		doc = NULL;
		sleep(inv->watch_s);
	}
	json_decref(doc);
	json_decref(before);
	return status;
}

/* Documents until the end of a stream, each given to `render` unless they are printed as they
 * came. */
static int show_stream(const struct invocation *inv, int argc, char **argv, int timeout_s,
		       void (*render)(FILE *out, json_t *doc))
{
	struct kb_ctl_client *client = NULL;
	bool whole = false;
	int status = EXIT_OK, r;
	char *line;
	size_t len;

	r = kb_ctl_client_open(inv->socket, argc, argv, timeout_s, &client);
	if (r < 0)
		return client_error(inv, r);
	while (status == EXIT_OK && (r = kb_ctl_client_next(client, &line, &len)) == 1) {
		json_t *doc = load(line, len), *ok = json_object_get(doc, "ok");

		if (inv->json && doc)
			puts(line);
		if (!doc)
			status = EXIT_FAILED;
		else if (json_is_false(ok))
			status = reply_error(doc);
		else if (ok)
			whole = true;
		else if (!inv->json)
			render(stdout, doc);
		json_decref(doc);
		if (ferror(stdout))
			break;
	}
	if (status == EXIT_OK && !whole && !ferror(stdout))
		status = client_error(inv, r < 0 ? r : -EPIPE);
	kb_ctl_client_close(client);
	return status;
}

static int run_dump(const struct invocation *inv, int argc, char **argv)
{
	return show_stream(inv, argc, argv, TIMEOUT_S, kb_render_entry);
}

/* A line at once, for those who watch. */
static void render_event(FILE *out, json_t *doc)
{
	const char *line = json_string_value(json_object_get(doc, "line"));
	json_t *dropped = json_object_get(doc, "dropped");

	if (line)
		fprintf(out, "%s\n", line);
	fflush(out);
	if (dropped)
		fprintf(stderr,
			"kbdnsctl: %" JSON_INTEGER_FORMAT
			" queries more were not shown, they came too fast: narrow the "
			"filter or give sample=N\n",
			json_integer_value(dropped));
}

static int run_trace(const struct invocation *inv, int argc, char **argv)
{
	uint64_t for_s = inv->for_s ? inv->for_s : TRACE_S;
	char *words[KB_CTL_WORDS_MAX], seconds[24];
	int n = 0;

	if (for_s > 86400)
		return usage_error("--for: a trace runs for a day at most", NULL);
	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)for_s);
	words[n++] = argv[0];
	words[n++] = seconds;
	for (int i = 1; i < argc; i++)
		words[n++] = argv[i];
	if (inv->json)
		setvbuf(stdout, NULL, _IOLBF, 0);
	return show_stream(inv, n, words, (int)for_s + TIMEOUT_S, render_event);
}

static int run_bypass(const struct invocation *inv, int argc, char **argv)
{
	char *words[3] = {argv[0], argc > 1 ? argv[1] : NULL, NULL};
	char seconds[24];

	if (argc > 1 && strcmp(argv[1], "on") != 0 && strcmp(argv[1], "off") != 0)
		return usage_error("bypass takes on or off", argv[1]);
	if (inv->for_s) {
		if (argc < 2 || strcmp(argv[1], "on") != 0)
			return usage_error("--for goes with bypass on", NULL);
		snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)inv->for_s);
		words[2] = seconds;
		argc = 3;
	}
	return run_plain(inv, argc, words);
}

static int run_check_corefile(const struct invocation *inv, int argc, char **argv)
{
	(void)argc;
	return kb_ctl_check_corefile(argv[1], inv->json);
}

static int run_uninstall(const struct invocation *inv, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return kb_ctl_uninstall(inv->socket, inv->bpffs, inv->json);
}

static int run_doctor(const struct invocation *inv, int argc, char **argv)
{
	const struct kb_doctor_config config = {inv->socket, inv->bpffs, inv->dns};

	(void)argc;
	(void)argv;
	return kb_doctor(&config, inv->json);
}

static int run_version(const struct invocation *inv, int argc, char **argv)
{
	json_t *doc = NULL;
	int status;

	if (!inv->json) {
		puts("kbdnsctl " KB_VERSION);
		fflush(stdout);
	}
	status = ask(inv, argc, argv, &doc);
	if (status == EXIT_OK && !inv->json)
		printf("kbdnsd %s (pid %" JSON_INTEGER_FORMAT ")\n",
		       json_string_value(json_object_get(doc, "version")),
		       json_integer_value(json_object_get(doc, "pid")));
	json_decref(doc);
	return status;
}

static int run_help(const struct invocation *inv, int argc, char **argv);

static const struct command commands[] = {
	{"status", "", "state, source, age of data, counts, interfaces", 0, 0, "", run_plain},
	{"stats", "[--watch [SECONDS]] [--all] [PREFIX]",
	 "counters by engine, those that are not 0 or begin with PREFIX", 0, 1, "wa", run_stats},
	{"interfaces", "", "what is attached where, since when, and why not", 0, 0, "", run_plain},
	{"lookup", "NAME [TYPE]", "what each engine answers, and where it stands", 1, 2, "",
	 run_lookup},
	{"dump", "", "every name of the table", 0, 0, "", run_dump},
	{"workers", "[drain|resume|stop ROW|all]",
	 "kbdns-dpdk's workers: queues, health, counts; take them out of service and back, or end "
	 "them",
	 0, 2, "", run_workers},
	{"tune", "[KEY[=VALUE]]", "show or change tunables", 0, 1, "", run_plain},
	{"trace", "[--for T] [FILTER...]",
	 "queries as they are answered, for 10 s or T; FILTER: name=, type=, rcode=, client=, "
	 "engine=, "
	 "sample=",
	 0, KB_CTL_WORDS_MAX - 2, "f", run_trace},
	{"bypass", "[on|off] [--for T]", "stop answering in the packet path, or go on", 0, 1, "f",
	 run_bypass},
	{"check-corefile", "FILE", "what kbdnsd would take over from a Corefile, and what not", 1,
	 1, "", run_check_corefile},
	{"doctor", "[--bpffs DIR] [--dns ADDRESS]",
	 "what is found on this node, before kbdnsd runs or while it does, what it means, and the "
	 "cure",
	 0, 0, "bd", run_doctor},
	{"uninstall", "[--bpffs DIR]",
	 "stop kbdnsd, remove all that it has made on this node, and prove it", 0, 0, "b",
	 run_uninstall},
	{"version", "", "versions of kbdnsctl and kbdnsd", 0, 0, "", run_version},
	{"help", "", "this help", 0, 1, "", run_help},
	{0},
};

static int run_help(const struct invocation *inv, int argc, char **argv)
{
	(void)inv;
	(void)argc;
	(void)argv;
	puts("Usage: kbdnsctl [-s SOCKET] [--json] COMMAND\n"
	     "Shows and controls kbdnsd.\n");
	for (const struct command *c = commands; c->name; c++) {
		char left[64];

		snprintf(left, sizeof(left), "%s %s", c->name, c->args);
		printf("  %-44s %s\n", left, c->help);
	}
	puts("\n"
	     "  -s, --socket SOCKET  control socket (default " KB_CTL_SOCKET ")\n"
	     "  -j, --json           print the reply as it comes, one document a line\n"
	     "  -h, --help           this help\n"
	     "  -V, --version        version of kbdnsctl\n"
	     "\n"
	     "Exit status: 0 done, 1 failed (of doctor: something fails), 2 wrong usage,\n"
	     "3 kbdnsd does not run,\n"
	     "4 (of check-corefile) names or zones are left alone or closed because of the file,\n"
	     "or a line of it is unapplied.");
	return EXIT_OK;
}

/* --watch takes its seconds as the next word, too, if that is a number. */
static int take_watch(struct invocation *inv, int argc, char **argv)
{
	uint64_t v = 1;
	const char *text = optarg;

	if (!text && optind < argc && kb_parse_seconds(argv[optind], 1, 86400, &v) == 0)
		optind++;
	else if (text && kb_parse_seconds(text, 1, 86400, &v) < 0)
		return usage_error("--watch: not a number of seconds", text);
	inv->watch_s = (unsigned int)v;
	return EXIT_OK;
}

/* Options may stand anywhere. Fills `used` with the letters given that only some
 * commands take. EXIT_OK, EXIT_USAGE, or -1: done already. */
static int take_options(int argc, char **argv, struct invocation *inv, char *used)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'}, {"json", no_argument, NULL, 'j'},
		{"watch", optional_argument, NULL, 'w'},  {"all", no_argument, NULL, 'a'},
		{"for", required_argument, NULL, 'f'},	  {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},	  {"bpffs", required_argument, NULL, 'b'},
		{"dns", required_argument, NULL, 'd'},	  {0},
	};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:jhV", options, NULL)) != -1) {
		if (strchr("wafbd", c))
			*used++ = (char)c;
		switch (c) {
		case 's':
			inv->socket = optarg;
			break;
		case 'j':
			inv->json = true;
			break;
		case 'w':
			if (take_watch(inv, argc, argv) != EXIT_OK)
				return EXIT_USAGE;
			break;
		case 'a':
			inv->all = true;
			break;
		case 'f':
			if (kb_parse_seconds(optarg, 1, 31 * 86400, &inv->for_s) < 0)
				return usage_error("--for: give seconds, or such as 10m or 2h",
						   optarg);
			break;
		case 'b':
			inv->bpffs = optarg;
			break;
		case 'd':
			inv->dns = optarg;
			break;
		case 'h':
			run_help(inv, 0, NULL);
			return -1;
		case 'V':
			puts("kbdnsctl " KB_VERSION);
			return -1;
		case ':':
			return usage_error("option needs a value", argv[optind - 1]);
		default:
			return usage_error("no such option", argv[optind - 1]);
		}
	}
	return EXIT_OK;
}

/* What was printed must have arrived. */
static int finish(int status)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_OK) {
		fprintf(stderr, "kbdnsctl: standard output: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct invocation inv = {.socket = KB_CTL_SOCKET, .bpffs = KB_CTL_BPFFS};
	const struct command *cmd = commands;
	char used[64] = "";
	int status;

	if (argc > 50)
		return usage_error("too many arguments", NULL);
	status = take_options(argc, argv, &inv, used);
	if (status != EXIT_OK)
		return finish(status < 0 ? EXIT_OK : status);
	argc -= optind;
	argv += optind;
	if (!argc)
		return usage_error("no command", NULL);
	while (cmd->name && strcmp(cmd->name, argv[0]) != 0)
		cmd++;
	if (!cmd->name)
		return usage_error("no such command", argv[0]);
	if (argc - 1 < cmd->min_args || argc - 1 > cmd->max_args) {
		fprintf(stderr, "kbdnsctl: usage: kbdnsctl %s %s\n", cmd->name, cmd->args);
		return EXIT_USAGE;
	}
	if (used[strspn(used, cmd->options)]) {
		fprintf(stderr, "kbdnsctl: option does not go with %s, see kbdnsctl help\n",
			cmd->name);
		return EXIT_USAGE;
	}
	return finish(cmd->run(&inv, argc, argv));
}
