package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/dnslab"
)

// zones are the names that the checks look up: the sender's domain, and the
// client's name forward and backward.
func zones() dnslab.Zones {
	return dnslab.Text(`
sender.test. MX 10 mail.sender.test.
mail.sender.test. A 192.0.2.10
` + load.Helo + `. A 127.0.0.1
1.0.0.127.in-addr.arpa. PTR ` + load.Helo + `.
served.test. MX 10 mx.gatepost.test.
mx.gatepost.test. A 127.0.0.1
`)
}

// bootstrap is gatepost.toml of a measured daemon: the defaults, but that it
// listens on free ports and has no scanners.
func bootstrap(dir, dns string) string {
	return fmt.Sprintf(`hostname = "mx.gatepost.test"
state_dir = %q
[[listener]]
name = "smtp"
addresses = ["127.0.0.1:0"]
[dns]
servers = [%q]
[web]
metrics = "127.0.0.1:0"
[clamav]
addresses = []
[spamassassin]
addresses = []
`, lab.StateDir(dir), dns)
}

// policy is policy.toml: the defaults, with the scanners off.
func policy(hop string) (string, error) {
	host, port, err := net.SplitHostPort(hop)
	if err != nil {
		return "", fmt.Errorf("policy: %w", err)
	}
	return fmt.Sprintf(`[[route]]
name = "internal"
tls = "none"
[[route.next_hop]]
host = %q
port = %s
[[domain]]
name = "served.test"
route = "internal"
[checks.clamav]
action = "off"
[checks.spamassassin]
action = "off"
`, host, port), nil
}

// startDaemon starts a program as a daemon of its own, in a folder named after it
// below dir.
func startDaemon(ctx context.Context, b binary, dir, hop, dns string) (*lab.Gatepost, error) {
	own := filepath.Join(dir, b.name)
	text, err := policy(hop)
	if err != nil {
		return nil, err
	}
	g, err := lab.StartGatepost(ctx, own, lab.GatepostOptions{Config: bootstrap(own, dns), Policy: text, Binary: b.path})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	return g, nil
}
