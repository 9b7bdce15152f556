/* SPDX-License-Identifier: Apache-2.0 */
/* The few commands of bpf(2) that kbdns-dpdk needs, without libbpf. Any thread. */
#ifndef KB_DPDK_BPF_H
#define KB_DPDK_BPF_H

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor of the map or program that is pinned as dir/table/name, or -errno. */
int kb_bpf_open(const char *dir, const char *name);
/* 0 or -errno, as below. */
int kb_bpf_map_info(int fd, struct bpf_map_info *ret_info);
int kb_bpf_map_lookup(int fd, uint32_t key, void *ret_value);
int kb_bpf_map_update(int fd, uint32_t key, const void *value);
int kb_bpf_map_delete(int fd, uint32_t key);
/* Runs a tc program once on a frame that has come in by `ifindex`, of this network namespace. Its
 * verdict, or -errno. */
int kb_bpf_run_tc(int prog_fd, const void *frame, uint32_t len, uint32_t ifindex);

#endif
