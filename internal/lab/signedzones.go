package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// sign writes the file of a zone, and a file with what the zone above says about it.
func (s *Signed) sign(ctx context.Context, z Zone) error {
	plain := filepath.Join(s.dir, "keys", z.fqdn()+"plain")
	if err := write(plain, s.text(z)); err != nil {
		return err
	}
	if z.Signing == Unsigned {
		return errors.Join(write(s.file(z), s.text(z)), write(s.above(z), ""))
	}
	if err := s.makeKey(ctx, z.fqdn()); err != nil {
		return err
	}
	args := []string{"-S", "-z", "-P", "-K", filepath.Join(s.dir, "keys"), "-d", filepath.Join(s.dir, "keys"), "-o", z.fqdn(), "-f", s.file(z)}
	if z.Signing == Expired {
		end := time.Now().UTC().Add(-7 * 24 * time.Hour) // a validator overlooks up to a day
		args = append(args, "-s", end.Add(-30*24*time.Hour).Format("20060102150405"), "-e", end.Format("20060102150405"))
	}
	if out, err := s.run(ctx, "dnssec-signzone", append(args, plain)...); err != nil {
		return fmt.Errorf("zone %s: %w: %s", z.Name, err, out)
	}
	ds, err := os.ReadFile(filepath.Join(s.dir, "keys", "dsset-"+z.fqdn()))
	if err != nil {
		return err
	}
	switch z.Signing {
	case Stripped:
		err = write(s.file(z), s.text(z))
	case OtherKey:
		if err = s.makeKey(ctx, "other."+z.fqdn()); err == nil {
			ds, err = s.run(ctx, "dnssec-dsfromkey", "-2", s.keyFile("other."+z.fqdn()))
			ds = []byte(strings.Replace(string(ds), "other."+z.fqdn(), z.fqdn(), 1))
		}
	}
	return errors.Join(err, write(s.above(z), string(ds)))
}

// signRoot writes the zone above all others and its key.
func (s *Signed) signRoot(ctx context.Context) error {
	root := Zone{Text: "ns A 127.0.0.1\n"}
	for _, z := range s.zones {
		ds, err := os.ReadFile(s.above(z))
		if err != nil {
			return err
		}
		root.Text += z.fqdn() + " NS ns." + SignedRoot + ".\n" + string(ds)
	}
	if err := s.sign(ctx, root); err != nil {
		return err
	}
	key, err := os.ReadFile(s.keyFile(root.fqdn()))
	if err != nil {
		return err
	}
	return write(s.Anchor, string(key))
}

func (s *Signed) above(z Zone) string { return filepath.Join(s.dir, "keys", z.fqdn()+"above") }

// keyFile is the file with the public key of a zone; "" where it has none.
func (s *Signed) keyFile(zone string) string {
	found, _ := filepath.Glob(filepath.Join(s.dir, "keys", "K"+zone+"+*.key"))
	return strings.Join(found, "")
}

// makeKey makes the key of a zone, unless it is there: it signs everything, itself too.
func (s *Signed) makeKey(ctx context.Context, zone string) error {
	if s.keyFile(zone) != "" {
		return nil
	}
	out, err := s.run(ctx, "dnssec-keygen", "-q", "-K", filepath.Join(s.dir, "keys"), "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
	if err != nil {
		return fmt.Errorf("key of %s: %w: %s", zone, err, out)
	}
	return nil
}

func (s *Signed) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	path, err := program(name, "bind9-utils")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = filepath.Join(s.dir, "keys")
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return []byte(complaints.String()), err
	}
	return out, nil
}

// startKnot starts the server of the zones.
func (s *Signed) startKnot(ctx context.Context, who owner) error {
	path, err := program("knotd", "knot")
	if err != nil {
		return err
	}
	port, own, err := portOr(nil)
	if err != nil {
		return err
	}
	s.Server = port.Addr()
	if err = s.writeKnot(); err == nil {
		s.knot, err = start(command{name: "knotd", path: path, args: []string{"-c", filepath.Join(s.dir, "knot.conf")}, dir: s.dir, owner: who,
			log: filepath.Join(s.dir, "knot.log"), ports: own})
	}
	if err != nil {
		release(own)
		return err
	}
	return s.knot.awaitReady(ctx, s.knotHas)
}

// writeKnot writes its configuration.
func (s *Signed) writeKnot() error {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
    rundir: %[1]s
    listen: %[2]s
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: %[1]s/db
template:
  - id: default
    storage: %[1]s/zones
    file: "%%s.zone"
    journal-content: none
    zonefile-sync: -1
    zonefile-load: whole
zone:
`, s.dir, strings.Replace(s.Server, ":", "@", 1))
	for _, z := range append(slices.Clone(s.zones), Zone{}) {
		fmt.Fprintf(&b, "  - domain: %s\n    file: %s\n", z.fqdn(), s.file(z))
	}
	return write(filepath.Join(s.dir, "knot.conf"), b.String())
}

// reloadKnot makes it read everything anew, and waits until it has.
func (s *Signed) reloadKnot(ctx context.Context) error {
	if err := s.writeKnot(); err != nil {
		return err
	}
	if err := s.knot.Signal(hangUp); err != nil {
		return err
	}
	return s.knot.awaitReady(ctx, s.knotHas)
}

// knotHas reports whether it serves all zones as they were written last: the one above all is loaded anew each time.
func (s *Signed) knotHas() bool {
	for _, z := range append(slices.Clone(s.zones), Zone{}) {
		reply := s.ask(s.Server, z.fqdn(), wire.TypeSOA)
		if reply == nil || len(reply.Answer) == 0 {
			return false
		}
		if soa, ok := reply.Answer[0].(*wire.SOA); !ok || z.Name == "" && soa.Serial != s.serial {
			return false
		}
	}
	return true
}

// ask asks one question; nil where nothing comes.
func (s *Signed) ask(server, name string, typ uint16) *wire.Msg {
	q := new(wire.Msg).SetQuestion(name, typ)
	q.AuthenticatedData = true
	client := wire.Client{Timeout: 2 * time.Second}
	reply, _, err := client.Exchange(q, server)
	if err != nil {
		return nil
	}
	return reply
}
