package main

import (
	"net/netip"
	"testing"

	"gatepost/internal/config"
)

// What strangers may hold open at the listener public is wanted beside what mail needs: else a flood there would leave no
// descriptor for a connection of mail.
func TestDescriptorsWanted(t *testing.T) {
	c := &config.Config{Bootstrap: &config.Bootstrap{}, Policy: &config.Policy{}}
	c.Policy.Limits.Connections = 1000
	without := descriptorsWanted(c)
	if without < perSession*1000 {
		t.Errorf("%d for 1000 connections", without)
	}
	at := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80")}
	c.Bootstrap.Web.PublicHTTP = at
	if n := descriptorsWanted(c); n != without+publicConnections {
		t.Errorf("%d with http, %d without", n, without)
	}
	c.Bootstrap.Web.PublicHTTP, c.Bootstrap.Web.PublicHTTPS = nil, at
	if n := descriptorsWanted(c); n != without+publicConnections {
		t.Errorf("%d with https, %d without", n, without)
	}
}
