// Tests and benchmarks only: nothing that ships is built from this module.
module kbdns.test/cluster/coredns

go 1.25.0

tool github.com/coredns/coredns

require github.com/coredns/coredns v1.14.7
