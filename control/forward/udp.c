/* SPDX-License-Identifier: Apache-2.0 */
/* A batch of datagrams, on any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/forward/udp.h"

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

int kb_udp_new(struct kb_server *s, struct kb_worker *worker, struct kb_udp **ret_udp)
{
	struct kb_reader_info info = {.pid = (__u32)getpid()};
	struct kb_udp *u = calloc(1, sizeof(*u));
	int r = u ? 0 : -ENOMEM;

	if (u) {
		u->server = s;
		u->worker = worker;
		u->batch = calloc(1, sizeof(*u->batch));
		r = u->batch ? 0 : -ENOMEM;
	}
	if (r == 0 && worker)
		r = kb_responder_new_apart(s->table, &u->responder);
	else if (r == 0)
		u->responder = s->responder;
	if (r == 0 && worker &&
	    !kb_reader_register(&u->reader, s->workers, 0, KB_WORKERS_LOCAL, &info,
				kb_worker_now_us() * 1000))
		r = -EBUSY;
	if (r < 0) {
		kb_udp_free(u);
		return r;
	}
	*ret_udp = u;
	return 0;
}

void kb_udp_free(struct kb_udp *u)
{
	if (!u)
		return;
	if (u->reader.row)
		kb_reader_unregister(&u->reader);
	if (u->worker)
		kb_responder_free(u->responder);
	free(u->batch);
	free(u);
}

/*
 * Makes what was received about the asked address into what asks the kernel to reply
 * from it. The way back is the routing table's to choose, except that a link-local
 * address needs its interface.
 */
void kb_udp_reply_from(struct msghdr *out, const struct msghdr *in)
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

/* The address that was asked, for the query log: before kb_udp_reply_from has changed what is told
 * of it. */
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

/* Who has asked, in u->client. */
static void note_client(struct kb_udp_sock *sock, const struct slot *slot, const struct msghdr *in)
{
	struct kb_client *client = &sock->udp->client;
	struct msghdr out = {0};

	if (sock->listener->wildcard)
		kb_udp_reply_from(&out, in);
	client->fd = sock->watch.fd;
	client->from_len = in->msg_namelen;
	memcpy(&client->from, &slot->from, sizeof(client->from));
	client->control_len = (uint32_t)out.msg_controllen;
	if (out.msg_controllen)
		memcpy(client->control, out.msg_control, out.msg_controllen);
}

/* What the responder leaves to others; a reply that is due at once goes to slot->out. */
static size_t leave(struct kb_udp_sock *sock, struct slot *slot, const struct msghdr *in,
		    size_t len)
{
	struct kb_udp *u = sock->udp;
	struct kb_server *s = u->server;
	const struct kb_ask *ask = kb_responder_outside(u->responder);

	if (kb_responder_for_main(u->responder)) {
		note_client(sock, slot, in);
		kb_count(&u->stats.deferred);
		if (!kb_udp_defer(s->udp_main, &u->client, slot->in, len))
			kb_count(&u->stats.deferred_dropped);
		return 0;
	}
	if (!ask || !s->forward)
		return 0;
	note_client(sock, slot, in);
	u->client.ask = *ask;
	u->client.chase = kb_responder_take_chase(u->responder);
	return u->worker ? kb_forward_ask_on(u->worker, &u->client, slot->out, sizeof(slot->out))
			 : kb_forward_ask(s->forward, &u->client, slot->out, sizeof(slot->out));
}

/* Online for no longer than an answer takes, and waiting for nothing meanwhile. */
static size_t respond(struct kb_udp *u, struct slot *slot, size_t len)
{
	size_t n;

	if (u->worker)
		kb_reader_online(&u->reader);
	n = kb_respond(u->responder, slot->in, len, false, slot->out, sizeof(slot->out));
	if (u->worker)
		kb_reader_offline(&u->reader);
	return n;
}

/* A message in, the length of a reply in slot->out, or 0. */
static size_t serve(struct kb_udp_sock *sock, struct slot *slot, const struct msghdr *in,
		    size_t len)
{
	struct kb_udp *u = sock->udp;
	struct kb_querylog *log = u->server->log;
	enum kb_event_origin origin = KB_ORIGIN_TABLE;
	union kb_sockaddr to;
	size_t n;

	kb_querylog_asked(log, &u->log_sampler, (struct sockaddr *)&slot->from,
			  asked_address(sock->listener, in, &to), false, slot->in, len,
			  &u->client.asked);
	n = respond(u, slot, len);
	if (!n) {
		n = leave(sock, slot, in, len);
		origin = KB_ORIGIN_CACHE;
	}
	if (n)
		kb_querylog_reply(log, &u->client.asked, slot->out, n, origin);
	return n;
}

/* Sends n replies; one that the kernel does not take is lost, as datagrams are. */
static void send_all(struct kb_udp_sock *sock, struct mmsghdr *out, unsigned int n)
{
	struct kb_udp *u = sock->udp;
	unsigned int at = 0;

	while (at < n) {
		int r = sendmmsg(sock->watch.fd, out + at, n - at, MSG_DONTWAIT);
		unsigned int lost;

		if (r > 0) {
			at += (unsigned int)r;
			continue;
		}
		lost = r < 0 && errno == EAGAIN ? n - at : 1;
		at += lost;
		while (lost--) {
			kb_count(&u->stats.send_failed);
			kb_responder_count(u->responder, KB_CNT_WRITE_FAILED);
		}
	}
}

static int receive(struct kb_udp_sock *sock)
{
	struct kb_udp_batch *b = sock->udp->batch;
	bool wildcard = sock->listener->wildcard;

	for (unsigned int i = 0; i < BATCH; i++) {
		struct slot *slot = &b->slot[i];

		slot->in_iov = (struct iovec){slot->in, sizeof(slot->in)};
		b->in[i].msg_hdr = (struct msghdr){
			.msg_name = &slot->from,
			.msg_namelen = sizeof(slot->from),
			.msg_iov = &slot->in_iov,
			.msg_iovlen = 1,
			.msg_control = wildcard ? slot->control : NULL,
			.msg_controllen = wildcard ? sizeof(slot->control) : 0,
		};
	}
	return recvmmsg(sock->watch.fd, b->in, BATCH, MSG_DONTWAIT, NULL);
}

/* The loop comes again for the next batch, after others have had their turn. */
void kb_udp_readable(struct kb_udp_sock *sock)
{
	struct kb_udp *u = sock->udp;
	struct kb_udp_batch *b = u->batch;
	unsigned int n_out = 0;
	int n = receive(sock);

	for (int i = 0; i < n; i++) {
		struct slot *slot = &b->slot[i];
		struct msghdr *in = &b->in[i].msg_hdr, *out = &b->out[n_out].msg_hdr;
		size_t len;

		kb_count(&u->stats.queries);
		if (!kb_server_allows(u->server, (struct sockaddr *)&slot->from)) {
			kb_count(&u->stats.source_dropped);
			kb_responder_count(u->responder, KB_CNT_SOURCE);
			continue;
		}
		len = serve(sock, slot, in, b->in[i].msg_len);
		if (!len)
			continue;
		slot->out_iov = (struct iovec){slot->out, len};
		*out = (struct msghdr){
			.msg_name = &slot->from,
			.msg_namelen = in->msg_namelen,
			.msg_iov = &slot->out_iov,
			.msg_iovlen = 1,
		};
		if (sock->listener->wildcard)
			kb_udp_reply_from(out, in);
		n_out++;
	}
	send_all(sock, b->out, n_out);
}

static void take_blocks(struct kb_udp *u)
{
	struct kb_server *s = u->server;
	struct kb_blocks *blocks;

	if (atomic_load(&s->blocks_version) == u->blocks_version)
		return;
	pthread_mutex_lock(&s->blocks_lock);
	u->blocks_version = atomic_load(&s->blocks_version);
	blocks = s->blocks ? kb_blocks_ref(s->blocks) : NULL;
	pthread_mutex_unlock(&s->blocks_lock);
	kb_responder_set_blocks(u->responder, blocks);
	kb_blocks_unref(blocks);
}

void kb_udp_on_ready(struct kb_worker *w, struct kb_watch *watch, uint32_t events)
{
	struct kb_udp_sock *sock = (struct kb_udp_sock *)watch;

	(void)events;
	take_blocks(sock->udp);
	kb_responder_set_routes(sock->udp->responder, w->routes);
	kb_udp_readable(sock);
}
