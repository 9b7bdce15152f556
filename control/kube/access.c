/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials and the in-cluster configuration; kubeconfig.c reads kubeconfigs. */
#include "control/kube/access.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET_MAX = 1 << 20 };

static const char service_account_dir[] = "/var/run/secrets/kubernetes.io/serviceaccount";

char *kb_access_format(const char *format, ...)
{
	va_list args;
	char *s = NULL;
	int n;

	va_start(args, format);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n >= 0)
		s = malloc((size_t)n + 1);
	if (!s)
		return NULL;
	va_start(args, format);
	vsnprintf(s, (size_t)n + 1, format, args);
	va_end(args);
	return s;
}

static void secret_clear(struct kb_secret *s)
{
	if (s->data)
		explicit_bzero(s->data, s->len);
	free(s->data);
	free(s->path);
	*s = (struct kb_secret){0};
}

void kb_access_free(struct kb_access *a)
{
	if (!a)
		return;
	secret_clear(&a->ca);
	secret_clear(&a->cert);
	secret_clear(&a->key);
	secret_clear(&a->token);
	free(a->server);
	free(a->tls_server_name);
	free(a->proxy);
	free(a);
}

static int read_all(int fd, char **ret_data, size_t *ret_len)
{
	char *data = malloc(SECRET_MAX + 1), *fit;
	size_t len = 0;
	ssize_t n;
	int r;

	if (!data)
		return -ENOMEM;
	while ((n = read(fd, data + len, SECRET_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : 0;
		if (n > 0)
			len += (size_t)n;
		if (len > SECRET_MAX)
			r = -EFBIG;
		if (r < 0) {
			explicit_bzero(data, len);
			free(data);
			return r;
		}
	}
	data[len] = 0;
	fit = realloc(data, len + 1);
	*ret_data = fit ? fit : data;
	*ret_len = len;
	return 0;
}

int kb_secret_read(struct kb_secret *s, char *err, size_t err_size)
{
	char *data = NULL;
	size_t len = 0;
	int fd, r;

	fd = open(s->path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? -errno : read_all(fd, &data, &len);
	if (fd >= 0)
		close(fd);
	if (!r && !len) {
		free(data);
		r = -ENODATA;
	}
	if (r < 0) {
		snprintf(err, err_size, "%s: %s", s->path,
			 r == -ENODATA ? "the file is empty" : strerror(-r));
		return r;
	}
	if (s->data) {
		explicit_bzero(s->data, s->len);
		free(s->data);
	}
	s->data = data;
	s->len = len;
	return 0;
}

static void trim_token(struct kb_secret *s)
{
	while (s->data && s->len && strchr(" \r\n\t", s->data[s->len - 1]))
		s->data[--s->len] = 0;
}

int kb_access_refresh(struct kb_access *a, uint64_t now_ms, char *err, size_t err_size)
{
	struct kb_secret *all[] = {&a->ca, &a->cert, &a->key, &a->token};
	char later[4]; /* the first error is the one to tell */
	int r = 0;

	a->read_ms = now_ms;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!all[i]->path)
			continue;
		if (!r)
			r = kb_secret_read(all[i], err, err_size);
		else
			kb_secret_read(all[i], later, sizeof(later));
	}
	trim_token(&a->token);
	return r;
}

int kb_access_in_cluster(struct kb_access **ret_access, char *err, size_t err_size)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	const char *dir = getenv(KB_ACCESS_SERVICE_ACCOUNT_ENV);
	struct kb_access *a;
	int r = -ENOMEM;

	if (!host || !*host || !port || !*port) {
		snprintf(err, err_size,
			 "not inside a cluster (KUBERNETES_SERVICE_HOST and _PORT are not set): "
			 "give --kubeconfig or --snapshot");
		return -ENOENT;
	}
	if (!dir || !*dir)
		dir = service_account_dir;
	a = calloc(1, sizeof(*a));
	if (!a)
		goto err;
	a->server = kb_access_format(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
				     port);
	a->ca.path = kb_access_format("%s/ca.crt", dir);
	a->token.path = kb_access_format("%s/token", dir);
	if (!a->server || !a->ca.path || !a->token.path)
		goto err;
	r = kb_access_refresh(a, 0, err, err_size);
	if (r < 0) {
		kb_access_free(a);
		return r;
	}
	*ret_access = a;
	return 0;
err:
	snprintf(err, err_size, "%s", strerror(-r));
	kb_access_free(a);
	return r;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int kb_base64_decode(const char *text, char **ret_data, size_t *ret_len)
{
	char *data = malloc(strlen(text) / 4 * 3 + 4);
	uint32_t bits = 0;
	size_t len = 0, digits = 0, pads = 0;

	if (!data)
		return -ENOMEM;
	for (; *text; text++) {
		int v = base64_digit(*text);

		if (strchr(" \r\n\t", *text))
			continue;
		if (*text == '=') {
			pads++;
			continue;
		}
		if (v < 0 || pads)
			goto bad;
		bits = bits << 6 | (uint32_t)v;
		if (++digits % 4 == 0) {
			data[len++] = (char)(bits >> 16);
			data[len++] = (char)(bits >> 8);
			data[len++] = (char)bits;
		}
	}
	if (digits % 4 == 1 || pads != (4 - digits % 4) % 4)
		goto bad;
	if (digits % 4 >= 2)
		data[len++] = (char)(bits >> (digits % 4 == 2 ? 4 : 10));
	if (digits % 4 == 3)
		data[len++] = (char)(bits >> 2);
	data[len] = 0;
	*ret_data = data;
	*ret_len = len;
	return 0;
bad:
	free(data);
	return -EINVAL;
}
