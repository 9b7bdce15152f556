package main

import (
	_ "github.com/miekg/dns"
	_ "golang.org/x/sys/unix"
	_ "k8s.io/client-go/kubernetes"
)

func main() {}
