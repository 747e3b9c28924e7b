package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// GTUBE is the harmless line that spam filters agree to call spam. It is put
// together here so that no filter takes these sources for spam.
func GTUBE() string {
	return "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE" + "-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
}

// SpamdOptions change a spamd; the zero value asks no name server.
type SpamdOptions struct {
	// DNS is the host:port of a name server for its network tests. Empty: no
	// network tests at all.
	DNS string
	// Children is how many messages it scans at a time; 0: 2.
	Children int
	// Learns lets it learn by TELL, into a Bayes database in its folder.
	Learns bool
	// Settings are lines of local.cf, after ours.
	Settings []string
	// Port is as in PostfixOptions.
	Port *Port
}

// Spamd is a private spamd with Debian's rules, and no Bayes unless it learns.
type Spamd struct {
	*Process
	Addr   string // host:port
	Socket string // path of its unix socket
}

// StartSpamd starts a spamd with its state in dir and waits until it answers
// PING. The path of dir may have at most 105 bytes.
func StartSpamd(ctx context.Context, dir string, o SpamdOptions) (*Spamd, error) {
	path, err := program("spamd", "spamd")
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("nobody")
	if err != nil {
		return nil, err
	}
	if len(dir)+2 > maxSocketPath {
		return nil, fmt.Errorf("spamd: folder %s: too long for a unix socket", dir)
	}
	site := filepath.Join(dir, "site")
	if err := who.makeDirs(dir, site, filepath.Join(dir, ".spamassassin")); err != nil {
		return nil, err
	}
	if err := writeSpamdSite(site, o); err != nil {
		return nil, err
	}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	s := &Spamd{Addr: port.Addr(), Socket: filepath.Join(dir, "s")}
	s.Process, err = start(command{
		name: "spamd", path: path, args: spamdArgs(dir, port.Addr(), o), dir: dir, owner: who,
		log: filepath.Join(dir, "spamd.log"), ports: own,
	})
	if err != nil {
		release(own)
		return nil, err
	}
	return s, s.awaitReady(ctx, func() bool { return s.pings("tcp", s.Addr) && s.pings("unix", s.Socket) })
}

func spamdArgs(dir, addr string, o SpamdOptions) []string {
	children := strconv.Itoa(max(o.Children, 2))
	args := []string{
		"--listen=" + addr, "--socketpath=" + filepath.Join(dir, "s"), "--socketmode=0666",
		"--allowed-ips=127.0.0.0/8", "--siteconfigpath=" + filepath.Join(dir, "site"),
		"--nouser-config", "--max-children=" + children, "--min-children=1", "--min-spare=1",
		"--syslog=stderr", "--helper-home-dir=" + dir,
	}
	if o.Learns {
		args = append(args, "--allow-tell")
	}
	if o.DNS == "" {
		args = append(args, "--local")
	}
	return args
}

// writeSpamdSite makes the folder that takes the place of /etc/spamassassin:
// Debian's plugins, without a state between messages.
func writeSpamdSite(site string, o SpamdOptions) error {
	plugins, err := filepath.Glob("/etc/spamassassin/*.pre")
	if err != nil || len(plugins) == 0 {
		return fmt.Errorf("spamd: no plugin lists in /etc/spamassassin; install Debian's package spamassassin (scripts/install does)")
	}
	for _, from := range plugins {
		text, err := os.ReadFile(from)
		if err != nil {
			return fmt.Errorf("spamd: %w", err)
		}
		if err := os.WriteFile(filepath.Join(site, filepath.Base(from)), text, 0o644); err != nil {
			return fmt.Errorf("spamd: %w", err)
		}
	}
	lines := []string{"use_bayes 0", "use_auto_welcomelist 0", "report_safe 0"}
	if o.Learns {
		lines[0] = "use_bayes 1"
		lines = append(lines, "bayes_auto_learn 0", "bayes_path "+filepath.Join(filepath.Dir(site), ".spamassassin", "bayes"))
	}
	if o.DNS == "" {
		lines = append(lines, "skip_rbl_checks 1", "dns_available no")
	} else {
		host, port, err := net.SplitHostPort(o.DNS)
		if err != nil {
			return fmt.Errorf("spamd: name server: %w", err)
		}
		lines = append(lines, "dns_available yes", fmt.Sprintf("dns_server [%s]:%s", host, port), "rbl_timeout 5")
	}
	text := strings.Join(append(lines, o.Settings...), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(site, "local.cf"), []byte(text), 0o644); err != nil {
		return fmt.Errorf("spamd: %w", err)
	}
	return nil
}

// pings asks PING once.
func (s *Spamd) pings(network, addr string) bool {
	conn, err := net.DialTimeout(network, addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("PING SPAMC/1.5\r\n\r\n")); err != nil {
		return false
	}
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	return strings.HasPrefix(string(answer[:n]), "SPAMD/") && strings.Contains(string(answer[:n]), "PONG")
}
