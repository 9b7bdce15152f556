# SPDX-License-Identifier: Apache-2.0
"""Real DNS servers in a lab's node: nsd with zones that the test signs itself, unbound that
validates them, and CoreDNS. Each function returns when the server answers."""
import os
import subprocess

import dns.message

from lab import ROOT, _die_with_parent, eventually, exchange, query, run

ZONE = """$ORIGIN %(zone)s.
$TTL 600
@ IN SOA ns host 1 3600 600 86400 300
@ IN NS ns
@ IN MX 10 www
ns IN A %(addr)s
www IN A 192.0.2.1
www IN A 192.0.2.2
www IN AAAA 2001:db8::1
alias IN CNAME www
alias2 IN CNAME alias
away IN CNAME www.plain.test.
broken IN CNAME none
*.wild IN A 192.0.2.3
a.b.ent IN TXT "an empty non-terminal is above"
host.sub IN A 192.0.2.4
tree IN DNAME sub
_sip._udp IN SRV 1 2 5060 www
forged IN A 192.0.2.66
%(many)s
"""


def _start(t, ns, addr, probe, *cmd):
    log = t.path("%s-%s.log" % (os.path.basename(cmd[0]), addr))
    with open(log, "ab") as f:
        p = subprocess.Popen(["nsenter", "--net=/run/netns/" + ns, "--", *cmd], stdin=subprocess.DEVNULL,
                             stdout=f, stderr=f, preexec_fn=_die_with_parent)
    t.defer(p.wait)
    t.defer(p.kill)

    def there():
        if p.poll() is not None:
            with open(log, encoding="utf-8", errors="replace") as f:
                raise RuntimeError("%s ended: %s" % (cmd[0], f.read()[-800:]))
        r = exchange(ns, addr, [query(probe, "SOA")], 0.3)[0]
        return r is not None and dns.message.from_wire(r).rcode() == 0
    eventually(there, 60, "%s answers" % cmd[0])
    return p


def signed_zone(t, zone, addr, nsec3=False, forge=False):
    """Makes and signs a zone; returns (path of the zone, DNSKEY record of its one key). forge:
    one address is changed after signing."""
    path = t.path(zone + ".zone")
    many = "\n".join('many IN TXT "%s"' % ("%03d" % i * 30) for i in range(40))
    with open(path, "w", encoding="utf-8") as f:
        f.write(ZONE % {"zone": zone, "addr": addr, "many": many})
    key = run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", zone + ".", cwd=t.tmp).strip()
    run("ldns-signzone", *(["-n", "-s", "abcd", "-t", "1"] * nsec3), "-f", path + ".signed", path, key, cwd=t.tmp)
    if forge:
        with open(path + ".signed", encoding="utf-8") as f:
            text = f.read()
        with open(path + ".signed", "w", encoding="utf-8") as f:
            f.write(text.replace("192.0.2.66", "203.0.113.66"))
    with open(t.path(key + ".key"), encoding="utf-8") as f:
        return path + ".signed", f.read().split(";")[0].strip()


def plain_zone(t, zone, addr):
    path = t.path(zone + ".zone")
    with open(path, "w", encoding="utf-8") as f:
        f.write(ZONE % {"zone": zone, "addr": addr, "many": ""})
    return path


def nsd(t, ns, addr, zones):
    """Authoritative for {zone: path}."""
    conf = t.path("nsd.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write('server:\n  ip-address: %s\n  username: ""\n  chroot: ""\n  pidfile: ""\n  database: ""\n'
                '  zonelistfile: "%s"\n  xfrdfile: "%s"\n  xfrdir: "%s"\n  zonesdir: "%s"\n'
                '  round-robin: no\n'
                'remote-control:\n  control-enable: no\n' % (addr, t.path("nsd.list"), t.path("nsd.xfrd"), t.tmp, t.tmp))
        for zone, path in zones.items():
            f.write('zone:\n  name: "%s"\n  zonefile: "%s"\n' % (zone, path))
    return _start(t, ns, addr, next(iter(zones)), "nsd", "-d", "-c", conf)


def unbound(t, ns, addr, zones, anchors, server):
    """A validating resolver that asks `server` for the zones. anchors: DNSKEY records."""
    conf = t.path("unbound.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write('server:\n  interface: %s\n  do-daemonize: no\n  use-syslog: no\n  username: ""\n  chroot: ""\n'
                '  directory: "%s"\n  pidfile: ""\n  access-control: 127.0.0.0/8 allow\n'
                '  do-not-query-localhost: no\n  module-config: "validator iterator"\n'
                '  local-zone: "test." nodefault\n  rrset-roundrobin: no\n  aggressive-nsec: no\n' % (addr, t.tmp))
        f.writelines("  trust-anchor: '%s'\n" % a for a in anchors)
        f.write('remote-control:\n  control-enable: no\n')
        for zone in zones:
            f.write('stub-zone:\n  name: "%s"\n  stub-addr: %s\n' % (zone, server))
    return _start(t, ns, addr, zones[0], "unbound", "-c", conf)


def coredns(t, ns, addr, forward, zone, path):
    """CoreDNS: authoritative for one zone, the rest forwarded."""
    run(ROOT + "/tests/cluster/build", "coredns", timeout=2400)
    conf = t.path("Corefile")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(".:53 {\n  bind %s\n  errors\n  file %s %s\n  forward . %s\n}\n" % (addr, path, zone, forward))
    return _start(t, ns, addr, zone, ROOT + "/build/cluster/coredns", "-conf", conf)
