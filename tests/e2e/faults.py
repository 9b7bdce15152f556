# SPDX-License-Identifier: Apache-2.0
"""Upstreams that die, hang, lie and come back by a seeded schedule, a client that keeps asking, and
the account of its questions: each was answered right, or with an error (SERVFAIL, or REFUSED if an
upstream said so) in a time in which nobody was there to answer. Messages are bytes here: at 1,000 questions a second a parser would be what
is measured."""
import bisect
import errno
import os
import random
import select
import signal
import socket
import struct
import time
import zlib

from lab import Worker, ready_worker

ATTEMPT_S, FAILURE_S, BUDGET_S = 1.5, 5, 4.5  # KB_FORWARD_ATTEMPT_MS; the cache's failure_s; KB_FORWARD_BUDGET_MS
SLACK_S = 0.5   # processes that are late to be scheduled
WAIT_S = 10     # after that a question counts as lost
RATE = 1000
POPULAR, POPULAR_TTL = 500, 3
CLUSTER_NAME, CLUSTER_ADDR = b"\x0akubernetes\7default\3svc\7cluster\5local\0", b"\x0a\x60\0\1"
SERVFAIL, REFUSED = 2, 5
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
LIES = ("id", "question", "port", "garbage", "cut", "servfail", "refused", "reset", "silent")


def address(qname):
    """The one right answer to each name (wire form)."""
    return struct.pack("!I", 0x0a000000 | zlib.crc32(qname.lower()) & 0xffffff)


def question_end(msg):
    at = 12
    while msg[at]:
        at += msg[at] + 1
    return at + 5


def reply(query, addr, flags=0x8180, ttl=60):
    end = question_end(query)
    return query[:2] + struct.pack("!5H", flags, 1, 1, 0, 0) + query[12:end] + \
        b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", ttl, 4) + addr


def error(query, rcode, tc=False):
    return query[:2] + struct.pack("!5H", 0x8180 | tc << 9 | rcode, 1, 0, 0, 0) + query[12:question_end(query)]


# ---- an upstream ----

class _Upstream:
    """lie: "" for an honest one, or one of LIES. Names that begin with t are truncated over UDP."""

    def __init__(self, addr, lie):
        self.lie = lie
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for s in (self.udp, self.tcp):
            s.bind((addr, 53))
        self.tcp.listen(256)
        self.conns = {}  # socket: bytes read so far

    def honest(self, q):
        return reply(q, address(q[12:question_end(q) - 4]), ttl=POPULAR_TTL if q[13:14] == b"p" else 60)

    def on_udp(self):
        q, peer = self.udp.recvfrom(4096)
        forged = reply(q, b"\xcb\0\x71\x42")
        if self.lie in ("", "reset") and q[13:14] == b"t":
            self.udp.sendto(error(q, 0, tc=True), peer)
        elif self.lie == "":
            self.udp.sendto(self.honest(q), peer)
        elif self.lie == "id":
            self.udp.sendto(bytes([q[0] ^ 0x55]) + forged[1:], peer)
        elif self.lie == "question":
            self.udp.sendto(forged[:13] + b"zz" + forged[15:], peer)
        elif self.lie == "port":
            self.other.sendto(forged, peer)
        elif self.lie == "garbage":
            self.udp.sendto(q[:2] + os.urandom(60), peer)
        elif self.lie == "cut":
            self.udp.sendto(forged[:-2], peer)
        elif self.lie in ("servfail", "refused"):
            self.udp.sendto(error(q, SERVFAIL if self.lie == "servfail" else REFUSED), peer)
        elif self.lie == "reset":
            self.udp.sendto(error(q, 0, tc=True), peer)

    def on_tcp(self, conn):
        """A question a connection."""
        try:
            piece = conn.recv(4096)
        except OSError:
            piece = b""
        data = self.conns[conn] + piece
        self.conns[conn] = data
        if piece and (len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big")):
            return
        del self.conns[conn]
        if piece and self.lie == "reset":
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif piece and not self.lie:
            r = self.honest(data[2:])
            try:
                conn.sendall(len(r).to_bytes(2, "big") + r)
            except OSError:
                pass
        conn.close()

    def run(self):
        while not Worker.stopping:
            for s in select.select([self.udp, self.tcp, *self.conns], [], [], 0.1)[0]:
                if s is self.udp:
                    self.on_udp()
                elif s is self.tcp:
                    conn = self.tcp.accept()[0]
                    conn.settimeout(1)
                    self.conns[conn] = b""
                else:
                    self.on_tcp(s)


def _serve(addr, lie, ready):
    server = _Upstream(addr, lie)
    os.write(ready, b"1")
    server.run()


class Upstream:
    """A process at an address, and the times (of the monotonic clock) at which it was no good."""

    def __init__(self, t, ns, addr):
        self.ns, self.addr, self.worker, self.lie = ns, addr, None, ""
        self.bad = [[time.monotonic(), None]]  # intervals
        self.what = []
        t.defer(self.kill)
        self.start("")

    def start(self, lie):
        self.worker = ready_worker(self.ns, _serve, self.addr, lie, timeout=20)
        if not lie:
            self.bad[-1][1] = time.monotonic()

    def kill(self):
        if self.worker:
            self.worker.kill()
            self.worker = None

    def break_it(self, how):
        self.bad.append([time.monotonic(), None])
        self.what.append(how)
        if how == "hang":
            os.kill(self.worker.pid, signal.SIGSTOP)
            return
        self.kill()
        if how != "die":
            self.start(how)

    def mend(self):
        if self.what[-1] == "hang":
            os.kill(self.worker.pid, signal.SIGCONT)
            self.bad[-1][1] = time.monotonic()
        else:
            self.kill()
            self.start("")


def schedule(seed, upstreams, seconds):
    """[(time, upstream's number, fault or "" for well again)] in order: each is well for 5 s and not
    for 3 s on average, by turns; faults are of all kinds in turn."""
    rnd, plan = random.Random(seed), []
    for i in range(upstreams):
        kinds, at, well = [], rnd.uniform(1, 3), True
        while at < seconds:
            if not kinds:
                kinds = ["die", "hang"] * 3 + list(LIES)
                rnd.shuffle(kinds)
            plan.append((at, i, kinds.pop() if well else ""))
            at += min(1 + rnd.expovariate(1 / (2 if well else 4)), 10)
            well = not well
    return sorted(plan)


def drive(upstreams, plan, seconds):
    start = time.monotonic()
    for at, i, how in plan + [(seconds, None, "")]:
        time.sleep(max(0.0, start + at - time.monotonic()))
        if i is None:
            break
        if how:
            upstreams[i].break_it(how)
        else:
            upstreams[i].mend()
    for u in upstreams:
        if u.bad[-1][1] is None:
            u.mend()


# ---- the client ----

class _Client:
    def __init__(self, server, seed):
        self.server, self.rnd = server, random.Random(seed)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.udp.connect((server, 53))
        self.udp.setblocking(False)
        self.poll = select.epoll()
        self.poll.register(self.udp, select.EPOLLIN)
        self.conns = {}    # fileno: [socket, bytes to send, bytes read, question's number]
        self.waiting = {}  # UDP: ID: (number, kind, qname, when)
        self.by_tcp = {}   # number: (kind, qname, when)
        self.n = 0
        self.counts = {k: {"asked": 0, "right": 0, "error": 0, "lost": 0, "wrong": 0}
                       for k in ("new", "popular", "tcp", "cluster")}
        self.failed = []   # (kind, outcome, asked at, told at)
        self.twice = 0
        self.late_s = 0.0  # the longest time in which it did nothing
        self.took_ms = []

    def make(self):
        """(kind, name in wire form)"""
        x = self.rnd.random()
        if x < 0.02:
            kind, label = "tcp", "t%d" % self.n
        elif x < 0.05:
            return "cluster", CLUSTER_NAME
        elif x < 0.30:
            kind, label = "popular", "p%d" % int(POPULAR * self.rnd.random() ** 3)
        else:
            kind, label = "new", "n%d" % self.n
        label = label.encode()
        return kind, bytes([len(label)]) + label + b"\7example\3org\0"

    def ask(self):
        kind, qname = self.make()
        i, now = self.n & 0xffff, time.monotonic()
        msg = struct.pack("!6H", i, 0x0100, 1, 0, 0, 0) + qname + b"\0\1\0\1"
        self.counts[kind]["asked"] += 1
        if kind == "tcp":
            s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            s.setblocking(False)
            r = s.connect_ex((self.server, 53))
            if r not in (0, errno.EINPROGRESS):
                raise OSError(r, os.strerror(r))
            self.conns[s.fileno()] = [s, len(msg).to_bytes(2, "big") + msg, b"", self.n]
            self.poll.register(s, select.EPOLLOUT)
            self.by_tcp[self.n] = (kind, qname, now)
        else:
            if i in self.waiting:
                self.done("lost", *self.waiting.pop(i)[1:])
            self.waiting[i] = (self.n, kind, qname, now)
            self.udp.send(msg)
        self.n += 1

    def done(self, outcome, kind, _qname, asked):
        now = time.monotonic()
        self.counts[kind][outcome] += 1
        if outcome != "right":
            self.failed.append((kind, outcome, asked, now))
        if outcome != "lost":
            self.took_ms.append((now - asked) * 1000)

    @staticmethod
    def outcome(msg, qname, kind):
        if len(msg) < 12 or not msg[2] & 0x80 or msg[12:12 + len(qname)] != qname:
            return "wrong"
        if msg[3] & 15 in (SERVFAIL, REFUSED):
            return "error"
        want = CLUSTER_ADDR if kind == "cluster" else address(qname)
        return "right" if msg[3] & 15 == 0 and msg[7] == 1 and msg[-4:] == want else "wrong"

    def on_udp(self):
        while True:
            try:
                msg = self.udp.recv(4096)
            except BlockingIOError:
                return
            item = self.waiting.pop(int.from_bytes(msg[:2], "big"), None)
            if item is None:
                self.twice += 1
                continue
            _, kind, qname, asked = item
            self.done(self.outcome(msg, qname, kind), kind, qname, asked)

    def on_tcp(self, fd, events):
        conn = self.conns[fd]
        s, out, _, n = conn
        try:
            if out and events & select.EPOLLOUT:
                s.send(out)
                conn[1] = b""
                self.poll.modify(s, select.EPOLLIN)
                return
            piece = s.recv(4096)
        except OSError:
            piece = b""
        conn[2] += piece
        data = conn[2]
        if piece and (len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big")):
            return
        kind, qname, asked = self.by_tcp.pop(n)
        self.done(self.outcome(data[2:], qname, kind) if piece else "lost", kind, qname, asked)
        self.close(fd)

    def close(self, fd):
        self.poll.unregister(fd)
        self.conns.pop(fd)[0].close()

    def run(self, seconds):
        start = seen = time.monotonic()
        end, swept, next_at = start + seconds, start, start
        while True:
            now = time.monotonic()
            self.late_s, seen = max(self.late_s, now - seen), now
            # What it was too late to ask is not asked: a burst would be another test.
            next_at = max(next_at, now - 0.1)
            while next_at < min(now, end):
                self.ask()
                next_at += 1 / RATE
            for fd, events in self.poll.poll(0.001 if now < end else 0.05):
                if fd == self.udp.fileno():
                    self.on_udp()
                else:
                    self.on_tcp(fd, events)
            if now - swept > 0.5:
                swept = now
                for i in [i for i, v in self.waiting.items() if now - v[3] > WAIT_S]:
                    self.done("lost", *self.waiting.pop(i)[1:])
                for fd in [fd for fd, c in self.conns.items() if now - self.by_tcp[c[3]][2] > WAIT_S]:
                    self.done("lost", *self.by_tcp.pop(self.conns[fd][3]))
                    self.close(fd)
            if now > end and not self.waiting and not self.conns:
                break
        self.took_ms.sort()
        at = lambda p: round(self.took_ms[int(p * (len(self.took_ms) - 1))], 2)
        return {"counts": self.counts, "failed": self.failed, "twice": self.twice, "late_s": self.late_s,
                "took_ms": {"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": at(1)}}


def _ask(server, seed, seconds):
    return _Client(server, seed).run(seconds)


def client(t, ns, server, seed, seconds):
    w = Worker(ns, _ask, server, seed, seconds)
    t.defer(w.kill)
    return w


# ---- the account ----

def _all_bad(upstreams, more_s):
    """The intervals in which every upstream was no good; each one's faults last more_s longer."""
    edges = []
    for u in upstreams:
        for a, b in u.bad:
            edges += [(a, 1), (b + more_s, -1)]
    n, out, since = 0, [], 0.0
    for at, step in sorted(edges):
        if n == len(upstreams) and step < 0:
            out.append((since, at))
        n += step
        if n == len(upstreams) and step > 0:
            since = at
    return out


def account(upstreams, result):
    """Adds "outages" (number, seconds), and sorts result["failed"] into "during" outages, "after" them
    and "unexplained".

    An outage is a time in which every upstream was no good. A question that meets one fails. One
    asked of an upstream that is no good goes on to the next one after ATTEMPT_S at the latest, so it
    also fails if each upstream's own bad time was no longer ago than that. A failure is remembered
    for FAILURE_S, which only names that are asked again can show. Nothing else may fail."""
    strict, wide = _all_bad(upstreams, 0), _all_bad(upstreams, ATTEMPT_S + SLACK_S)

    def meets(intervals, asked, told, more=0):
        i = bisect.bisect_right(intervals, (told, float("inf"))) - 1
        return i >= 0 and intervals[i][1] + more >= asked
    result["outages"] = len(strict), sum(b - a for a, b in strict)
    result.update(during=[], after=[], unexplained=[])
    for f in result["failed"]:
        kind, outcome, asked, told = f
        if outcome != "error" or kind == "cluster":
            result["unexplained"].append(f)
        elif meets(strict, asked, told):
            result["during"].append(f)
        elif meets(wide, asked, told, FAILURE_S if kind == "popular" else 0):
            result["after"].append(f)
        else:
            result["unexplained"].append(f)
    return result
