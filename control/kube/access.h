/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How to reach an API server and who we are there: from a kubeconfig file, or from
 * the service account of the pod we run in.
 *
 * Credentials that stand in files of their own are read with the rest and again by
 * kb_access_refresh, because they rotate under a running process. Main loop's
 * thread only; reads local files, never the network.
 */
#ifndef KB_KUBE_ACCESS_H
#define KB_KUBE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A credential: given inline, or read from a file. */
struct kb_secret {
	char *path; /* owned; NULL when it was given inline */
	char *data; /* owned, NUL terminated; NULL when there is none */
	size_t len;
};

struct kb_access {
	char *server;		    /* owned: scheme://host:port, no slash at the end */
	char *tls_server_name;	    /* owned; NULL: the server's host */
	char *proxy;		    /* owned; NULL: as the environment says */
	bool insecure;		    /* the server's certificate is not checked */
	struct kb_secret ca;	    /* PEM; none: the system's */
	struct kb_secret cert, key; /* PEM; both or none */
	struct kb_secret token;
	uint64_t read_ms; /* when kb_access_refresh last read the files */
};

/* Directory of the service account's token and ca.crt, for tests. */
#define KB_ACCESS_SERVICE_ACCOUNT_ENV "KBDNS_SERVICE_ACCOUNT_DIR"

/* Both return 0 and give the access to the caller, or -errno with one line for the
 * operator in err. */
int kb_access_from_kubeconfig(const char *path, struct kb_access **ret_access, char *err,
			      size_t err_size);
int kb_access_in_cluster(struct kb_access **ret_access, char *err, size_t err_size);
/* Reads the credential files again. A file that cannot be read leaves the
 * credential as it was and returns -errno with err; the others are still read. */
int kb_access_refresh(struct kb_access *access, uint64_t now_ms, char *err, size_t err_size);
void kb_access_free(struct kb_access *access);

/* A new string, owned by the caller, or NULL. */
char *kb_access_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Reads a secret's file; the former data stays when that fails. */
int kb_secret_read(struct kb_secret *secret, char *err, size_t err_size);
/* Standard base64 (RFC 4648) with line breaks allowed; 0, -EINVAL or -ENOMEM. */
int kb_base64_decode(const char *text, char **ret_data, size_t *ret_len);

#endif
