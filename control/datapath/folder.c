// SPDX-License-Identifier: Apache-2.0
/*
 * Where a table is pinned: DIR/table_N, and DIR/table is a symbolic link to the one in force.
 * Changing the link is one rename(2), so that whoever starts next, after a crash too, finds one
 * whole table. Folders that it does not lead to belong to a kbdnsd that builds beside the present
 * one, or are what a crash has left.
 */
#include "control/datapath/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINK	"table"
#define PATTERN "table_%u"
#define TRIES	16

/* Versions before layout 4 pinned a table in DIR itself. */
static const char *const flat[] = {"kb_", "index_", "page_", "prog_"};

int kb_folder_current(const char *dir, char name[KB_FOLDER_NAME])
{
	char path[PATH_MAX];
	unsigned int n;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/" LINK, dir);
	len = readlink(path, name, KB_FOLDER_NAME - 1);
	if (len < 0)
		return -errno;
	name[len] = '\0';
	return sscanf(name, PATTERN, &n) == 1 ? 0 : -EPROTO;
}

/* Entries of a folder, then the folder. */
static void remove_folder(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	/* Twice, since a folder that changes may be read incompletely. */
	kb_pin_remove_like(path, "");
	kb_pin_remove_like(path, "");
	rmdir(path);
}

int kb_folder_new(const char *dir, char name[KB_FOLDER_NAME])
{
	char path[PATH_MAX], current[KB_FOLDER_NAME] = "";
	unsigned int n = 0;

	if (kb_folder_current(dir, current) == 0)
		sscanf(current, PATTERN, &n);
	for (int i = 0; i < TRIES; i++) {
		snprintf(name, KB_FOLDER_NAME, PATTERN, ++n);
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		/* What a crash has left, unless it is no work of ours. */
		remove_folder(dir, name);
		if (mkdir(path, 0700) == 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	return -errno;
}

int kb_folder_commit(const char *dir, const char *name)
{
	char path[PATH_MAX], beside[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" LINK, dir);
	snprintf(beside, sizeof(beside), "%s/" LINK "_new", dir);
	if (unlink(beside) < 0 && errno != ENOENT)
		return -errno;
	if (symlink(name, beside) < 0)
		return -errno;
	return rename(beside, path) < 0 ? -errno : 0;
}

static void remove_link(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/" LINK, dir);
	unlink(path);
}

void kb_folder_remove(const char *dir, const char *name)
{
	char current[KB_FOLDER_NAME];

	if (kb_folder_current(dir, current) == 0 && strcmp(current, name) == 0)
		remove_link(dir);
	remove_folder(dir, name);
}

static int remove_other(const char *dir, const char *name, void *keep)
{
	unsigned int n;

	if (sscanf(name, PATTERN, &n) == 1 && (!keep || strcmp(name, keep) != 0))
		remove_folder(dir, name);
	return 0;
}

void kb_folder_remove_others(const char *dir, const char *keep)
{
	if (!keep)
		remove_link(dir);
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < sizeof(flat) / sizeof(*flat); i++)
			kb_pin_remove_like(dir, flat[i]);
		kb_pin_each(dir, remove_other, (void *)(uintptr_t)keep);
	}
}

bool kb_folder_has_flat(const char *dir)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/kb_header", dir);
	return access(path, F_OK) == 0;
}
