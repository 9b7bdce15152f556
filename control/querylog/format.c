/* SPDX-License-Identifier: Apache-2.0 */
#include "control/querylog/format.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/config/parse.h"
#include "control/ctl/engine_stats.h"
#include "control/querylog/names.h"
#include "control/records/wirename.h"

#define NS_PER_S 1000000000LL

static const char *const origins[KB_ORIGIN_MAX] = {[KB_ORIGIN_TABLE] = "table",
						   [KB_ORIGIN_CACHE] = "cache",
						   [KB_ORIGIN_UPSTREAM] = "upstream"};
static const char *const counters[KB_CNT_MAX + 1] = {
#define NAME(id, name, help) [KB_CNT_##id] = name,
	KB_COUNTERS(NAME)
#undef NAME
};

static const char *text_of(const char *const *words, size_t n, unsigned int i)
{
	return i < n && words[i] ? words[i] : "?";
}

const char *kb_event_engine(const struct kb_event *e)
{
	return text_of(kb_engine_names, KB_ENGINE_MAX, e->engine);
}

static const char *origin_text(const struct kb_event *e)
{
	return text_of(origins, KB_ORIGIN_MAX, e->origin);
}

static const char *verdict_text(const struct kb_event *e)
{
	return text_of(counters, KB_CNT_MAX, e->verdict);
}

unsigned int kb_event_rcode(const struct kb_event *e)
{
	return e->flags3 & 15;
}

uint32_t kb_event_class_of(const struct kb_event *e)
{
	if (!e->reply_len)
		return KB_EVENT_LEFT;
	return kb_event_class(kb_event_rcode(e), e->an || (e->flags2 & KB_TC));
}

int64_t kb_event_wall_offset(void)
{
	struct timespec wall, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (int64_t)(wall.tv_sec - mono.tv_sec) * NS_PER_S + (wall.tv_nsec - mono.tv_nsec);
}

static const char *addr_text(const __u64 addr[2], __be16 port, char buf[KB_ADDR_TEXT_MAX])
{
	struct kb_addr_port ap = {.port = ntohs(port)};
	uint8_t b[16];

	memcpy(b, addr, 16);
	if (addr[0] == 0 && (__u32)addr[1] == 0xffff0000) {
		ap.addr.family = 4;
		memcpy(ap.addr.b, b + 12, 4);
	} else {
		ap.addr.family = 6;
		memcpy(ap.addr.b, b, 16);
	}
	return kb_format_addr_port(&ap, buf);
}

/* With its final dot; "-" if there is none or it is malformed. */
static const char *name_text(const struct kb_event *e, char buf[KB_TEXT_MAX])
{
	struct kb_wire folded;
	size_t n;

	if (kb_wire_fold(e->name, e->name_len, &folded) < 0)
		return "-";
	n = kb_wire_text(e->name, e->name_len, buf);
	if (n > 1 && n + 1 < KB_TEXT_MAX)
		memcpy(buf + n, ".", 2);
	return buf;
}

static void flags_text(const struct kb_event *e, char buf[40])
{
	static const struct {
		const char *name;
		__u16 bit;
	} flags[] = {{"qr", 0x8000}, {"aa", 0x0400}, {"tc", 0x0200}, {"rd", 0x0100},
		     {"ra", 0x0080}, {"z", 0x0040},  {"ad", 0x0020}, {"cd", 0x0010}};
	unsigned int bits = (unsigned int)e->flags2 << 8 | e->flags3;

	*buf = '\0';
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (!(bits & flags[i].bit))
			continue;
		if (*buf)
			strcat(buf, ",");
		strcat(buf, flags[i].name);
	}
}

static void time_text(const struct kb_event *e, int64_t wall_offset, char buf[40])
{
	int64_t ns = (int64_t)e->time_ns + wall_offset;
	time_t s = (time_t)(ns / NS_PER_S);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(buf, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, 40 - n, ".%06uZ", (unsigned int)(ns % NS_PER_S / 1000));
}

static const char *transport_text(const struct kb_event *e)
{
	return e->transport == KB_EVENT_TCP ? "tcp" : "udp";
}

/* Seconds with as many digits as they need, as Go writes them. */
static void duration_text(const struct kb_event *e, char buf[24])
{
	int n = snprintf(buf, 24, "%u.%09u", e->duration_ns / 1000000000U,
			 e->duration_ns % 1000000000U);

	while (buf[n - 1] == '0')
		n--;
	n -= buf[n - 1] == '.';
	buf[n] = '\0';
}

size_t kb_event_line(const struct kb_event *e, int64_t wall_offset, char *line)
{
	char src[KB_ADDR_TEXT_MAX], dst[KB_ADDR_TEXT_MAX], name[KB_TEXT_MAX], flags[40], time[40],
		duration[24], type[KB_MNEMONIC_MAX], class[KB_MNEMONIC_MAX], rcode[KB_MNEMONIC_MAX];
	bool left = !e->reply_len;
	int n;

	flags_text(e, flags);
	time_text(e, wall_offset, time);
	duration_text(e, duration);
	n = snprintf(line, KB_EVENT_LINE_MAX,
		     "[INFO] %s - %u \"%s %s %s %s %u %s %u\" %s %s %u %ss engine=%s %s=%s to=%s "
		     "time=%s\n",
		     addr_text(e->src, e->sport, src), ntohs(e->id),
		     kb_type_text(ntohs(e->qtype), type), kb_class_text(ntohs(e->qclass), class),
		     name_text(e, name), transport_text(e), e->query_len,
		     e->dnssec_ok ? "true" : "false", e->bufsize ? e->bufsize : 512,
		     left ? "-" : kb_rcode_text(kb_event_rcode(e), rcode), left ? "-" : flags,
		     e->reply_len, duration, kb_event_engine(e), left ? "left" : "from",
		     left ? verdict_text(e) : origin_text(e), addr_text(e->dst, e->dport, dst),
		     time);
	return n < KB_EVENT_LINE_MAX ? (size_t)n : KB_EVENT_LINE_MAX - 1;
}

void kb_event_json(const struct kb_event *e, int64_t wall_offset, struct kb_json_out *o)
{
	char addr[KB_ADDR_TEXT_MAX], name[KB_TEXT_MAX], buf[40];
	bool left = !e->reply_len;

	time_text(e, wall_offset, buf);
	kb_json_put_str(o, "time", buf);
	kb_json_put_str(o, "engine", kb_event_engine(e));
	kb_json_put_str(o, "verdict", e->verdict < KB_CNT_MAX ? verdict_text(e) : NULL);
	kb_json_put_str(o, "from", left ? NULL : origin_text(e));
	kb_json_put_str(o, "client", addr_text(e->src, e->sport, addr));
	kb_json_put_str(o, "to", addr_text(e->dst, e->dport, addr));
	kb_json_put_str(o, "transport", transport_text(e));
	kb_json_put_u64(o, "id", ntohs(e->id));
	kb_json_put_str(o, "name", name_text(e, name));
	kb_json_put_str(o, "type", kb_type_text(ntohs(e->qtype), buf));
	kb_json_put_str(o, "class", kb_class_text(ntohs(e->qclass), buf));
	kb_json_put_u64(o, "query_bytes", e->query_len);
	kb_json_put_bool(o, "do", e->dnssec_ok);
	kb_json_put_u64(o, "bufsize", e->bufsize);
	kb_json_put_str(o, "rcode", left ? NULL : kb_rcode_text(kb_event_rcode(e), buf));
	flags_text(e, buf);
	kb_json_put_str(o, "flags", left ? NULL : buf);
	kb_json_put_u64(o, "answers", e->an);
	kb_json_put_u64(o, "authority", e->ns);
	kb_json_put_u64(o, "additional", e->ar);
	kb_json_put_u64(o, "reply_bytes", e->reply_len);
	if (e->duration_ns)
		kb_json_put_double(o, "duration_s", (double)e->duration_ns / 1e9);
	else
		kb_json_put_null(o, "duration_s");
}
