package lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// KnotOptions say what an authoritative name server has.
type KnotOptions struct {
	// Zones are its zones as master-file text, by their origins, each with its SOA and NS.
	Zones map[string]string
	// Transfers are the zones that it gets from the Knot at this host:port, and follows.
	From      string
	Transfers []string
	// Tell is the host:port of a Knot that is told of changes, and may transfer the zones.
	Tell string
}

// The key by which all zones may be updated (RFC 2136, RFC 8945).
const (
	KnotKey       = "gatepost-acme"
	KnotAlgorithm = "hmac-sha256"
)

// KnotSecret is its secret in base64: worth nothing, since it is known.
func KnotSecret() string {
	return base64.StdEncoding.EncodeToString([]byte("known to everybody who reads it."))
}

// Knot is a private authoritative name server.
type Knot struct {
	*Process
	Addr string // host:port, UDP and TCP
}

// StartKnot starts a Knot with its state in dir and waits until it answers.
func StartKnot(ctx context.Context, dir string, o KnotOptions, port *Port) (*Knot, error) {
	path, err := program("knotd", "knot")
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("nobody")
	if err != nil {
		return nil, err
	}
	if err := who.makeDirs(dir, filepath.Join(dir, "zones"), filepath.Join(dir, "run")); err != nil {
		return nil, err
	}
	port, own, err := portOr(port)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "knot.conf")
	if err := os.WriteFile(conf, []byte(o.config(dir, port.Number)), 0o644); err != nil {
		release(own)
		return nil, fmt.Errorf("knot: %w", err)
	}
	for name, text := range o.Zones {
		if err := who.write(filepath.Join(dir, "zones", name+".zone"), text); err != nil {
			release(own)
			return nil, fmt.Errorf("knot: %w", err)
		}
	}
	k := &Knot{Addr: port.Addr()}
	k.Process, err = start(command{name: "knot", path: path, args: []string{"-c", conf}, dir: dir, owner: who, log: filepath.Join(dir, "knot.log"), ports: own})
	if err != nil {
		release(own)
		return nil, err
	}
	return k, k.awaitReady(ctx, func() bool {
		c, err := net.DialTimeout("tcp", k.Addr, time.Second)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
}

// write makes a file that belongs to the owner.
func (o owner) write(name, text string) error {
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return err
	}
	return os.Chown(name, o.uid, o.gid)
}

// config is its knot.conf(5).
func (o *KnotOptions) config(dir string, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  rundir: %[1]s/run
  listen: 127.0.0.1@%[2]d
  udp-workers: 1
  tcp-workers: 2
  background-workers: 1
log:
  - target: stderr
    any: info
database:
  storage: %[1]s/run
key:
  - id: %[3]s
    algorithm: %[4]s
    secret: %[5]s
`, dir, port, KnotKey, KnotAlgorithm, KnotSecret())
	remote := func(id, at string) {
		if at != "" {
			fmt.Fprintf(&b, "  - id: %s\n    address: %s\n", id, strings.Replace(at, ":", "@", 1))
		}
	}
	if o.From != "" || o.Tell != "" {
		b.WriteString("remote:\n")
		remote("from", o.From)
		remote("tell", o.Tell)
	}
	fmt.Fprintf(&b, `acl:
  - id: update
    key: %s
    action: update
    update-type: [TXT]
  - id: near
    address: 127.0.0.0/8
    action: [transfer, notify]
template:
  - id: default
    storage: %s/zones
    zonefile-sync: -1
    zonefile-load: difference
    journal-content: all
    acl: [update, near]
zone:
`, KnotKey, dir)
	for name := range o.Zones {
		fmt.Fprintf(&b, "  - domain: %s\n    file: %s.zone\n", name, name)
		if o.Tell != "" {
			b.WriteString("    notify: tell\n")
		}
	}
	for _, name := range o.Transfers {
		fmt.Fprintf(&b, "  - domain: %s\n    master: from\n", name)
	}
	return b.String()
}
