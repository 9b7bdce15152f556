# SPDX-License-Identifier: Apache-2.0
"""A real API server of tests/cluster, and its objects as an administrator sees them."""
import http.client
import json
import os
import ssl

from lab import ROOT, in_ns, run

CLUSTER = ROOT + "/tests/cluster/"


def have(*more):
    """The name of a binary that is missing, or None."""
    for b in ("etcd", "kube-apiserver", "kbcluster", *more):
        if not os.access(ROOT + "/build/cluster/" + b, os.X_OK):
            return "build/cluster/%s is missing: run tests/cluster/build" % b
    return None


def _request(env, method, path, body):
    tls = ssl.create_default_context(cafile=env["KBC_CA"])
    tls.load_cert_chain(env["KBC_DIR"] + "/admin.crt", env["KBC_DIR"] + "/admin.key")
    c = http.client.HTTPSConnection(env["KBC_HOST"], int(env["KBC_PORT"]), timeout=15, context=tls)
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    c.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind})
    r = c.getresponse()
    text = r.read().decode()
    if r.status >= 300:
        raise RuntimeError("%s %s: %d %s" % (method, path, r.status, text))
    return json.loads(text)


class Server:
    def __init__(self, t, lab):
        self.ns, self.dir = lab.node, t.path("cluster")
        t.defer(run, CLUSTER + "down", "--dir", self.dir, "--wipe")
        run(CLUSTER + "up", "--dir", self.dir, "--netns", self.ns, timeout=120)
        self.env = {}
        with open(self.dir + "/env", encoding="utf-8") as f:
            for line in f:
                k, v = line.rstrip("\n").split("=", 1)
                self.env[k] = v.strip("'")

    def __call__(self, method, path, body=None):
        return in_ns(self.ns, _request, self.env, method, path, body)
