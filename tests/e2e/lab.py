# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: a laboratory of network namespaces (scripts/lab), kbdnsd
and kbdnsctl, questions from a pod by ordinary sockets, listeners, captures, results.

Everything a test makes hangs on its Test object and is taken away when the test ends, however
it ends: namespaces by name, processes by pid (children also die with the test), one private
bpffs, one temporary directory.

    with Test(limit_s=120) as t:
        lab = t.lab(pods=2)
        kd = t.daemon(lab, "--snapshot", DEMO, "--tc", "pod1")
        with t.case("a name is answered"):
            check(ask(lab.pod1, DNS4, "kubernetes.default.svc.cluster.local", "A"), ...)
"""
import contextlib
import ctypes
import json
import os
import pickle
import random
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, os.environ.get("B", "build"))  # B may be absolute
KBDNSD = os.path.join(BUILD, "kbdnsd")
KBDNSCTL = os.path.join(BUILD, "kbdnsctl")
DEMO = os.path.join(ROOT, "scripts/demo/cluster.json")
DNS4, DNS6 = "10.96.0.10", "fd00:10:96::a"
FAMILIES = (("IPv4", DNS4), ("IPv6", DNS6))

libc = ctypes.CDLL(None, use_errno=True)


class Timeout(Exception):
    pass


class Skip(Exception):
    pass


# ---- namespaces and processes ----

def _setns(ns):
    fd = os.open("/run/netns/" + ns, os.O_RDONLY)
    if libc.setns(fd, 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns " + ns)
    os.close(fd)


def _die_with_parent():
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Worker:
    """fn(*args) in a forked child, in a network namespace. fn may look at Worker.stopping."""
    stopping = False

    def __init__(self, ns, fn, *args):
        rfd, wfd = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                signal.alarm(0)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.signal(signal.SIGTERM, Worker._stop)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                _die_with_parent()
                os.close(rfd)
                if ns:
                    _setns(ns)
                try:
                    out = (True, fn(*args))
                except BaseException:
                    out = (False, traceback.format_exc())
                with os.fdopen(wfd, "wb") as f:
                    pickle.dump(out, f)
                status = 0
            finally:
                os._exit(status)
        os.close(wfd)
        self.fd = rfd

    @staticmethod
    def _stop(_sig, _frame):
        Worker.stopping = True

    def result(self, timeout=60):
        """What fn returned; the child has gone then."""
        end, data = time.monotonic() + timeout, b""
        try:
            while True:
                left = end - time.monotonic()
                if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                    raise Timeout("a child did not answer within %g s" % timeout)
                piece = os.read(self.fd, 1 << 20)
                if not piece:
                    break
                data += piece
        finally:
            self.kill()
        if not data:
            raise RuntimeError("a child died")
        ok, value = pickle.loads(data)
        if not ok:
            raise RuntimeError("in a child:\n" + value)
        return value

    def stop(self, timeout=60):
        os.kill(self.pid, signal.SIGTERM)
        return self.result(timeout)

    def kill(self):
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        self.pid = None


def in_ns(ns, fn, *args, timeout=60):
    return Worker(ns, fn, *args).result(timeout)


def run(*cmd, ns=None, check=True, timeout=60, **kw):
    """Output of a command; in a network namespace, with our mounts (bpffs)."""
    if ns:
        cmd = ("nsenter", "--net=/run/netns/" + ns, "--") + cmd
    r = subprocess.run(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, timeout=timeout, **kw)
    if check and r.returncode:
        raise RuntimeError("%s: exit %d: %s" % (" ".join(cmd), r.returncode,
                                                (r.stderr or r.stdout).strip()))
    return r.stdout if check else r


class Lab:
    """Namespaces as scripts/lab makes them; lab.node, lab.pod1, lab.behind1 are their names."""

    def __init__(self, name, pods=1, bridge=False, mtu=1500, tx=True, behind=False):
        self.name = name
        args = ["--pods", str(pods), "--mtu", str(mtu), "--tx", "on" if tx else "off"]
        args += ["--bridge"] * bridge + ["--behind"] * behind
        self.up = False
        run(ROOT + "/scripts/lab", "up", name, *args)
        self.up = True

    def __getattr__(self, who):
        if who.startswith("_"):
            raise AttributeError(who)
        return "%s-%s" % (self.name, who)

    def down(self):
        if self.up:
            self.up = False
            run(ROOT + "/scripts/lab", "down", self.name)


def eventually(fn, timeout, what):
    """The first true value of fn(); polls. Returns (value, seconds it took)."""
    start = time.monotonic()
    while True:
        v = fn()
        took = time.monotonic() - start
        if v:
            return v, took
        if took > timeout:
            raise AssertionError("not within %g s: %s" % (timeout, what))
        time.sleep(0.01)


def check(cond, *what):
    if not cond:
        raise AssertionError(" ".join(str(w) for w in what))


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what, got, want))


def compile_bpf(t, name):
    """The object file of tests/e2e/NAME.bpf.c."""
    obj = t.path(name + ".o")
    run("clang", "-O2", "-g", "-target", "bpf", "-isystem",
        "/usr/include/" + run("cc", "-print-multiarch").strip(), "-c",
        "%s/tests/e2e/%s.bpf.c" % (ROOT, name), "-o", obj)
    return obj


# ---- questions ----

def query(qname, qtype="A", edns=1232, **kw):
    """A query in wire form. edns: the size, or None for a query without OPT."""
    m = dns.message.make_query(qname, qtype, use_edns=edns is not None,
                               payload=edns if edns is not None else None, **kw)
    m.id = random.getrandbits(16)
    return m.to_wire()


def _family(addr):
    return socket.AF_INET6 if ":" in addr else socket.AF_INET


def udp_socket(addr, port, options=()):
    s = socket.socket(_family(addr), socket.SOCK_DGRAM)
    for level, name, value in options:
        s.setsockopt(level, name, value)
    s.connect((addr, port))
    return s


def _recv(s, timeout):
    """A datagram or None. "Connection refused" is an ICMP message: nobody listens there."""
    with contextlib.suppress(ConnectionRefusedError):
        return s.recv(65535) if select.select([s], [], [], timeout)[0] else None
    return None


def _send(s, data):
    try:
        s.send(data)
    except ConnectionRefusedError:  # of an earlier datagram
        s.send(data)


def _udp(server, wires, timeout, port, options):
    """One reply, or None, for each datagram."""
    out = []
    with udp_socket(server, port, options) as s:
        for w in wires:
            _send(s, w)
            r = _recv(s, timeout)
            # a late reply to an earlier question is none to this one
            while r is not None and len(w) > 1 and r[:2] != w[:2]:
                r = _recv(s, timeout)
            out.append(r)
    return out


def _tcp(server, wires, timeout, port):
    out = []
    with socket.create_connection((server, port), timeout) as s:
        for w in wires:
            s.sendall(len(w).to_bytes(2, "big") + w)
            data = b""
            while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
                piece = s.recv(65535)
                if not piece:
                    break
                data += piece
            out.append(data[2:])
    return out


def exchange(ns, server, wires, timeout=1.0, port=53, tcp=False, options=()):
    """Sends datagrams (or messages over TCP) one after the other, from a namespace."""
    if tcp:
        return in_ns(ns, _tcp, server, wires, timeout, port)
    return in_ns(ns, _udp, server, wires, timeout, port, options)


def ask(ns, server, qname, qtype="A", edns=1232, timeout=1.0, port=53, tcp=False, options=()):
    """The reply as a dns.message, or None when there was none."""
    r = exchange(ns, server, [query(qname, qtype, edns)], timeout, port, tcp, options)[0]
    return dns.message.from_wire(r) if r is not None else None


def data(reply, section="answer"):
    """Record data of a section, sorted; None when there was no reply."""
    if reply is None:
        return None
    return sorted(r.to_text() for rrset in getattr(reply, section) for r in rrset)


def rcode(reply):
    return "none" if reply is None else dns.rcode.to_text(reply.rcode())


def answers(reply):
    """rcode and data of the answer section in one comparable value."""
    return (rcode(reply), data(reply))


# ---- frames made by hand ----

def csum(b):
    b += b"\0" * (len(b) & 1)
    n = sum(struct.unpack("!%dH" % (len(b) // 2), b))
    while n >> 16:
        n = (n & 0xffff) + (n >> 16)
    return ~n & 0xffff


def udp4(src, dst, sport, payload, udp_len=None, ip_len=None, bad_csum=False):
    udp_len = 8 + len(payload) if udp_len is None else udp_len
    ip_len = 28 + len(payload) if ip_len is None else ip_len
    src, dst = socket.inet_aton(src), socket.inet_aton(dst)
    udp = struct.pack("!4H", sport, 53, udp_len, 0) + payload
    c = csum(src + dst + struct.pack("!HH", 17, udp_len) + udp[:udp_len]) or 0xffff
    udp = struct.pack("!4H", sport, 53, udp_len, c ^ (0x5555 if bad_csum else 0)) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, ip_len, 7, 0, 64, 17, 0) + src + dst
    return ip[:10] + struct.pack("!H", csum(ip)) + ip[12:] + udp


def udp6(src, dst, sport, payload, udp_len=None, ip_len=None, bad_csum=False):
    udp_len = 8 + len(payload) if udp_len is None else udp_len
    ip_len = 8 + len(payload) if ip_len is None else ip_len
    src, dst = (socket.inet_pton(socket.AF_INET6, a) for a in (src, dst))
    udp = struct.pack("!4H", sport, 53, udp_len, 0) + payload
    c = csum(src + dst + struct.pack("!II", udp_len, 17) + udp[:udp_len]) or 0xffff
    udp = struct.pack("!4H", sport, 53, udp_len, c ^ (0x5555 if bad_csum else 0)) + payload
    return struct.pack("!IHBB", 0x60000000, ip_len, 17, 64) + src + dst + udp


def mac(ns, dev):
    return bytes.fromhex(json.loads(run("ip", "-j", "link", "show", dev, ns=ns))[0]["address"]
                         .replace(":", ""))


def _frames(dev, frames, source, sport, timeout):
    out = []
    with socket.socket(_family(source), socket.SOCK_DGRAM) as s, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        s.bind((source, sport))
        raw.bind((dev, 0))
        for f in frames:
            raw.send(f)
            out.append(_recv(s, timeout))
    return out


def exchange_frames(ns, dev, frames, source, sport, timeout=1.0):
    """Sends frames as they are; what a socket on (source, sport) gets after each."""
    return in_ns(ns, _frames, dev, frames, source, sport, timeout)


# ---- listeners ----

def _echo(addrs, port, ready):
    socks = []
    for a in addrs:
        s = socket.socket(_family(a), socket.SOCK_DGRAM)
        if _family(a) == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind((a, port))
        socks.append(s)
    os.write(ready, b"1")
    n = 0
    while not Worker.stopping:
        for s in select.select(socks, [], [], 0.1)[0]:
            payload, peer = s.recvfrom(65535)
            n += 1
            s.sendto(payload, peer)
    return n


def ready_worker(ns, fn, *args, timeout=10):
    """A Worker that runs fn(*args, ready), once it has written a byte to `ready`."""
    rfd, wfd = os.pipe()
    w = Worker(ns, fn, *args, wfd)
    os.close(wfd)
    ok = select.select([rfd], [], [], timeout)[0] and os.read(rfd, 1)
    os.close(rfd)
    if not ok:
        w.result(1)  # says why, and ends it
    return w


def serve(t, ns, fn, *args):
    """The same, until the test ends."""
    w = ready_worker(ns, fn, *args)
    t.defer(w.kill)
    return w


def echo_server(t, ns, addrs=(DNS4, DNS6), port=53):
    """A UDP listener that sends back what it gets: it stands for the cluster DNS, and proves that
    what the fast path leaves arrives byte for byte. stop() returns how many it got."""
    return serve(t, ns, _echo, addrs, port)


def _asker(server, questions, rate):
    """Asks in turn at a steady rate; counts what is lost or wrong."""
    stats = {"asked": 0, "lost": 0, "wrong": 0, "seconds": 0.0, "first_bad": []}
    start = nexttime = time.monotonic()
    with udp_socket(server, 53) as s:
        while not Worker.stopping:
            qname, qtype, want = questions[stats["asked"] % len(questions)]
            w = query(qname, qtype)
            stats["asked"] += 1
            _send(s, w)
            r = _recv(s, 0.5)
            while r is not None and r[:2] != w[:2]:
                r = _recv(s, 0.5)
            got = answers(dns.message.from_wire(r)) if r is not None else None
            if got != want:
                stats["lost" if got is None else "wrong"] += 1
                if len(stats["first_bad"]) < 5:
                    stats["first_bad"].append((round(time.monotonic() - start, 3), qname, got))
            nexttime = max(nexttime + 1 / rate, time.monotonic() - 0.1)
            time.sleep(max(0, nexttime - time.monotonic()))
    stats["seconds"] = time.monotonic() - start
    return stats


def asker(t, ns, server, questions, rate=200):
    """Asks questions [(qname, qtype, (rcode, data))] until stop(), which returns the counts."""
    w = Worker(ns, _asker, server, questions, rate)
    t.defer(w.kill)
    return w


class Capture:
    """tcpdump on an interface into a file."""

    def __init__(self, t, ns, dev, path, what="udp"):
        self.path = path
        self.p = subprocess.Popen(
            ["nsenter", "--net=/run/netns/" + ns, "--", "tcpdump", "-U", "--immediate-mode", "-n",
             "-s", "2048", "-B", "32768", "-Z", "root", "-i", dev, "-w", path, what], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=_die_with_parent)
        t.defer(self.stop)
        line = b""
        while b"listening" not in line:
            line = self.p.stderr.readline()
            if not line:
                raise RuntimeError("tcpdump ended on %s %s" % (ns, dev))

    def stop(self):
        if self.p.poll() is None:
            time.sleep(0.1)
            self.p.send_signal(signal.SIGINT)
            self.p.wait(10)
        self.p.stderr.close()

    def fields(self, display_filter, *names):
        self.stop()
        cmd = ["tshark", "-n", "-r", self.path, "-o", "udp.check_checksum:TRUE", "-o",
               "ip.check_checksum:TRUE", "-Y", display_filter, "-T", "fields"]
        for n in names:
            cmd += ["-e", n]
        return [line.split("\t") for line in run(*cmd).splitlines()]


# ---- kbdnsd ----

class Daemon:
    """kbdnsd in a node's namespace, with its own run directory and place in the bpffs."""

    def __init__(self, t, lab, *args, run_dir=None, bpffs=None, wait="full", binary=KBDNSD):
        self.t, self.node, self.args = t, lab.node, args
        self.run_dir = run_dir or os.path.join(t.tmp, "run%d" % t.serial())
        self.bpffs = bpffs or os.path.join(t.bpffs, "kbdns%d" % t.serial())
        self.log_path = self.run_dir + ".log"
        self.binary = binary
        self.p = None
        t.defer(self.kill)
        self.start(wait)

    def start(self, wait="full", args=None, env=None):
        if args is not None:
            self.args = args
        self.log_from = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.p = subprocess.Popen(
                ["nsenter", "--net=/run/netns/" + self.node, "--", self.binary, "--foreground",
                 "--run-dir", self.run_dir, "--bpffs", self.bpffs, "--resolv-conf", "/dev/null",
                 *self.args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_die_with_parent,
                env={**os.environ, **(env or {})})
        if wait:
            self.wait_state(wait)

    def log(self):
        """What it logged since it was last started."""
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            f.seek(self.log_from)
            return f.read()

    def wait_state(self, state, timeout=20):
        def there():
            if self.p.poll() is not None:
                raise AssertionError("kbdnsd ended (%d): %s" % (self.p.returncode, self.log()[-800:]))
            r = self.ctl_raw("status")
            return r.returncode == 0 and json.loads(r.stdout)["state"] == state
        eventually(there, timeout, "state %s; log: %s" % (state, self.log()[-800:]))

    def ctl_raw(self, *args, json_out=True):
        return run(KBDNSCTL, "-s", self.run_dir + "/kbdnsd.sock", *(["--json"] * json_out), *args,
                   check=False, timeout=15)

    def ctl(self, *args):
        r = self.ctl_raw(*args)
        if r.returncode:
            raise AssertionError("kbdnsctl %s: exit %d: %s" % (" ".join(args), r.returncode,
                                                               r.stderr or r.stdout))
        return json.loads(r.stdout)

    def counters(self, engine):
        return self.ctl("stats")["engines"][engine]

    @contextlib.contextmanager
    def counted(self, engine):
        """Yields a dict that holds, after the block, the counters that have changed."""
        before, diff = self.counters(engine), {}
        yield diff
        for k, v in self.counters(engine).items():
            if v != before[k]:
                diff[k] = v - before[k]

    def hup(self):
        self.p.send_signal(signal.SIGHUP)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        self.p.send_signal(sig)
        try:
            return self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            raise AssertionError("kbdnsd did not end within %g s" % timeout) from None

    def kill(self):
        if self.p and self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def answered(counters):
    """Of a difference of counters: how many queries were answered."""
    return sum(v for k, v in counters.items() if k.startswith("answered_"))


def left(counters):
    return {k: v for k, v in counters.items() if k.startswith(("left_", "dropped_"))}


# ---- a test ----

class Test:
    def __init__(self, limit_s):
        self.limit_s, self.failed, self.n = limit_s, 0, 0
        self.name = "e2e-%d-%x" % (os.getpid(), random.getrandbits(16))
        self.stack = contextlib.ExitStack()

    def defer(self, fn, *args):
        self.stack.callback(self._quietly, fn, *args)

    @staticmethod
    def _quietly(fn, *args):
        try:
            fn(*args)
        except Exception as e:
            print("# clean-up: %s" % e, flush=True)

    def serial(self):
        self.n += 1
        return self.n

    def __enter__(self):
        def on_alarm(_sig, _frame):
            raise Timeout("time limit of %d s" % self.limit_s)

        def on_term(sig, _frame):
            raise SystemExit(128 + sig)
        signal.signal(signal.SIGALRM, on_alarm)
        signal.signal(signal.SIGTERM, on_term)
        signal.signal(signal.SIGHUP, on_term)
        signal.alarm(self.limit_s)
        if os.geteuid() != 0:
            print("skip all # needs root")
            sys.exit(0)
        for f in (KBDNSD, KBDNSCTL):
            if not os.access(f, os.X_OK):
                print("not ok build # %s is missing, run make" % f)
                sys.exit(1)
        self.tmp = tempfile.mkdtemp(prefix="kbdns-e2e-")
        self.defer(shutil.rmtree, self.tmp, True)
        os.chmod(self.tmp, 0o755)
        self.bpffs = os.path.join(self.tmp, "bpffs")
        os.mkdir(self.bpffs)
        run("mount", "-t", "bpf", "bpffs", self.bpffs)
        self.defer(run, "umount", self.bpffs)
        return self

    def __exit__(self, kind, value, tb):
        if kind not in (None, SystemExit):
            self.failed += 1
            print("not ok %s # outside a case" % kind.__name__)
            self._comment("".join(traceback.format_exception(kind, value, tb)))
        elif kind is SystemExit:
            self.failed += value.code not in (0, None)
        signal.alarm(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.stack.close()
        sys.stdout.flush()
        sys.exit(1 if self.failed else 0)

    @staticmethod
    def _comment(text):
        for line in text.rstrip().splitlines():
            print("#   " + line)

    @contextlib.contextmanager
    def case(self, name):
        try:
            yield
        except Skip as e:
            print("skip %s # %s" % (name, e), flush=True)
        except Timeout:
            print("not ok %s # time limit" % name, flush=True)
            raise
        except Exception as e:
            self.failed += 1
            print("not ok %s" % name)
            if isinstance(e, AssertionError):
                line = traceback.extract_tb(e.__traceback__)[1 if len(
                    traceback.extract_tb(e.__traceback__)) > 1 else 0]
                self._comment("line %d: %s" % (line.lineno, e))
            else:
                self._comment(traceback.format_exc())
            sys.stdout.flush()
        else:
            print("ok %s" % name, flush=True)

    def note(self, text):
        print("# " + text, flush=True)

    def lab(self, **kw):
        lab = Lab("%s-%d" % (self.name, self.serial()), **kw)
        self.defer(lab.down)
        return lab

    def daemon(self, lab, *args, **kw):
        return Daemon(self, lab, *args, **kw)

    def path(self, name):
        return os.path.join(self.tmp, name)
