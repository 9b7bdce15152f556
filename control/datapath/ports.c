// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/ports.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "dataplane/core/steer.h"

/* The place that holds `holder`, which is the port itself or 0 for a free one. Returns it, or
 * -ENOSPC or the map's -errno. */
static int find_place(int map_fd, uint32_t ifindex, uint32_t holder)
{
	for (uint32_t probe = 0; probe < KB_PORT_PROBES; probe++) {
		uint32_t place = kb_port_place(ifindex, probe);
		struct kb_port_conf conf;

		if (bpf_map_lookup_elem(map_fd, &place, &conf) < 0)
			return -errno;
		if (conf.ifindex == holder)
			return (int)place;
	}
	return -ENOSPC;
}

static int write_place(int map_fd, uint32_t place, const struct kb_port_conf *conf)
{
	return bpf_map_update_elem(map_fd, &place, conf, BPF_ANY) < 0 ? -errno : 0;
}

int kb_ports_put(int map_fd, uint32_t ifindex, const uint8_t mac[6], bool steer)
{
	struct kb_port_conf conf = {.ifindex = ifindex};
	int place = find_place(map_fd, ifindex, ifindex);

	memcpy(&conf.mac, mac, 6);
	if (place == -ENOSPC)
		place = find_place(map_fd, ifindex, 0);
	if (place < 0)
		return place;
	conf.steer = steer ? kb_steer_port((uint32_t)place) : 0;
	return write_place(map_fd, (uint32_t)place, &conf);
}

int kb_ports_remove(int map_fd, uint32_t ifindex)
{
	const struct kb_port_conf none = {0};
	int place = find_place(map_fd, ifindex, ifindex);

	if (place >= 0)
		write_place(map_fd, (uint32_t)place, &none);
	return place;
}
