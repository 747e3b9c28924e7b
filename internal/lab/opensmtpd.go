package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// StartOpenSMTPD starts an OpenSMTPD with its state in dir and waits until it greets. It needs root, because it runs as
// several users.
func StartOpenSMTPD(ctx context.Context, dir string, o PeerOptions) (*Peer, error) {
	root, err := unpacked(ctx, "opensmtpd")
	if err != nil {
		return nil, err
	}
	p, err := newPeer(dir, "opensmtpd")
	if err != nil {
		return nil, err
	}
	if len(o.Mailboxes) == 0 {
		return nil, fmt.Errorf("opensmtpd: %w", errNoBoxes)
	}
	for _, address := range o.Mailboxes {
		p.mailboxes[address] = filepath.Join(dir, "mail", address) // its action has no number
	}
	view := &private{dir: dir}
	ids, err := view.users("opensmtpd", "opensmtpq", "gatepost-mail")
	if err != nil {
		return nil, fmt.Errorf("opensmtpd: %w", err)
	}
	if err := p.own(ids[2], "mail"); err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Join(dir, "spool"), 0o711); err != nil {
		return nil, fmt.Errorf("opensmtpd: %w", err)
	}
	port, own, err := portOr(o.Port)
	if err != nil {
		return nil, err
	}
	p.Addr = port.Addr()
	view.empty("/var/lib", "opensmtpd/empty")
	view.empty("/var/spool", "smtpd")
	view.show(filepath.Join(dir, "spool"), "/var/spool/smtpd")
	view.empty("/run")
	view.show(filepath.Join(root, "usr/libexec"), "/usr/libexec")
	err = p.write("smtpd.conf", p.openSMTPDConf(o, port.Number))
	if err == nil {
		err = p.write("mailboxes", listed(o.Mailboxes, func(string) string { return "" }))
	}
	if err == nil {
		err = p.write("users", listed(o.Mailboxes, func(string) string { return " gatepost-mail" }))
	}
	var c command
	if err == nil {
		c, err = view.command(command{
			name: "opensmtpd", path: filepath.Join(root, "usr/sbin/smtpd"), args: []string{"-d", "-f", filepath.Join(dir, "smtpd.conf")},
		})
	}
	if err == nil {
		err = p.run(c, own)
	}
	if err != nil {
		release(own)
		return nil, fmt.Errorf("opensmtpd: %w", err)
	}
	return p, p.awaitReady(ctx, p.greets)
}

func (p *Peer) openSMTPDConf(o PeerOptions, port int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table mailboxes file:%s/mailboxes\ntable users file:%[1]s/users\n", p.dir)
	b.WriteString("smtp max-message-size \"64M\"\nqueue ttl 1h\n")
	if o.Recipients > 0 {
		fmt.Fprintf(&b, "smtp limit max-rcpt %d\n", o.Recipients)
	}
	fmt.Fprintf(&b, "listen on 127.0.0.1 port %d hostname %s\n", port, p.Name)
	fmt.Fprintf(&b, "action deliver maildir \"%s/mail/%%{rcpt}\" virtual <users>\n", p.dir)
	// By the recipients and not by their domain: it answers 524 for an unknown one of a domain, and 550 for one that no rule
	// is for.
	b.WriteString("match from any for rcpt-to <mailboxes> action deliver\n")
	return b.String()
}
