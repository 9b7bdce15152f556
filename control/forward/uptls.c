/* SPDX-License-Identifier: Apache-2.0 */
#include "control/forward/uptls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct kb_tls {
	SSL_CTX *ctx; /* owned */
};

/* --- sessions ---------------------------------------------------------------- */

/* The server has given a session to come back with. Returns 1 to keep the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct kb_upstream *u = SSL_get_app_data(ssl);
	SSL_SESSION *old;

	pthread_mutex_lock(&u->session_lock);
	old = u->session;
	u->session = session;
	pthread_mutex_unlock(&u->session_lock);
	SSL_SESSION_free(old);
	return 1;
}

static void resume(SSL *ssl, struct kb_upstream *u)
{
	SSL_SESSION *session;

	pthread_mutex_lock(&u->session_lock);
	session = u->session;
	if (session)
		SSL_SESSION_up_ref(session);
	pthread_mutex_unlock(&u->session_lock);
	if (session)
		SSL_set_session(ssl, session);
	SSL_SESSION_free(session);
}

void kb_tls_forget(struct kb_upstream *u)
{
	SSL_SESSION_free(u->session);
	u->session = NULL;
}

/* --- context ----------------------------------------------------------------- */

int kb_tls_new(const char *ca_file, struct kb_tls **ret_tls, char *err, size_t err_size)
{
	static const unsigned char alpn[] = "\3dot";
	struct kb_tls *tls = calloc(1, sizeof(*tls));

	if (tls)
		tls->ctx = SSL_CTX_new(TLS_client_method());
	if (!tls || !tls->ctx || !SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION) ||
	    SSL_CTX_set_alpn_protos(tls->ctx, alpn, sizeof(alpn) - 1) != 0) {
		snprintf(err, err_size, "TLS: out of memory");
		kb_tls_free(tls);
		return -ENOMEM;
	}
	SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					   SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(tls->ctx,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls->ctx, on_session);
	ERR_clear_error();
	if (ca_file ? !SSL_CTX_load_verify_file(tls->ctx, ca_file)
		    : !SSL_CTX_set_default_verify_paths(tls->ctx)) {
		snprintf(err, err_size, "--tls-ca %s: %s; give a PEM file of certificates",
			 ca_file ? ca_file : "", ERR_reason_error_string(ERR_get_error()));
		kb_tls_free(tls);
		return -EINVAL;
	}
	*ret_tls = tls;
	return 0;
}

void kb_tls_free(struct kb_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls);
}

/* --- connections --------------------------------------------------------------- */

/* What the certificate has to hold. */
static bool expect(SSL *ssl, const struct kb_upstream_spec *spec)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (*spec->server_name)
		return X509_VERIFY_PARAM_set1_host(param, spec->server_name, 0) &&
		       SSL_set_tlsext_host_name(ssl, spec->server_name);
	return X509_VERIFY_PARAM_set1_ip(param, spec->at.addr.b,
					 spec->at.addr.family == 6 ? 16 : 4);
}

SSL *kb_tls_open(struct kb_tls *tls, int fd, struct kb_upstream *u)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (!ssl)
		return NULL;
	if (!SSL_set_fd(ssl, fd) || !expect(ssl, &u->spec)) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_app_data(ssl, u);
	resume(ssl, u);
	SSL_set_connect_state(ssl);
	return ssl;
}

void kb_tls_close(SSL *ssl, bool orderly)
{
	if (!ssl)
		return;
	ERR_clear_error();
	if (orderly && SSL_is_init_finished(ssl))
		SSL_shutdown(ssl); /* without it the session would not count as good */
	SSL_free(ssl);
}

/* What an operation that did not succeed has come to. 0: the other side has ended. */
static int failure(const SSL *ssl, int r)
{
	switch (SSL_get_error(ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		return errno ? -errno : -ECONNRESET;
	default:
		return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING
			       ? -ECONNRESET
			       : -EPROTO;
	}
}

int kb_tls_handshake(SSL *ssl, char *why, size_t why_size)
{
	long verified;
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_do_handshake(ssl);
	if (r == 1)
		return 0;
	r = failure(ssl, r);
	if (r == -EAGAIN)
		return r;
	verified = SSL_get_verify_result(ssl);
	if (verified != X509_V_OK) {
		snprintf(why, why_size, "%s", X509_verify_cert_error_string(verified));
		return -EKEYREJECTED;
	}
	return r == -EPROTO ? r : -ECONNRESET;
}

bool kb_tls_is_resumed(const SSL *ssl)
{
	return SSL_session_reused(ssl);
}

static int size_of(size_t len)
{
	return len < INT_MAX ? (int)len : INT_MAX;
}

ssize_t kb_tls_read(SSL *ssl, void *buf, size_t len)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_read(ssl, buf, size_of(len));
	return r > 0 ? r : failure(ssl, r);
}

ssize_t kb_tls_write(SSL *ssl, const void *buf, size_t len)
{
	int r;

	ERR_clear_error();
	errno = 0;
	r = SSL_write(ssl, buf, size_of(len));
	if (r > 0)
		return r;
	r = failure(ssl, r);
	return r ? r : -ECONNRESET;
}

bool kb_tls_wants_write(const SSL *ssl)
{
	return SSL_want_write(ssl);
}

bool kb_tls_has_more(const SSL *ssl)
{
	return SSL_has_pending(ssl);
}
