package main

import (
	_ "golang.org/x/net/dns/dnsmessage"
	_ "golang.org/x/sys/unix"
	_ "k8s.io/client-go/kubernetes"
)

func main() {}
