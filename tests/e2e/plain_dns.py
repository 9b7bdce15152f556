# SPDX-License-Identifier: Apache-2.0
"""A DNS server over UDP and TCP that tells who answered: any A question gets one address of its own.
The TXT answer of a name "sizeN..." is N bytes of text, cut over UDP to what the client takes."""
import contextlib
import os
import re
import select
import socket

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset

from lab import Worker, _family, serve


def _text(name):
    n = int(re.match(rb"size(\d+)", name.labels[0]).group(1))
    return " ".join('"%s"' % ("x" * min(200, n - i)) for i in range(0, n, 200))


def reply(wire, who, udp):
    q = dns.message.from_wire(wire)
    m = dns.message.make_response(q)
    name, kind = q.question[0].name, q.question[0].rdtype
    if kind == dns.rdatatype.A:
        m.answer.append(dns.rrset.from_text(name, 60, "IN", "A", who))
    elif kind == dns.rdatatype.TXT:
        m.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", _text(name)))
    out = m.to_wire(max_size=65535)
    if udp and len(out) > max(512, q.payload):
        m.answer.clear()
        m.flags |= dns.flags.TC
        out = m.to_wire()
    return out


class _Conn:
    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def read(self, who):
        """How many questions were answered, or None at the end."""
        piece = b""
        with contextlib.suppress(ConnectionError):
            piece = self.sock.recv(65536)
        if not piece:
            return None
        self.data += piece
        n = 0
        while len(self.data) >= 2 and len(self.data) >= 2 + int.from_bytes(self.data[:2], "big"):
            end = 2 + int.from_bytes(self.data[:2], "big")
            out = reply(self.data[2:end], who, False)
            self.sock.sendall(len(out).to_bytes(2, "big") + out)
            self.data = self.data[end:]
            n += 1
        return n


def _run(addrs, who, ready):
    udp, tcp, conns, asked = [], [], {}, {"udp": 0, "tcp": 0}
    for a in addrs:
        for kind, socks in ((socket.SOCK_DGRAM, udp), (socket.SOCK_STREAM, tcp)):
            s = socket.socket(_family(a), kind)
            if ":" in a:
                s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):  # beside one at the wildcard address
                s.setsockopt(socket.SOL_SOCKET, option, 1)
            s.bind((a, 53))
            if kind == socket.SOCK_STREAM:
                s.listen(64)
            socks.append(s)
    os.write(ready, b"1")
    while not Worker.stopping:
        for s in select.select(udp + tcp + list(conns), [], [], 0.1)[0]:
            if s in udp:
                wire, peer = s.recvfrom(65535)
                asked["udp"] += 1
                s.sendto(reply(wire, who, True), peer)
            elif s in tcp:
                c, _ = s.accept()
                conns[c] = _Conn(c)
            else:
                n = conns[s].read(who)
                if n is None:
                    del conns[s]
                    s.close()
                else:
                    asked["tcp"] += n
    return asked


def plain_dns(t, ns, addrs, who):
    """Until the test ends, or stop(), which returns how many questions came: {"udp": n, "tcp": n}."""
    return serve(t, ns, _run, addrs, who)
