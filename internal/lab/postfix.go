package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// PostfixOptions say which part a Postfix plays. One instance may be both: an
// internal MTA for its Mailboxes, a sending MTA when Relay is set.
type PostfixOptions struct {
	// Name is its host name (mta.lab.test).
	Name string
	// Mailboxes are the addresses that exist, each with a Maildir of its own. Every
	// other address of their domains is refused with 550 5.1.1.
	Mailboxes []string
	// Relay is the host:port that mail for all other domains goes to, without
	// a look-up of names. Empty: such mail is refused as relaying.
	Relay string
	// TLS offers STARTTLS, with a certificate for Name made at start.
	TLS bool
	// Settings are lines of main.cf (name = value); they win over ours.
	Settings []string
	// Smtpd are options of the smtpd service alone (name=value).
	Smtpd []string
	// Services are lines of master.cf, added to ours.
	Services []string
	// Root is a folder where Debian's package was unpacked (scripts/install does
	// where another MTA is installed). Empty: $GATEPOST_POSTFIX_ROOT, else /.
	Root string
	// Port is where its smtpd listens, kept by the caller, so that it can be started again in the same folder after
	// a Stop. Nil: one that is free.
	Port *Port
}

// Postfix is a private Postfix.
type Postfix struct {
	*Process
	Addr        string // host:port of its smtpd
	Name        string // its host name
	Certificate string // PEM file of its certificate, with TLS
	dir         string
	files       postfixFiles
	mailboxes   map[string]string // address -> Maildir
}

// StartPostfix starts a Postfix with its state in dir and waits until it greets.
// It needs root, because Postfix's master does. Several may run at once.
func StartPostfix(ctx context.Context, dir string, o PostfixOptions) (*Postfix, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("postfix: its master process must be started as root; run this as root")
	}
	if o.Name == "" {
		o.Name = "mta.lab.test"
	}
	files, err := findPostfix(o.Root)
	if err != nil {
		return nil, err
	}
	p := &Postfix{Name: o.Name, dir: dir, files: files, mailboxes: make(map[string]string)}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	p.Addr = port.Addr()
	err = p.prepare(o)
	if err == nil {
		p.Process, err = start(command{
			name: "postfix " + o.Name, path: filepath.Join(files.daemons, "master"),
			args: []string{"-s", "-c", p.configDir()}, env: p.env(), dir: dir,
			log: filepath.Join(dir, "master.out"), logs: []string{p.MailLog()},
			ports: own,
		})
	}
	if err != nil {
		release(own)
		return nil, err
	}
	return p, p.awaitReady(ctx, p.greets)
}

// prepare writes folders, configuration, recipients and certificate.
func (p *Postfix) prepare(o PostfixOptions) error {
	if err := p.makeQueue(); err != nil {
		return err
	}
	if o.TLS {
		p.Certificate = filepath.Join(p.configDir(), "cert.pem")
		// Started again it is the same server, with the same certificate.
		if _, err := os.Stat(p.Certificate); err != nil {
			if err := writeCertificate(p.Certificate, p.keyFile(), o.Name); err != nil {
				return fmt.Errorf("postfix: certificate: %w", err)
			}
		}
	}
	if err := p.writeMailboxes(o.Mailboxes); err != nil {
		return err
	}
	return p.writeConfig(o)
}

func (p *Postfix) configDir() string { return filepath.Join(p.dir, "etc") }
func (p *Postfix) keyFile() string   { return filepath.Join(p.configDir(), "key.pem") }

// env is what its commands need in their environment.
func (p *Postfix) env() []string {
	env := []string{"MAIL_CONFIG=" + p.configDir()}
	if p.files.libraries != "" {
		env = append(env, "LD_LIBRARY_PATH="+p.files.libraries)
	}
	return env
}

func (p *Postfix) greets() bool {
	conn, err := net.DialTimeout("tcp", p.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	banner := make([]byte, 512)
	n, _ := conn.Read(banner)
	if !bytes.HasPrefix(banner[:n], []byte("220 "+p.Name)) {
		return false
	}
	_, err = conn.Write([]byte("QUIT\r\n"))
	return err == nil
}

// MailLog is the file that it writes its log to.
func (p *Postfix) MailLog() string { return filepath.Join(p.dir, "maillog") }

// Maildir is the mailbox of one of the addresses given at start.
func (p *Postfix) Maildir(address string) Maildir {
	return Maildir{path: p.mailboxes[address], address: address, log: p.Log}
}

// Send hands a message to Postfix's sendmail command: it is queued when Send
// returns, and delivered after. Lines of the message may end in LF or CRLF.
func (p *Postfix) Send(ctx context.Context, from string, to []string, message []byte) error {
	args := append([]string{"-C", p.configDir(), "-i", "-f", from, "--"}, to...)
	// sendmail reads in pieces of 2048 octets: a CR at the end of one does not belong to the LF behind it, and becomes a space.
	message = bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))
	_, err := p.run(ctx, message, "sendmail", args...)
	return err
}

// Queue is the queue as postqueue -j prints it: one JSON object a line for each
// message, empty when nothing waits.
func (p *Postfix) Queue(ctx context.Context) (string, error) {
	out, err := p.run(ctx, nil, "postqueue", "-c", p.configDir(), "-j")
	return string(out), err
}

// Flush tries all deferred mail again now.
func (p *Postfix) Flush(ctx context.Context) error {
	_, err := p.run(ctx, nil, "postqueue", "-c", p.configDir(), "-f")
	return err
}

// AwaitEmptyQueue waits until all mail is delivered, bounced or gone.
func (p *Postfix) AwaitEmptyQueue(ctx context.Context) error {
	var last string
	err := poll(ctx, func() (bool, error) {
		queue, err := p.Queue(ctx)
		last = queue
		return queue == "", err
	})
	if err != nil {
		return fmt.Errorf("postfix: queue not empty: %w\n%s\n%s", err, last, p.Log())
	}
	return nil
}

// run runs one of Postfix's commands for this instance.
func (p *Postfix) run(ctx context.Context, input []byte, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.files.commands, name), args...)
	cmd.Env = append(p.env(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.Dir = p.dir
	cmd.Stdin = bytes.NewReader(input)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("postfix: %s: %w: %s", name, err, complaints.String())
	}
	return out, nil
}
