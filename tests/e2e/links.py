# SPDX-License-Identifier: Apache-2.0
"""Interfaces made and removed by netlink, without a process for each, and what hangs on them.
Everything here works in the network namespace of the process that calls it (lab.in_ns)."""
import ctypes
import errno
import os
import socket
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)

NEWLINK, DELLINK = 16, 17
REQUEST, ACK, EXCL, CREATE = 1, 4, 0x200, 0x400
TCX_INGRESS = 46
CLONE_NEWNET = 0x40000000
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


def _bpf(command, attr):
    buf = (ctypes.c_char * 128).from_buffer(bytearray(attr.ljust(128, b"\0")))
    r = libc.syscall(321, command, buf, 128)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r, bytes(buf)


def _text(s):
    return ctypes.create_string_buffer(s.encode())


def programs(ifindex):
    """Ids of the programs at tcx ingress, in their order; [] also when the interface has gone."""
    ids = (ctypes.c_uint32 * 64)()
    try:
        _, out = _bpf(16, struct.pack("=IIIIQI", ifindex, TCX_INGRESS, 0, 0, ctypes.addressof(ids), 64))
    except OSError:
        return []
    return list(ids[:struct.unpack_from("=I", out, 24)[0]])


def fill(ifindex, n, name, link_pins):
    """Puts n programs that let everything pass, and the next one run, at the end of tcx ingress, or
    as many as find room; each one's link is pinned as link_pins_NUMBER. Returns how many."""
    code = struct.pack("=BBhi", 0xb7, 0, 0, -1) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    insns, licence = ctypes.create_string_buffer(code, len(code)), _text("GPL")
    for i in range(n):
        prog, _ = _bpf(5, struct.pack("=IIQQIIQII16s", 3, 2, ctypes.addressof(insns), ctypes.addressof(licence),
                                      0, 0, 0, 0, 0, name.encode()))
        try:
            link, _ = _bpf(28, struct.pack("=IIII", prog, ifindex, TCX_INGRESS, 0))
        except OSError as e:
            if e.errno != errno.ERANGE:
                raise
            return i
        path = _text("%s_%d" % (link_pins, i))
        _bpf(6, struct.pack("=QI", ctypes.addressof(path), link))
        os.close(link)
        os.close(prog)
    return n


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


def _new_namespace():
    """A descriptor that alone keeps it."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    new = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.setns(here, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")
    os.close(here)
    return new


def crowds(n, size, prefix="crowd", timeout=60):
    """Makes n pairs, `size` at a time, whose other ends lie in one namespace, and deletes that when
    kbdns has attached to all of them: it takes them along. Sorted seconds from a group's first pair
    to its last program."""
    links, took = Links(), []
    for first in range(0, n, size):
        ns, start = _new_namespace(), time.perf_counter()
        there = [links.veth("%s%d" % (prefix, i), ns, "eth%d" % i) for i in range(min(size, n - first))]
        for index in there:
            wait_attached(index, timeout)
        took.append(time.perf_counter() - start)
        os.close(ns)
        end = time.monotonic() + timeout
        while any(name.startswith(prefix) for _, name in socket.if_nameindex()):
            if time.monotonic() > end:
                raise AssertionError("interfaces outlive their namespace by %g s" % timeout)
            time.sleep(0.002)
    return sorted(took)


def rank(values, part):
    """Of sorted values: the one that this part of them does not exceed."""
    return values[min(len(values) - 1, int(len(values) * part))]


def footprint(kd):
    """(resident KiB, descriptors, pins) of a kbdnsd."""
    with open("/proc/%d/status" % kd.p.pid, encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return rss, len(os.listdir("/proc/%d/fd" % kd.p.pid)), len(os.listdir(kd.bpffs))
