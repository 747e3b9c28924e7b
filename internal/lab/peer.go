package lab

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// PeerOptions say what an internal MTA other than Postfix has.
type PeerOptions struct {
	// Mailboxes are the addresses that exist, each with a Maildir of its own. Other addresses of their domains are refused
	// at RCPT.
	Mailboxes []string
	// Full are those of the mailboxes that have no room left. Only Dovecot knows such.
	Full []string
	// Recipients is how many it takes in a transaction; 0: as many as it does by itself. Dovecot has no such limit.
	Recipients int
	// Relay is where all other mail goes, over TLS that is verified by the certificates of a file. Only Exim relays.
	Relay *PeerRelay
	// Port is where it listens, kept by the caller, so that it can be started again in the same folder. Nil: one that is
	// free.
	Port *Port
}

// PeerRelay is a way to another server.
type PeerRelay struct {
	Addr        string // host:port
	Name        string // the name to ask for (SNI)
	CAFile      string // PEM: what its certificate must be one of, or from
	Certificate string // PEM file of its own, shown where it is asked for one; "" for none
	Key         string
}

// Peer is a private internal MTA, or a mail store that speaks LMTP.
type Peer struct {
	*Process
	Name string // exim.lab.test
	Addr string // host:port
	LMTP bool
	dir  string
	// mailboxes has the Maildir of each address.
	mailboxes map[string]string
}

// newPeer makes the folders of a peer.
func newPeer(dir, name string) (*Peer, error) {
	p := &Peer{Name: name + ".lab.test", dir: dir, mailboxes: make(map[string]string)}
	for _, sub := range []string{"mail", "spool", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return p, nil
}

// own gives folders of the peer to a user.
func (p *Peer) own(uid int, subs ...string) error {
	for _, sub := range subs {
		if err := os.Chown(filepath.Join(p.dir, sub), uid, uid); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return nil
}

// assign gives each address a Maildir, named by its number: a local part may have octets that no file name may.
func (p *Peer) assign(addresses []string) {
	for i, address := range addresses {
		p.mailboxes[address] = filepath.Join(p.dir, "mail", fmt.Sprintf("%03d", i))
	}
}

// write writes a file of the peer.
func (p *Peer) write(name, text string) error {
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

// Maildir is the mailbox of one of the addresses given at start.
func (p *Peer) Maildir(address string) Maildir {
	return Maildir{path: p.mailboxes[address], address: address, log: p.Log}
}

// greets says whether it answers a command, and not only its banner: an LMTP server may greet before it can look for
// mailboxes.
func (p *Peer) greets() bool {
	conn, err := net.DialTimeout("tcp", p.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	in := bufio.NewScanner(conn)
	for _, say := range []string{"", "NOOP\r\n", "QUIT\r\n"} {
		if _, err := conn.Write([]byte(say)); err != nil || !in.Scan() || !strings.HasPrefix(in.Text(), "2") {
			return false
		}
	}
	return true
}

// run starts its process, and sets its port free where that fails.
func (p *Peer) run(c command, own []*Port) error {
	c.dir, c.log, c.ports = p.dir, filepath.Join(p.dir, "output"), own
	c.logs = []string{filepath.Join(p.dir, "log", "mainlog")}
	process, err := start(c)
	if err != nil {
		return err
	}
	p.Process = process
	return nil
}

// listed is a list of addresses, one a line, each with what stands behind it.
func listed(addresses []string, behind func(address string) string) string {
	var b strings.Builder
	for _, address := range addresses {
		b.WriteString(address + behind(address) + "\n")
	}
	return b.String()
}

// errNoBoxes is the error of a peer without mailboxes.
var errNoBoxes = errors.New("it needs a mailbox")
