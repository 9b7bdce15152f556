/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards upstreams (RFC 7858, strict profile of RFC 8310): the only place that knows OpenSSL.
 * A server has to prove the name that it was configured with, or else its address, by a certificate
 * of an authority that is trusted; there is no other way to go on. TLS 1.2 or newer, ALPN "dot",
 * and the session of an earlier connection where the server takes it.
 *
 * The context is for any thread; a connection is its worker's. Nothing here blocks.
 */
#ifndef KB_FORWARD_UPTLS_H
#define KB_FORWARD_UPTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/forward/routes.h"

struct kb_tls;
struct ssl_st; /* OpenSSL's SSL */

/* Trusts the authorities in the PEM file `ca_file`, NULL: the system's. 0, or -errno with one line
 * in err. */
int kb_tls_new(const char *ca_file, struct kb_tls **ret_tls, char *err, size_t err_size);
void kb_tls_free(struct kb_tls *tls); /* NULL is fine */

/* The client's side of a connection on `fd` (borrowed) to `u` (borrowed, both as long as the
 * connection lives). NULL without memory. */
struct ssl_st *kb_tls_open(struct kb_tls *tls, int fd, struct kb_upstream *u);
/* `orderly`: tells the server, and may be resumed. */
void kb_tls_close(struct ssl_st *ssl, bool orderly);

/*
 * 0 when done; -EAGAIN; -EKEYREJECTED: the certificate is not good, with the reason in `why`;
 * -EPROTO: the other side does not speak TLS as it should; -ECONNRESET: it went away.
 */
int kb_tls_handshake(struct ssl_st *ssl, char *why, size_t why_size);
bool kb_tls_is_resumed(const struct ssl_st *ssl);

/* As recv and send: bytes, 0 (read only): the other side has ended, -EAGAIN, or -errno. After
 * -EAGAIN, kb_tls_wants_write tells what for. */
ssize_t kb_tls_read(struct ssl_st *ssl, void *buf, size_t len);
ssize_t kb_tls_write(struct ssl_st *ssl, const void *buf, size_t len);
bool kb_tls_wants_write(const struct ssl_st *ssl);
/* Has bytes that were taken from the socket but not yet read? */
bool kb_tls_has_more(const struct ssl_st *ssl);

/* Lets go of what kb_tls_open remembers in an upstream. */
void kb_tls_forget(struct kb_upstream *u);

#endif
