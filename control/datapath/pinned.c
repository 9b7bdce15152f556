// SPDX-License-Identifier: Apache-2.0
/* Links that outlive kbdnsd, under the names DIR/link_ENGINE_IFINDEX. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "control/datapath/private.h"

void kb_link_name(char name[KB_LINK_NAME], enum kb_engine engine, unsigned int ifindex)
{
	snprintf(name, KB_LINK_NAME, "link_%s_%u", engine == KB_ENGINE_TC ? "tc" : "xdp", ifindex);
}

/* Where the interface stands differs by type; the tcx part is
 * unknown to old headers and begins like the XDP one. */
unsigned int kb_link_ifindex(int fd)
{
	struct {
		struct bpf_link_info info;
		uint64_t room[16];
	} u = {0};
	uint32_t len = sizeof(u.info);

	if (bpf_obj_get_info_by_fd(fd, &u.info, &len) < 0)
		return 0;
	return u.info.xdp.ifindex;
}

int kb_link_take(const char *dir, const char *name, unsigned int ifindex, int prog_fd)
{
	int fd = kb_pin_open(dir, name), r;

	if (fd < 0)
		return -ENOENT;
	r = kb_link_ifindex(fd) == ifindex ? bpf_link_update(fd, prog_fd, NULL) : -1;
	if (r == 0)
		return fd;
	close(fd);
	kb_pin_remove(dir, name);
	return -ENOENT;
}

int kb_link_pin(const char *dir, const char *name, int fd)
{
	int r = kb_pin_put(dir, name, fd);

	if (r == 0)
		return fd;
	close(fd);
	return r;
}
