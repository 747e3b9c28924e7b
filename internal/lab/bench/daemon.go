package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

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

// daemon is a program with a configuration that differs from what is shipped in
// what is named here.
type daemon struct {
	binary
	noLog  bool     // the message log is full from the start, and takes no event
	listen string   // empty: a free port
	env    []string // NAME=VALUE
	tables string   // sections of policy.toml
	hop    string   // its next hop; empty: the sink of the run
	route  string   // lines of the route
	spools bool     // its spool has room for a run
}

// plain are all programs as they are shipped.
func (b binaries) plain() []daemon {
	var out []daemon
	for _, program := range b {
		out = append(out, daemon{binary: program})
	}
	return out
}

// bootstrap is gatepost.toml of a measured daemon: the defaults, but that it
// listens on free ports and has no scanners.
func (d daemon) bootstrap(dir, dns string) string {
	listen := d.listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	text := fmt.Sprintf(`hostname = "mx.gatepost.test"
state_dir = %q
[[listener]]
name = "smtp"
addresses = [%q]
[dns]
servers = [%q]
[web]
metrics = "127.0.0.1:0"
console = ""
[clamav]
addresses = []
[spamassassin]
addresses = []
`, lab.StateDir(dir), listen, dns)
	if d.noLog {
		text += "[log]\nkeep_bytes = \"16M\"\n"
	}
	if d.spools {
		text += "[spool]\nmax_messages = 1000000\nmax_bytes = \"100G\"\n"
	}
	return text
}

// document is policy.toml: the defaults, with the scanners off.
func (d daemon) document(hop string) (string, error) {
	host, port, err := net.SplitHostPort(hop)
	if err != nil {
		return "", fmt.Errorf("policy: %w", err)
	}
	return fmt.Sprintf(`[[route]]
name = "internal"
tls = "none"
%s[[route.next_hop]]
host = %q
port = %s
[[domain]]
name = "served.test"
route = "internal"
[checks.clamav]
action = "off"
[checks.spamassassin]
action = "off"
`, d.route, host, port) + d.tables, nil
}

// fillLog makes today's file of the message log larger than all of it may be, so
// that the daemon keeps no event: there is no key that switches the log off, and
// what it costs is the difference. The file has a hole in it and takes no room.
func fillLog(dir string) error {
	folder := filepath.Join(lab.StateDir(dir), "log")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, day := range []time.Time{time.Now(), time.Now().Add(24 * time.Hour)} {
		f, err := os.Create(filepath.Join(folder, "log-"+day.UTC().Format(time.DateOnly)+".db"))
		if err != nil {
			return err
		}
		if err := errors.Join(f.Truncate(32<<20), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// launch starts a daemon in a new folder.
func (b *bench) launch(ctx context.Context, d daemon) (*lab.Gatepost, error) {
	dir, err := os.MkdirTemp(b.dir, "gatepost-")
	if err != nil {
		return nil, err
	}
	return b.launchIn(ctx, d, dir)
}

// launchIn starts a daemon in a folder, which may be that of one before.
func (b *bench) launchIn(ctx context.Context, d daemon, dir string) (*lab.Gatepost, error) {
	if d.noLog {
		if err := fillLog(dir); err != nil {
			return nil, fmt.Errorf("%s: log: %w", d.name, err)
		}
	}
	hop := d.hop
	if hop == "" {
		hop = b.sink.Addr()
	}
	text, err := d.document(hop)
	if err != nil {
		return nil, err
	}
	g, err := lab.StartGatepost(ctx, dir, lab.GatepostOptions{Config: d.bootstrap(dir, b.dns), Policy: text, Binary: d.path, Env: d.env})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return g, nil
}

// targetOf is a daemon that runs.
func targetOf(name string, g *lab.Gatepost) target {
	return target{name: name, addr: g.Addr("smtp"), part: part{pid: g.PID()}, daemon: g}
}

// start starts a section's targets: the sink itself, the peers, and the daemons.
// stop ends those that run, with or without an error.
func (b *bench) start(ctx context.Context, peers words, daemons []daemon) (stop func() error, err error) {
	b.targets = []target{{name: "direct", addr: b.sink.Addr(), part: part{pid: b.sink.PID()}}}
	var running []func() error
	stop = func() (err error) {
		for _, end := range running {
			err = errors.Join(err, end())
		}
		return err
	}
	for _, name := range peers {
		t, end, err := b.startPeer(ctx, name, b.dir)
		if err != nil {
			return stop, err
		}
		running = append(running, end)
		b.targets = append(b.targets, t)
	}
	for _, d := range daemons {
		g, err := b.launch(ctx, d)
		if err != nil {
			return stop, err
		}
		running = append(running, g.Stop)
		b.targets = append(b.targets, targetOf(d.name, g))
	}
	return stop, nil
}
