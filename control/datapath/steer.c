// SPDX-License-Identifier: Apache-2.0
#include "control/datapath/steer.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <time.h>

#include "control/datapath/ports.h"
#include "control/datapath/private.h"
#include "control/table/env.h"
#include "dataplane/core/percpu.h"
#include "dataplane/core/steer.h"

void kb_port_forget(const struct kb_datapath *dp, unsigned int ifindex)
{
	int place = kb_ports_remove(dp->map_fd[KB_MAP_PORTS], ifindex);
	const uint64_t none = 0;

	/* A socket that stays in the place of a port that is gone would swallow the next one's
	 * queries. */
	for (uint32_t q = 0; place >= 0 && q < KB_STEER_QUEUES; q++) {
		uint32_t key = kb_steer_key(kb_steer_port((uint32_t)place), q);

		bpf_map_delete_elem(dp->map_fd[KB_MAP_XSKS], &key);
		bpf_map_update_elem(dp->map_fd[KB_MAP_STEER_BEAT], &key, &none, BPF_ANY);
	}
}

/* The port's queue 0, or -errno: not handed over. */
static int first_key(const struct kb_datapath *dp, uint32_t ifindex)
{
	for (uint32_t probe = 0; probe < KB_PORT_PROBES; probe++) {
		uint32_t place = kb_port_place(ifindex, probe);
		struct kb_port_conf port;

		if (bpf_map_lookup_elem(dp->map_fd[KB_MAP_PORTS], &place, &port) == 0 &&
		    port.ifindex == ifindex)
			return port.steer ? (int)kb_steer_key(port.steer, 0) : -EOPNOTSUPP;
	}
	return -ENOENT;
}

void kb_steer_tidy(const struct kb_datapath *dp)
{
	const uint64_t none = 0;
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
	for (size_t i = 0; i < dp->n_ports; i++) {
		const struct kb_datapath_port *p = &dp->ports[i];
		int first = p->engine == KB_ENGINE_XDP ? first_key(dp, p->ifindex) : -ENOENT;

		for (uint32_t q = 0; first >= 0 && q < KB_STEER_QUEUES; q++) {
			uint32_t key = (uint32_t)first + q;
			int map = dp->map_fd[KB_MAP_STEER_BEAT];
			uint64_t beat = 0;

			/* One that comes back meanwhile beats again. */
			if (bpf_map_lookup_elem(map, &key, &beat) == 0 && beat &&
			    now_ns > beat + KB_WORKER_SILENT_NS)
				bpf_map_update_elem(map, &key, &none, BPF_ANY);
		}
	}
}

int kb_datapath_steer_stats(const struct kb_datapath *dp, struct kb_steer_stats *ret_stats)
{
	int r = kb_percpu_read(dp, KB_ENGINE_XDP);

	*ret_stats = (struct kb_steer_stats){0};
	for (unsigned int c = 0; r == 0 && c < dp->cpus; c++) {
		ret_stats->absent += dp->percpu[c].steer_absent;
		ret_stats->silent += dp->percpu[c].steer_silent;
	}
	return r;
}
