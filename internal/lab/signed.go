package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gatepost/internal/lab/dnslab"
)

// SignedRoot is the zone that all zones of a Signed lie below. Its key is all that the resolver trusts.
const SignedRoot = "gp-lab"

// Signing is what is done to a zone, and what the zone above says about it.
type Signing string

// The ways to sign a zone, and to get it wrong.
const (
	SignedWell Signing = ""         // validates
	Unsigned   Signing = "unsigned" // delegated without DS: insecure, which is no failure
	Expired    Signing = "expired"  // the signatures were good until a week ago: bogus
	Stripped   Signing = "stripped" // the records without any signature, though DS says that there are some: bogus
	OtherKey   Signing = "otherkey" // DS is of a key that the zone does not have: bogus
)

// Zone is one zone of a Signed.
type Zone struct {
	// Name is its label below SignedRoot: "right" is the zone right.gp-lab.
	Name string
	// Text is its records as in a master file, names relative to the zone ("mx A 127.0.0.1"). SOA and NS are there. A record
	// without a TTL has 60 s, and an absence 5 s.
	Text    string
	Signing Signing
	// Dead are names in the zone (as "_tcp.mx") from which on every question is answered by a failure (SERVFAIL), as where
	// the servers of a delegated zone are away.
	Dead []string
}

// Signed is DNS with DNSSEC: knot serves zones that were signed beforehand, and unbound validates them from the key of
// SignedRoot. Names elsewhere do not exist. Nothing of it leaves this machine.
type Signed struct {
	Resolver string // host:port of the validating resolver
	Server   string // host:port of the server that has the zones
	Anchor   string // file with the key that is trusted
	// ResolvConf is a file that names the resolver on port 53, for programs that know no other place (see Private); "" when
	// we are not root.
	ResolvConf string

	knot, unbound *Process
	dir           string
	at53          string
	mu            sync.Mutex
	zones         []Zone
	dead          *dnslab.Server // of names that nobody can resolve
	serial        uint32
}

// StartSigned starts knot and unbound with their state in dir and waits until both answer.
func StartSigned(ctx context.Context, dir string, zones ...Zone) (*Signed, error) {
	s := &Signed{dir: dir, Anchor: filepath.Join(dir, "anchor"), serial: 1, zones: zones}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("signed zones: %w", err), s.Stop())
	}
	return s, nil
}

func (s *Signed) start(ctx context.Context) error {
	who, err := ownerNamed("nobody")
	if err != nil {
		return err
	}
	if s.dead, err = dnslab.Start(nil); err != nil {
		return err
	}
	s.dead.SetFault("*", dnslab.Fault{Kind: dnslab.ServFail})
	if err := who.makeDirs(s.dir, filepath.Join(s.dir, "zones"), filepath.Join(s.dir, "keys"), filepath.Join(s.dir, "db")); err != nil {
		return err
	}
	for _, z := range s.zones {
		if err := s.sign(ctx, z); err != nil {
			return err
		}
	}
	if err := s.signRoot(ctx); err != nil {
		return err
	}
	if err := s.startKnot(ctx, who); err != nil {
		return err
	}
	return s.startUnbound(ctx)
}

// Set changes zones, adding those that are new, and returns when the resolver has forgotten what was before.
func (s *Signed) Set(ctx context.Context, zones ...Zone) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial++
	for _, z := range zones {
		if err := s.sign(ctx, z); err != nil {
			return err
		}
		known := false
		for i := range s.zones {
			if s.zones[i].Name == z.Name {
				s.zones[i], known = z, true
			}
		}
		if !known {
			s.zones = append(s.zones, z)
		}
	}
	if err := s.signRoot(ctx); err != nil {
		return err
	}
	if err := s.reloadKnot(ctx); err != nil {
		return err
	}
	if err := s.writeUnbound(); err != nil {
		return err
	}
	if err := s.tell("reload"); err != nil { // its cache is empty then
		return err
	}
	return s.awaitUnbound(ctx)
}

// Flush makes the resolver forget all answers.
func (s *Signed) Flush(ctx context.Context) error {
	if err := s.tell("reload"); err != nil {
		return err
	}
	return s.awaitUnbound(ctx)
}

// PauseServer stops the server of the zones where it is: what the resolver does not know it cannot find out. ResumeServer
// lets it go on.
func (s *Signed) PauseServer() error { return s.knot.Pause() }

// ResumeServer ends PauseServer.
func (s *Signed) ResumeServer() error { return s.knot.Resume() }

// Stop ends both.
func (s *Signed) Stop() error {
	if s.dead != nil {
		s.dead.Close()
	}
	var err error
	for _, p := range []*Process{s.unbound, s.knot} {
		if p != nil {
			err = errors.Join(err, p.Stop())
		}
	}
	return err
}

// Running says whether both run.
func (s *Signed) Running() bool { return s.knot.Running() && s.unbound.Running() }

// Log is what both said last.
func (s *Signed) Log() string { return s.knot.Log() + s.unbound.Log() }

// loopbackHost is an address of this host that nobody else is likely to use.
func loopbackHost() string {
	return fmt.Sprintf("127.%d.%d.%d", 16+rand.IntN(200), rand.IntN(256), 1+rand.IntN(254))
}

// Private makes a command line run where /etc/resolv.conf names the validating resolver, as root and without any effect on
// the rest of the system: in a mount namespace of its own. It is for programs that ask DNS by the system's library, which
// knows port 53 alone.
func (s *Signed) Private(command ...string) ([]string, error) {
	if s.ResolvConf == "" {
		return nil, errNotRoot
	}
	unshare, err := program("unshare", "util-linux")
	if err != nil {
		return nil, err
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return nil, err
	}
	script := "mount --bind '" + s.ResolvConf + "' '" + target + "' && exec \"$@\""
	return append([]string{unshare, "--mount", "--", "/bin/sh", "-c", script, "sh"}, command...), nil
}

// fqdn is the name of a zone with its dot.
func (z *Zone) fqdn() string {
	if z.Name == "" {
		return SignedRoot + "."
	}
	return z.Name + "." + SignedRoot + "."
}

// text is the whole of a zone.
func (s *Signed) text(z Zone) string {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s\n$TTL 60\n@ SOA ns.%s. lab.%s. %d 3600 600 86400 5\n@ NS ns.%s.\n", z.fqdn(), SignedRoot, SignedRoot, s.serial, SignedRoot)
	for _, name := range z.Dead {
		fmt.Fprintf(&b, "%s NS ns.%s.\n", name, SignedRoot)
	}
	b.WriteString(z.Text + "\n")
	return b.String()
}

func (s *Signed) file(z Zone) string { return filepath.Join(s.dir, "zones", z.fqdn()+"zone") }

func write(file, text string) error { return os.WriteFile(file, []byte(text), 0o644) }
