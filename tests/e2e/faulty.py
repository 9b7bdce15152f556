# SPDX-License-Identifier: Apache-2.0
"""An upstream that does what upstreams do at their worst: the first label of the name asked says
what. Every server counts what it was asked."""
import os
import select
import socket
import struct
import time

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from lab import Worker, serve

GOOD = "192.0.2.1"     # the address of every name
FORGED = "203.0.113.66"  # in forged replies


def _reply(q, address=GOOD, count=1, ttl=60, rcode=0):
    r = dns.message.make_response(q, recursion_available=True)
    r.set_rcode(rcode)
    if not rcode and q.question[0].rdtype == dns.rdatatype.A:
        base = int.from_bytes(socket.inet_aton(address), "big")
        r.answer.append(dns.rrset.from_text(q.question[0].name, ttl, "IN", "A", *(
            socket.inet_ntoa((base + i).to_bytes(4, "big")) for i in range(count))))
    return r


class _Server:
    def __init__(self, addr, port, mood):
        self.mood = mood  # of the whole server: "", "silent", "servfail", "refused"
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((addr, port))
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # another port
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((addr, port))
        self.tcp.listen(64)
        self.asked, self.ports, self.ids, self.later = {}, set(), set(), []
        self.names, self.mixed = [], 0

    def send(self, data, peer, delay=0.0, sock=None):
        if delay:
            self.later.append((time.monotonic() + delay, data, peer))
        else:
            (sock or self.udp).sendto(data, peer)

    def on_udp(self):
        data, peer = self.udp.recvfrom(65535)
        q = dns.message.from_wire(data)
        if q.question[0].rdtype == dns.rdatatype.HINFO:  # whether we ask kbdnsd in turn: no client's question
            return
        name = q.question[0].name.to_text()
        self.mixed += name != name.lower()
        name = name.lower()
        what = name.split(".")[0].split("-")[0]
        self.asked[what] = self.asked.get(what, 0) + 1
        self.ports.add(peer[1])
        self.ids.add(q.id)
        if len(self.names) < 10000:
            self.names.append(name)
        self.answer(q, data, peer, self.mood or what)

    def answer(self, q, data, peer, what):
        good = _reply(q, ttl={"short": 1, "brief": 3}.get(what, 60)).to_wire()
        first = self.names.count(q.question[0].name.to_text().lower()) == 1
        if what in ("drop", "silent") or (what == "dropfirst" and first):
            return
        if what == "latefirst" and first:
            self.send(good, peer, 2.0)
        elif what == "slow":
            self.send(good, peer, 0.6)
        elif what in ("servfail", "refused"):
            self.send(_reply(q, rcode=dns.rcode.from_text(what)).to_wire(), peer)
        elif what == "nx":
            self.send(_reply(q, rcode=dns.rcode.NXDOMAIN).to_wire(), peer)
        elif what == "garbage":
            self.send(data[:2] + b"\x84\x00" + os.urandom(60), peer)
            self.send(good, peer, 0.2)
        elif what == "cut":  # ends within a record
            self.send(good[:-3], peer)
        elif what == "loop":  # an owner that points at itself
            self.send(good[:12 + len(q.question[0].name.to_wire()) + 4] + b"\xc0" +
                      bytes([12 + len(q.question[0].name.to_wire()) + 4]) + b"\0\1\0\1" + b"\0" * 40, peer)
        elif what == "wrongid":
            forged = _reply(q, FORGED)
            forged.id ^= 0x5555
            self.send(forged.to_wire(), peer)
            self.send(good, peer, 0.2)
        elif what == "manyids":
            for i in range(200):
                self.send(struct.pack("!H", q.id + 1 + i & 0xffff) + _reply(q, FORGED).to_wire()[2:], peer)
            self.send(good, peer, 0.2)
        elif what == "wrongport":
            self.send(_reply(q, FORGED).to_wire(), peer, sock=self.other)
            self.send(good, peer, 0.2)
        elif what == "wrongname":
            asked = dns.message.make_query("other.example.", "A")
            asked.id = q.id
            self.send(_reply(asked, FORGED).to_wire(), peer)
            self.send(good, peer, 0.2)
        elif what in ("lower", "lowerreset"):  # the question, and then all is well
            end = 12 + len(q.question[0].name.to_wire())
            self.send(good[:12] + good[12:end].lower() + good[end:], peer)
        elif what == "swapcase":
            forged, end = _reply(q, FORGED).to_wire(), 12 + len(q.question[0].name.to_wire())
            self.send(forged[:12] + forged[12:end].swapcase() + forged[end:], peer)
            self.send(good, peer, 0.2)
        elif what in ("wrongtype", "wrongclass"):
            forged = bytearray(_reply(q, FORGED).to_wire())
            forged[12 + len(q.question[0].name.to_wire()) + (1 if what == "wrongtype" else 3)] ^= 2
            self.send(bytes(forged), peer)
            self.send(good, peer, 0.2)
        elif what == "query":  # the query itself
            self.send(data, peer)
            self.send(good, peer, 0.2)
        elif what == "fewbytes":
            for n in (0, 1, 11):
                self.send(data[:n], peer)
            self.send(good, peer, 0.2)
        elif what == "twice":
            self.send(good, peer)
            self.send(_reply(q, FORGED).to_wire(), peer)
        elif what == "noquestion":
            self.send(data[:2] + b"\x84\x00" + b"\0" * 8, peer)
            self.send(good, peer, 0.2)
        elif what in ("tc", "reset") or what.startswith("tcp"):
            r = _reply(q)
            r.flags |= dns.flags.TC
            r.answer = []
            self.send(r.to_wire(), peer)
        elif what == "large":
            self.send(_reply(q, count=40).to_wire(), peer)  # 669 bytes
        elif what == "noedns" and q.edns >= 0:
            self.send(data[:2] + b"\x80\x01" + b"\0" * 8, peer)
        else:
            self.send(good, peer)

    def on_tcp(self):
        c, _ = self.tcp.accept()
        c.settimeout(2)
        try:
            n = struct.unpack("!H", c.recv(2))[0]
            q = dns.message.from_wire(c.recv(n))
            what = q.question[0].name.to_text().lower().split(".")[0].split("-")[0]
            self.asked["tcp " + what] = self.asked.get("tcp " + what, 0) + 1
            if what in ("reset", "lowerreset"):
                c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if what == "tcpdrop":
                time.sleep(2)
                return
            r = _reply(q, FORGED if what == "tcpwrongid" else GOOD, count=200)
            r.id ^= 0x5555 if what == "tcpwrongid" else 0
            w = r.to_wire(max_size=65535)
            w = struct.pack("!H", len(w)) + w
            if what == "tcpcut":
                c.sendall(w[:-100])
            elif what == "tcpclose":
                pass
            elif what == "tcpslow":  # in pieces
                for i in range(0, len(w), 1000):
                    c.sendall(w[i:i + 1000])
                    time.sleep(0.02)
            else:
                c.sendall(w)
        except (OSError, struct.error):
            pass
        finally:
            c.close()

    def run(self):
        while not Worker.stopping:
            ready = select.select([self.udp, self.tcp], [], [], 0.02)[0]
            if self.udp in ready:
                self.on_udp()
            if self.tcp in ready:
                self.on_tcp()
            now = time.monotonic()
            for item in [i for i in self.later if i[0] <= now]:
                self.later.remove(item)
                self.udp.sendto(item[1], item[2])
        return {"asked": self.asked, "ports": len(self.ports), "ids": len(self.ids), "names": self.names,
                "mixed": self.mixed}


def _run(addr, port, mood, ready):
    s = _Server(addr, port, mood)
    os.write(ready, b"1")
    return s.run()


def upstream(t, ns, addr, port=53, mood=""):
    """Starts one; stop() returns {"asked": {label: n}, "ports": n, "ids": n, "names": [...],
    "mixed": questions with upper-case letters}."""
    return serve(t, ns, _run, addr, port, mood)
