package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	wire "github.com/miekg/dns"
)

const hangUp = syscall.SIGHUP

// startUnbound starts the validating resolver.
func (s *Signed) startUnbound(ctx context.Context) error {
	path, err := program("unbound", "unbound")
	if err != nil {
		return err
	}
	// Where AppArmor knows the program by its path, it may not read our folder: so it has another path.
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	path = filepath.Join(s.dir, "unbound")
	if err := os.WriteFile(path, text, 0o755); err != nil {
		return err
	}
	port, own, err := portOr(nil)
	if err != nil {
		return err
	}
	s.Resolver = port.Addr()
	if os.Geteuid() == 0 {
		s.at53 = loopbackHost()
		s.ResolvConf = filepath.Join(s.dir, "resolv.conf")
		// Without trust-ad the library takes the bit that says validated away.
		err = write(s.ResolvConf, "nameserver "+s.at53+"\noptions edns0 trust-ad\n")
	}
	if err == nil {
		err = s.writeUnbound()
	}
	if err == nil {
		s.unbound, err = start(command{name: "unbound", path: path, args: []string{"-d", "-p", "-c", s.unboundConf()}, dir: s.dir,
			log: filepath.Join(s.dir, "unbound.log"), ports: own})
	}
	if err != nil {
		release(own)
		return err
	}
	return s.awaitUnbound(ctx)
}

func (s *Signed) unboundConf() string { return filepath.Join(s.dir, "unbound.conf") }

// awaitUnbound waits until it answers from the zone above all, validated.
func (s *Signed) awaitUnbound(ctx context.Context) error {
	return s.unbound.awaitReady(ctx, func() bool {
		reply := s.ask(s.Resolver, SignedRoot+".", wire.TypeSOA)
		return reply != nil && reply.AuthenticatedData && len(reply.Answer) > 0
	})
}

// writeUnbound writes its configuration.
func (s *Signed) writeUnbound() error {
	var b strings.Builder
	fmt.Fprintf(&b, "server:\n    interface: %s\n", strings.Replace(s.Resolver, ":", "@", 1))
	if s.at53 != "" {
		fmt.Fprintf(&b, "    interface: %s@53\n    username: nobody\n", s.at53)
	} else {
		b.WriteString("    username: \"\"\n")
	}
	// No question leaves the host, and what went wrong is not remembered.
	fmt.Fprintf(&b, `    directory: %[1]s
    chroot: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    verbosity: 1
    val-log-level: 2
    num-threads: 1
    do-ip6: no
    outgoing-interface: 127.0.0.1
    do-not-query-localhost: no
    access-control: 127.0.0.0/8 allow
    module-config: "validator iterator"
    trust-anchor-file: %[2]s
    local-zone: "." static
    local-zone: "%[3]s." transparent
    cache-max-negative-ttl: 5
    val-bogus-ttl: 1
    infra-host-ttl: 1
    unwanted-reply-threshold: 0
remote-control:
    control-enable: yes
    control-use-cert: no
    control-interface: %[1]s/control
`, s.dir, s.Anchor, SignedRoot)
	for _, z := range append(slices.Clone(s.zones), Zone{}) {
		stub := func(name, server string) {
			fmt.Fprintf(&b, "stub-zone:\n    name: \"%s\"\n    stub-addr: %s\n", name, strings.Replace(server, ":", "@", 1))
		}
		stub(z.fqdn(), s.Server)
		for _, name := range z.Dead {
			stub(name+"."+z.fqdn(), s.dead.Addr())
		}
	}
	return write(s.unboundConf(), b.String())
}

// tell gives the resolver an order, as unbound-control does.
func (s *Signed) tell(order string) error {
	conn, err := net.DialTimeout("unix", filepath.Join(s.dir, "control"), 5*time.Second)
	if err != nil {
		return fmt.Errorf("unbound: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("unbound: %w", err)
	}
	if _, err := io.WriteString(conn, "UBCT1 "+order+"\n"); err != nil {
		return fmt.Errorf("unbound: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<16))
	if err != nil || !strings.HasPrefix(string(answer), "ok") {
		return fmt.Errorf("unbound: %s: %q %w", order, answer, err)
	}
	return nil
}
