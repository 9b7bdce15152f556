# SPDX-License-Identifier: Apache-2.0
"""An upstream over TCP or TLS, well or not, that counts connections and what came over them. Over
UDP, when it is plain, it says TC to all."""
import os
import select
import socket
import ssl
import struct
import threading
import time

from lab import Worker, run, serve

RECORDS = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, i]) for i in range(100))


def _question(q):
    """The question's bytes; dnspython would take milliseconds for each message."""
    at = 12
    while q[at]:
        at += q[at] + 1
    return q[12:at + 5]


def _reply(q, question=None, tc=False):
    """100 addresses, or TC and none."""
    head = struct.pack("!HHHHHH", struct.unpack("!H", q[:2])[0], 0x8380 if tc else 0x8180, 1,
                       0 if tc else 100, 0, 0)
    return head + (question or _question(q)) + (b"" if tc else RECORDS)


class _Server:
    def __init__(self, addr, port, mood, cert):
        self.mood, self.context = mood, None
        if cert:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*cert)
            self.context.set_alpn_protocols(["dot"])
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((addr, port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((addr, port))
        self.tcp.listen(128)
        self.lock = threading.Lock()
        self.seen = {"connections": 0, "udp": 0, "queries": 0, "most": 0, "handshakes": 0, "resumed": 0,
                     "failed": 0, "alpn": set(), "versions": set(), "lengths": set(), "names": set()}

    def count(self, what, n=1):
        with self.lock:
            self.seen[what] += n

    def on_udp(self):
        data, peer = self.udp.recvfrom(65535)
        self.count("udp")
        self.udp.sendto(_reply(data, tc=True), peer)

    def handshake(self, c):
        if self.mood == "slow":
            time.sleep(0.7)
        if self.mood == "stall":
            time.sleep(30)
        c = self.context.wrap_socket(c, server_side=True)
        self.count("handshakes")
        self.count("resumed", c.session_reused)
        with self.lock:
            self.seen["alpn"].add(c.selected_alpn_protocol())
            self.seen["versions"].add(c.version())
        return c

    def serve(self, c):
        try:
            c.settimeout(30)
            if self.context:
                c = self.handshake(c)
            self.answer(c)
        except (OSError, struct.error):
            self.count("failed")
        finally:
            c.close()

    def answer(self, c):
        """Frames in, frames out, as the mood is."""
        data, n = b"", 0
        while not Worker.stopping:
            piece = c.recv(65535)
            if not piece:
                return
            data += piece
            if self.mood == "reverse":
                data += self.gather(c)
            batch = []
            while len(data) >= 2 and len(data) >= 2 + struct.unpack("!H", data[:2])[0]:
                end = 2 + struct.unpack("!H", data[:2])[0]
                batch.append(data[2:end])
                with self.lock:
                    self.seen["lengths"].add(end - 2)
                    self.seen["names"].add(_question(data[2:end])[:-4])
                data = data[end:]
            self.count("queries", len(batch))
            with self.lock:
                self.seen["most"] = max(self.seen["most"], len(batch))
            for q in self.order(batch):
                self.send(c, q)
                n += 1
                if self.mood == "close" or (self.mood == "after3" and n == 3):
                    return
                if self.mood == "half" and n == 1:
                    c.shutdown(socket.SHUT_WR)

    @staticmethod
    def gather(c):
        """What comes until there is a pause."""
        data = b""
        c.settimeout(0.1)
        try:
            while True:
                piece = c.recv(65535)
                if not piece:
                    return data
                data += piece
        except TimeoutError:
            return data
        finally:
            c.settimeout(30)

    def order(self, batch):
        return batch[::-1] if self.mood == "reverse" else batch

    def send(self, c, q):
        question = _question(q)
        what = question[1:1 + question[0]].decode().lower().split("-")[0]
        if self.mood == "silent" or what == "drop":
            return
        if what == "wait":
            time.sleep(0.3)
        w = _reply(q)
        if what == "foreign":
            w = _reply(q, b"\5other\7example\0\0\1\0\1")
        if what == "short":
            w = w[:5]
        w = struct.pack("!H", len(w)) + w
        if what == "pieces":
            for i in range(0, len(w), 300):
                c.sendall(w[i:i + 300])
                time.sleep(0.01)
        else:
            c.sendall(w)

    def run(self):
        while not Worker.stopping:
            ready = select.select([self.udp, self.tcp], [], [], 0.05)[0]
            if self.udp in ready:
                self.on_udp()
            if self.tcp in ready:
                c, _ = self.tcp.accept()
                c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.count("connections")
                threading.Thread(target=self.serve, args=(c,), daemon=True).start()
        with self.lock:
            return dict(self.seen)


def _run(addr, port, mood, cert, ready):
    s = _Server(addr, port, mood, cert)
    os.write(ready, b"1")
    return s.run()


_running = {}


def stream_upstream(t, ns, addr, port=53, mood="", cert=None):
    """Starts one, in place of the last one there; `cert` is (certificate, key) for TLS. stop() returns
    what it has seen."""
    if (ns, addr, port) in _running:
        _running.pop((ns, addr, port)).kill()
    w = serve(t, ns, _run, addr, port, mood, cert)
    _running[ns, addr, port] = w
    return w


class Authority:
    """A certificate authority of one test."""
    EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def __init__(self, t, name="ca"):
        self.t, self.n = t, 0
        self.key, self.pem = t.path(name + ".key"), t.path(name + ".pem")
        run("openssl", "req", "-x509", *self.EC, "-keyout", self.key, "-out", self.pem, "-days", "2",
            "-subj", "/CN=kbdns test authority")

    def certify(self, names, days=1):
        """(certificate, key) for e.g. "DNS:dns.example,IP:192.0.2.1"; days -1: expired."""
        self.n += 1
        base = "%s.%d" % (self.pem, self.n)
        key, csr, ext, pem = (base + s for s in (".key", ".csr", ".ext", ".crt"))
        with open(ext, "w", encoding="utf-8") as f:
            f.write("subjectAltName=%s\n" % names)
        run("openssl", "req", "-new", *self.EC, "-keyout", key, "-out", csr, "-subj", "/CN=server")
        run("openssl", "x509", "-req", "-in", csr, "-CA", self.pem, "-CAkey", self.key, "-CAcreateserial",
            "-days", str(days), "-extfile", ext, "-out", pem)
        return pem, key
