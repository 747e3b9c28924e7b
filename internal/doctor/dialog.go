package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"gatepost/internal/smtpwire"
)

// replyTime bounds each reply: a stranger may have to wait for the banner.
const replyTime = 15 * time.Second

// dialog is one connection to an SMTP or LMTP server.
type dialog struct {
	nc     net.Conn
	in     *smtpwire.Reader
	banner smtpwire.Reply
	offers []string // of the last EHLO, without its first line
	state  *tls.ConnectionState
	end    func() bool // the watch over its context
}

// connect dials and reads the banner, whatever it is.
func (w *World) connect(ctx context.Context, address string) (*dialog, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	nc, err := w.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d := &dialog{nc: nc, in: smtpwire.NewReader(nc), end: context.AfterFunc(ctx, func() { _ = nc.Close() })}
	if d.banner, err = d.reply(); err != nil {
		d.close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("banner: %w", err)
	}
	return d, nil
}

// errSaid is a reply that is not the one that was needed.
type errSaid struct {
	what string
	smtpwire.Reply
}

func (e errSaid) Error() string { return e.what + ": " + said(e.Reply) }

// said is a reply as it is shown.
func said(r smtpwire.Reply) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Code, r.Text(200)))
}

// want is the error of a reply that does not have this code.
func want(what string, code int, r smtpwire.Reply, err error) error {
	if err == nil && !r.Is(code) {
		err = errSaid{what, r}
	}
	if err != nil && !errors.As(err, new(errSaid)) {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// hello says EHLO, or LHLO.
func (d *dialog) hello(verb, name string) error {
	r, err := d.command(verb + " " + name)
	if err = want(verb, 250, r, err); err != nil {
		return err
	}
	d.offers = nil
	for _, l := range r.Lines[min(1, len(r.Lines)):] {
		d.offers = append(d.offers, clean(l, 200))
	}
	return nil
}

// offered is what stands behind a keyword of EHLO.
func (d *dialog) offered(keyword string) (value string, ok bool) {
	for _, line := range d.offers {
		word, rest, _ := strings.Cut(line, " ")
		if strings.EqualFold(word, keyword) {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// startTLS begins TLS without a look at the certificate: the caller judges it, to tell why.
func (d *dialog) startTLS(ctx context.Context, name string, most uint16) error {
	r, err := d.command("STARTTLS")
	if err = want("STARTTLS", 220, r, err); err != nil {
		return err
	}
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: most}
	t := tls.Client(d.nc, c)
	_ = d.nc.SetDeadline(time.Now().Add(replyTime))
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	state := t.ConnectionState()
	d.nc, d.in, d.state = t, smtpwire.NewReader(t), &state
	return nil
}

// rcpt is MAIL, RCPT and RSET. at is the step that was answered last.
func (d *dialog) rcpt(from, to string) (r smtpwire.Reply, at string, err error) {
	r, err = d.command("MAIL FROM:" + from)
	if err != nil || !r.Is(250) {
		return r, "MAIL", err
	}
	r, err = d.command("RCPT TO:" + to)
	if err != nil || r.Is(421) {
		return r, "RCPT", err
	}
	_, err = d.command("RSET")
	return r, "RCPT", err
}

func (d *dialog) command(line string) (smtpwire.Reply, error) {
	_ = d.nc.SetWriteDeadline(time.Now().Add(replyTime))
	if _, err := d.nc.Write([]byte(line + "\r\n")); err != nil {
		return smtpwire.Reply{}, err
	}
	return d.reply()
}

func (d *dialog) reply() (smtpwire.Reply, error) {
	_ = d.nc.SetReadDeadline(time.Now().Add(replyTime))
	return d.in.ReadReply()
}

// close says goodbye and does not wait for an answer.
func (d *dialog) close() {
	d.end()
	_ = d.nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = d.nc.Write([]byte("QUIT\r\n"))
	_ = d.nc.Close()
}

// verifies is why a certificate is not one of the name that a root vouches for; nil where it is.
func verifies(state *tls.ConnectionState, name string, roots *x509.CertPool, now time.Time) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between, CurrentTime: now})
	return err
}
