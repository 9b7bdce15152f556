# SPDX-License-Identifier: Apache-2.0
"""A pod that asks at a steady rate by ordinary sockets and accounts for every query: which were
answered, which wrongly, which never. Nothing waits for anything else, so that a gap in the service
is seen in full. Also a DNS server that stands for the cluster's, and one for the rest of the world."""
import os
import random
import select
import socket
import struct
import time

from lab import Worker, _family

WAIT_S = 3  # after the last query
SO_RCVBUFFORCE = 33  # asm-generic/socket.h
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def wire_name(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split(".")) + b"\0"


def question(name, qtype=1):
    return wire_name(name) + struct.pack("!HH", qtype, 1)


def reply(query, addr):
    """addr: packed, or None for NXDOMAIN."""
    end = query.index(b"\0", 12) + 5
    head = query[:2] + struct.pack("!5H", 0x8580 | (NOERROR if addr else NXDOMAIN), 1, 1 if addr else 0, 0, 0)
    return head + query[12:end] + (b"\xc0\x0c\0\1\0\1" + struct.pack("!IH", 5, 4) + addr if addr else b"")


def is_right(msg, addr):
    rcode, an = msg[3] & 15, msg[6] << 8 | msg[7]
    if addr is None:
        return (rcode, an) == (NXDOMAIN, 0)
    return (rcode, an) == (NOERROR, 1) and addr in msg


class Account:
    def __init__(self, names):
        self.names = [(question(n), socket.inet_aton(a) if a else None) for n, a in names]
        self.sent = self.right = self.wrong = self.servfail = 0
        self.lost_at = []  # seconds since the start
        self.first_wrong = []
        self.start = time.monotonic()

    def next(self, qid):
        q, addr = self.names[self.sent % len(self.names)]
        self.sent += 1
        return struct.pack("!6H", qid, 0x100, 1, 0, 0, 0) + q, addr

    def judge(self, msg, addr):
        if is_right(msg, addr):
            self.right += 1
        elif msg[3] & 15 == SERVFAIL:
            self.servfail += 1
        else:
            self.wrong += 1
            if len(self.first_wrong) < 5:
                self.first_wrong.append((round(time.monotonic() - self.start, 3), msg[:80]))

    def result(self):
        return {"sent": self.sent, "right": self.right, "wrong": self.wrong, "servfail": self.servfail, "lost": len(self.lost_at),
                "lost_at": [round(x, 3) for x in self.lost_at[:5] + self.lost_at[-5:]],
                "first_wrong": self.first_wrong, "seconds": round(time.monotonic() - self.start, 1)}


def _udp(server, names, rate, port):
    """Open loop: query n is due at n / rate, whatever has become of those before it."""
    a, waiting, qid = Account(names), {}, random.getrandbits(16)
    with socket.socket(_family(server), socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        s.connect((server, port))
        s.setblocking(False)
        end = None
        while end is None or (waiting and time.monotonic() < end):
            due = a.start + a.sent / rate
            now = time.monotonic()
            if end is None and now >= due and len(waiting) < 60000:
                qid = (qid + 1) & 0xffff
                while qid in waiting:
                    qid = (qid + 1) & 0xffff
                q, addr = a.next(qid)
                waiting[qid] = (addr, now)
                try:
                    s.send(q)
                except (ConnectionRefusedError, BlockingIOError):
                    pass  # of an earlier one; or not sent, and so lost
            else:
                select.select([s], [], [], min(0.05, max(0, due - now)) if end is None else 0.05)
            for _ in range(16):
                try:
                    msg = s.recv(4096)
                except (BlockingIOError, ConnectionRefusedError):
                    break
                known = waiting.pop(msg[0] << 8 | msg[1], None)
                if known:
                    a.judge(msg, known[0])
            if Worker.stopping and end is None:
                end = time.monotonic() + WAIT_S
    a.lost_at = sorted(sent - a.start for _, sent in waiting.values())
    return a.result()


def _read(conn, n):
    data = b""
    while len(data) < n:
        piece = conn.recv(n - len(data))
        if not piece:
            return None
        data += piece
    return data


def _tcp(server, names, rate, port):
    """One query at a time on a connection that is kept; a query that finds it closed, as a server
    may do that to one that is idle, is asked again on a new one. lost: no reply, or an error."""
    a, conn, connections = Account(names), None, 0
    while not Worker.stopping:
        q, addr = a.next(random.getrandbits(16))
        began = time.monotonic()
        for attempt in range(2):
            fresh = conn is None
            try:
                if fresh:
                    conn = socket.create_connection((server, port), WAIT_S)
                    connections += 1
                conn.sendall(struct.pack("!H", len(q)) + q)
                size = _read(conn, 2)
                msg = _read(conn, struct.unpack("!H", size)[0]) if size else None
            except OSError:
                msg = None
            if msg is not None:
                a.judge(msg, addr)
                break
            if conn:
                conn.close()
            conn = None
            if fresh or attempt:
                a.lost_at.append(began - a.start)
                break
        time.sleep(max(0, a.start + a.sent / rate - time.monotonic()))
    return {**a.result(), "connections": connections}


def sender(t, ns, server, names, rate=500, port=53, tcp=False):
    """names: [(name, address or None)]. stop() returns the account."""
    w = Worker(ns, _tcp if tcp else _udp, server, names, rate, port)
    t.defer(w.kill)
    return w


def dns_server(addrs, known, delay_s, ready):
    """For lab.serve: UDP; names that are not known do not exist. Each reply waits delay_s."""
    known = {wire_name(n): socket.inet_aton(a) for n, a in known.items()}
    socks, later = [], []
    for addr in addrs:
        s = socket.socket(_family(addr), socket.SOCK_DGRAM)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        s.bind((addr, 53))
        socks.append(s)
    os.write(ready, b"1")
    while not Worker.stopping:
        for s in select.select(socks, [], [], 0.002 if later else 0.1)[0]:
            q, peer = s.recvfrom(4096)
            name = q[12:q.index(b"\0", 12) + 1].lower()
            later.append((time.monotonic() + delay_s, s, reply(q, known.get(name)), peer))
        while later and later[0][0] <= time.monotonic():
            _, s, r, peer = later.pop(0)
            s.sendto(r, peer)
