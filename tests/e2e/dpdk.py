# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests of kbdns-dpdk share: the program on EAL without NIC and huge pages."""
import os
import signal
import subprocess

from lab import *  # noqa: F403
from lab import _die_with_parent

DPDK = os.path.join(BUILD, "kbdns-dpdk")
NAME = "kubernetes.default.svc.cluster.local"
YES = ("NOERROR", ["10.96.0.1"])
EAL = ("--no-huge", "-m", "64", "--no-pci", "--no-shconf", "--no-telemetry")


def _silent(addrs, ready):
    """Takes datagrams and says nothing, so that no ICMP message says that nobody is there."""
    socks = []
    for a in addrs:
        s = socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM)
        if ":" in a:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((a, 53))
        socks.append(s)
    os.write(ready, b"1")
    while not Worker.stopping:
        for s in select.select(socks, [], [], 0.1)[0]:
            s.recv(65535)


def silent_server(t, ns, addrs=(DNS4, DNS6)):
    return serve(t, ns, _silent, addrs)


class Dpdk:
    def __init__(self, t, lab, bpffs, *eal, lcores="0", wait=True, options=()):
        self.log_path = t.path("dpdk%d.log" % t.serial())
        with open(self.log_path, "wb") as log:
            self.p = subprocess.Popen(
                ["nsenter", "--net=/run/netns/" + lab.node, "--", DPDK, "--bpffs", bpffs,
                 "--idle-sleep", "200", *options, "--", "-l", lcores, *EAL, *eal],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent)
        t.defer(self.kill)
        if wait:
            eventually(lambda: self.p.poll() is not None or "ready" in self.log(), 60, "ready")
            check(self.p.poll() is None, "it ended:", self.log())

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def send(self, sig):
        self.p.send_signal(sig)

    def end(self, sig=signal.SIGTERM):
        self.p.send_signal(sig)
        return self.p.wait(30)

    def kill(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def af_packet(n, dev, extra=""):
    return ("--vdev", "net_af_packet%d,iface=%s%s" % (n, dev, extra))


def told(ns, addr, qname=NAME, **kw):
    """The reply, asked for as often as a resolver asks: a worker that the machine stops for long
    in the middle of a burst loses it, as it has to."""
    for _ in range(5):
        r = ask(ns, addr, qname, timeout=3, **kw)
        if r is not None:
            return r
    return None


def workers(kd):
    return kd.ctl("status")["workers"]["registered"]


def _ping(addr, n, timeout):
    """Replies to n echo requests, by sequence number."""
    v6 = ":" in addr
    proto = socket.getprotobyname("ipv6-icmp" if v6 else "icmp")
    got = [0] * n
    with socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_RAW, proto) as s:
        s.connect((addr, 0))
        me = os.getpid() & 0xffff
        for seq in range(n):
            b = struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, me, seq) + bytes(range(56))
            s.send(b if v6 else b[:2] + struct.pack("!H", csum(b)) + b[4:])
            end = time.monotonic() + timeout
            # A while longer than until the first, for duplicates.
            while select.select([s], [], [], max(0, end - time.monotonic()))[0]:
                r = s.recv(2048)[0 if v6 else 20:]
                kind, _, _, who, which = struct.unpack("!BBHHH", r[:8])
                if (kind, who) == (129 if v6 else 0, me) and r[8:] == bytes(range(56)):
                    got[which] += 1
                    end = min(end, time.monotonic() + 0.1)
    return got


def ping(ns, addr, n=3, timeout=5):
    return in_ns(ns, _ping, addr, n, timeout)
