package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/http2"
)

// newTransport gives one HTTP/2 connection nobody else shares.
func newTransport(tlsc *tls.Config) http.RoundTripper {
	t := &http.Transport{
		TLSClientConfig:     tlsc,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 64,
		// the answers are small and mostly thrown away
		DisableCompression: true,
	}
	_, _ = http2.ConfigureTransports(t)
	return t
}
