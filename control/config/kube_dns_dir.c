/* SPDX-License-Identifier: Apache-2.0 */
/* The kube-dns ConfigMap as a mounted folder. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config/kube_dns.h"
#include "control/config/options_private.h"

static void add_to_hash(struct kb_kube_dns_dir *dir, const char *s)
{
	do
		dir->hash = (dir->hash ^ (unsigned char)*s) * 0x100000001b3ULL;
	while (*s++);
}

/* The whole of a regular file as a string, which *left bytes more may hold; NULL with errno 0 for
 * what is no regular file. */
static char *read_file(int folder, const char *name, size_t *left)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), e;
	ssize_t n = 0;
	struct stat st;
	size_t len = 0;
	char *text;

	if (fd < 0)
		return NULL;
	text = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? malloc(*left + 1) : NULL;
	e = text || !S_ISREG(st.st_mode) ? 0 : ENOMEM;
	while (text && len <= *left && (n = read(fd, text + len, *left + 1 - len)) > 0)
		len += (size_t)n;
	if (n < 0)
		e = errno;
	else if (text && len > *left)
		e = EFBIG;
	else if (text && memchr(text, '\0', len))
		e = EILSEQ;
	close(fd);
	if (text && !e) {
		text[len] = '\0';
		*left -= len;
		return text;
	}
	free(text);
	errno = e;
	return NULL;
}

static int add_file(struct kb_kube_dns_dir *dir, int folder, const char *name, size_t *left)
{
	struct kb_label *v;
	char *text, *key;

	errno = 0;
	text = read_file(folder, name, left);
	if (!text)
		return -errno;
	v = dir->n < KB_CONFIG_KEYS_MAX ? realloc(dir->data, (dir->n + 1) * sizeof(*v)) : NULL;
	key = strdup(name);
	if (v)
		dir->data = v;
	if (!v || !key) {
		free(text);
		free(key);
		return dir->n < KB_CONFIG_KEYS_MAX ? -ENOMEM : -E2BIG;
	}
	v[dir->n++] = (struct kb_label){key, text};
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct kb_label *)a)->key, ((const struct kb_label *)b)->key);
}

int kb_kube_dns_dir_read(const char *path, struct kb_kube_dns_dir *ret_dir, char *err,
			 size_t err_size)
{
	struct kb_kube_dns_dir dir = {.hash = 0xcbf29ce484222325ULL};
	size_t left = KB_CONFIG_TEXT_MAX;
	const char *name = "";
	struct dirent *entry;
	DIR *d = opendir(path);
	int r = d ? 0 : -errno;

	while (r == 0 && (entry = readdir(d))) {
		name = entry->d_name;
		if (*name != '.')
			r = add_file(&dir, dirfd(d), name, &left);
	}
	if (r < 0) {
		kb_config_fail(r, err, err_size,
			       "%s/%s: %s, give a folder with the keys of the "
			       "kube-dns ConfigMap as files",
			       path, name, strerror(-r));
		kb_kube_dns_dir_free(&dir);
		add_to_hash(&dir, err);
	}
	if (d)
		closedir(d);
	if (dir.n)
		qsort(dir.data, dir.n, sizeof(*dir.data), by_key);
	for (size_t i = 0; i < dir.n; i++) {
		add_to_hash(&dir, dir.data[i].key);
		add_to_hash(&dir, dir.data[i].value);
	}
	*ret_dir = dir;
	return r;
}

void kb_kube_dns_dir_free(struct kb_kube_dns_dir *dir)
{
	for (size_t i = 0; i < dir->n; i++) {
		free((char *)(uintptr_t)dir->data[i].key);
		free((char *)(uintptr_t)dir->data[i].value);
	}
	free(dir->data);
	dir->data = NULL;
	dir->n = 0;
}
