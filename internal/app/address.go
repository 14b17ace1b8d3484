package app

import (
	"net"

	"github.com/grapnel/grapnel/internal/config"
)

// Dialable gives the address at which this machine reaches a listener: one that listens on every
// address is reached on loopback.
func Dialable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// ReceiverURL gives the URL of a receiver that listens on an address. The configuration, which may
// be nil, says whether it speaks TLS.
func ReceiverURL(c *config.Config, listen string) string {
	if c != nil && c.TLS != nil {
		return "https://" + Dialable(listen)
	}
	return "http://" + Dialable(listen)
}
