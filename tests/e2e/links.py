# SPDX-License-Identifier: Apache-2.0
"""Interfaces made and removed by netlink, without a process for each, and what hangs on them.
Everything here works in the network namespace of the process that calls it (lab.in_ns)."""
import ctypes
import os
import socket
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)

NEWLINK, DELLINK = 16, 17
REQUEST, ACK, EXCL, CREATE = 1, 4, 0x200, 0x400
IFNAME, LINKINFO, NET_NS_FD, INFO_KIND, INFO_DATA, INFO_PEER = 3, 18, 28, 1, 2, 1


def _attr(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def _ifinfo(index=0):
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0)


class Links:
    def __init__(self):
        self.s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.s.bind((0, 0))
        self.seq = 0

    def _call(self, kind, flags, payload):
        self.seq += 1
        self.s.send(struct.pack("=IHHII", 16 + len(payload), kind, flags | REQUEST | ACK, self.seq, 0) + payload)
        reply = self.s.recv(65536)
        error = -struct.unpack_from("=i", reply, 16)[0]
        if error:
            raise OSError(error, os.strerror(error))

    def veth(self, name, ns, peer, index=0):
        """One end here, the other in the namespace that the file descriptor `ns` stands for."""
        other = _ifinfo() + _attr(IFNAME, peer.encode() + b"\0") + _attr(NET_NS_FD, struct.pack("=I", ns))
        info = _attr(INFO_KIND, b"veth") + _attr(INFO_DATA, _attr(INFO_PEER, other))
        self._call(NEWLINK, CREATE | EXCL,
                   _ifinfo(index) + _attr(IFNAME, name.encode() + b"\0") + _attr(LINKINFO, info))
        return socket.if_nametoindex(name)

    def remove(self, index):
        self._call(DELLINK, 0, _ifinfo(index))


def programs(ifindex):
    """Ids of the programs at tcx ingress, in their order; [] also when the interface has gone."""
    ids = (ctypes.c_uint32 * 64)()
    attr = bytearray(struct.pack("=IIIIQI", ifindex, 46, 0, 0, ctypes.addressof(ids), 64) + bytes(64))
    buf = (ctypes.c_char * len(attr)).from_buffer(attr)
    if libc.syscall(321, 16, buf, len(attr)) < 0:  # bpf(BPF_PROG_QUERY)
        return []
    return list(ids[:struct.unpack_from("=I", attr, 24)[0]])


def wait_attached(ifindex, timeout=10):
    end = time.monotonic() + timeout
    while not programs(ifindex):
        if time.monotonic() > end:
            raise AssertionError("nothing was attached to interface %d within %g s" % (ifindex, timeout))
        time.sleep(0.0002)


def churn(n, namespaces, prefix="churn"):
    """Makes and removes n pairs, one after the other, each when kbdns has attached to it; their
    other ends lie in these namespaces in turn. Two lists of seconds, each sorted: what the kernel
    took to make the pair, and from its answer on until the program was attached."""
    links, made, attached = Links(), [], []
    fds = [os.open("/run/netns/" + ns, os.O_RDONLY) for ns in namespaces]
    for i in range(n):
        start = time.perf_counter()
        index = links.veth("%s%d" % (prefix, i), fds[i % len(fds)], "eth1")
        there = time.perf_counter()
        wait_attached(index)
        made.append(there - start)
        attached.append(time.perf_counter() - there)
        links.remove(index)
    for fd in fds:
        os.close(fd)
    return sorted(made), sorted(attached)


def rank(values, part):
    """Of sorted values: the one that this part of them does not exceed."""
    return values[min(len(values) - 1, int(len(values) * part))]


def footprint(kd):
    """(resident KiB, descriptors, pins) of a kbdnsd."""
    with open("/proc/%d/status" % kd.p.pid, encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return rss, len(os.listdir("/proc/%d/fd" % kd.p.pid)), len(os.listdir(kd.bpffs))
