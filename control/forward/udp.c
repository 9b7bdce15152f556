/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams: a batch in, its replies out. Main loop's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/forward/private.h"

#define BATCH	     32
#define CONTROL_SIZE 64 /* of the address that was asked, in either family */

_Static_assert(CONTROL_SIZE <= sizeof(((struct kb_client *)0)->control), "it can be kept");

struct slot {
	struct sockaddr_storage from;
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct iovec in_iov, out_iov;
	uint8_t in[KB_SOCKET_QUERY_MAX];
	uint8_t out[KB_UDP_REPLY_MAX];
};

struct kb_udp_batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct slot slot[BATCH];
};

int kb_udp_new(struct kb_udp_batch **ret_batch)
{
	struct kb_udp_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*ret_batch = b;
	return 0;
}

void kb_udp_free(struct kb_udp_batch *batch)
{
	free(batch);
}

/*
 * Makes what was received about the asked address into what asks the kernel to reply
 * from it. The way back is the routing table's to choose, except that a link-local
 * address needs its interface.
 */
static void reply_from(struct msghdr *out, const struct msghdr *in)
{
	struct cmsghdr *c;

	out->msg_control = NULL;
	out->msg_controllen = 0;
	for (c = CMSG_FIRSTHDR(in); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)in, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

			info->ipi_ifindex = 0;
			info->ipi_addr.s_addr = 0;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

			if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
				info->ipi6_ifindex = 0;
		} else {
			continue;
		}
		out->msg_control = c;
		out->msg_controllen = c->cmsg_len;
		return;
	}
}

/* The address that was asked, for the query log: before reply_from has changed what is told of
 * it. */
static const struct sockaddr *asked_address(const struct kb_listener *l, const struct msghdr *in,
					    union kb_sockaddr *buf)
{
	struct cmsghdr *c;

	if (!l->wildcard)
		return &l->local.sa;
	*buf = l->local;
	for (c = CMSG_FIRSTHDR(in); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)in, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			buf->in.sin_addr = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_addr;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			buf->in6.sin6_addr = ((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr;
	}
	return &buf->sa;
}

/* What the responder leaves to others; a reply that is due at once goes to slot->out. */
static size_t forward(struct kb_listener *l, struct slot *slot, const struct msghdr *in)
{
	struct kb_client *client = &l->server->client;
	struct msghdr out = {0};

	if (l->wildcard)
		reply_from(&out, in);
	client->fd = l->udp_fd;
	client->from_len = in->msg_namelen;
	memcpy(&client->from, &slot->from, sizeof(client->from));
	client->control_len = (uint32_t)out.msg_controllen;
	if (out.msg_controllen)
		memcpy(client->control, out.msg_control, out.msg_controllen);
	return kb_server_forward(l->server, slot->out, sizeof(slot->out));
}

/* Sends n replies; one that the kernel does not take is lost, as datagrams are. */
static void send_all(struct kb_listener *l, struct mmsghdr *out, unsigned int n)
{
	struct kb_server *s = l->server;
	unsigned int at = 0;

	while (at < n) {
		int r = sendmmsg(l->udp_fd, out + at, n - at, MSG_DONTWAIT);
		unsigned int lost;

		if (r > 0) {
			at += (unsigned int)r;
			continue;
		}
		lost = r < 0 && errno == EAGAIN ? n - at : 1;
		s->stats.udp_send_failed += lost;
		at += lost;
		while (lost--)
			kb_responder_count(s->responder, KB_CNT_WRITE_FAILED);
	}
}

/* One batch; the loop comes again for the next, after others have had their turn. */
void kb_udp_readable(struct kb_listener *l)
{
	struct kb_server *s = l->server;
	struct kb_udp_batch *b = s->batch;
	unsigned int n_out = 0;
	int n;

	for (unsigned int i = 0; i < BATCH; i++) {
		struct slot *slot = &b->slot[i];

		slot->in_iov = (struct iovec){slot->in, sizeof(slot->in)};
		b->in[i].msg_hdr = (struct msghdr){
			.msg_name = &slot->from,
			.msg_namelen = sizeof(slot->from),
			.msg_iov = &slot->in_iov,
			.msg_iovlen = 1,
			.msg_control = l->wildcard ? slot->control : NULL,
			.msg_controllen = l->wildcard ? sizeof(slot->control) : 0,
		};
	}
	n = recvmmsg(l->udp_fd, b->in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct slot *slot = &b->slot[i];
		struct msghdr *in = &b->in[i].msg_hdr, *out = &b->out[n_out].msg_hdr;
		enum kb_event_origin origin = KB_ORIGIN_TABLE;
		union kb_sockaddr to;
		size_t len;

		s->stats.udp_queries++;
		if (!kb_server_allows(s, (struct sockaddr *)&slot->from)) {
			s->stats.source_dropped++;
			kb_responder_count(s->responder, KB_CNT_SOURCE);
			continue;
		}
		kb_querylog_asked(s->log, &s->log_sampler, (struct sockaddr *)&slot->from,
				  asked_address(l, in, &to), false, slot->in, b->in[i].msg_len,
				  &s->client.asked);
		len = kb_respond(s->responder, slot->in, b->in[i].msg_len, false, slot->out,
				 sizeof(slot->out));
		if (!len) {
			len = forward(l, slot, in);
			origin = KB_ORIGIN_CACHE;
		}
		if (!len)
			continue;
		kb_querylog_reply(s->log, &s->client.asked, slot->out, len, origin);
		slot->out_iov = (struct iovec){slot->out, len};
		*out = (struct msghdr){
			.msg_name = &slot->from,
			.msg_namelen = in->msg_namelen,
			.msg_iov = &slot->out_iov,
			.msg_iovlen = 1,
		};
		if (l->wildcard)
			reply_from(out, in);
		n_out++;
	}
	send_all(l, b->out, n_out);
}
