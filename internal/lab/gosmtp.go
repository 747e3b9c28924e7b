package lab

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// GoSMTP is a next hop made of the go-smtp library's server: a second, foreign
// reading of the RFCs beside Postfix.
type GoSMTP struct {
	options  GoSMTPOptions
	listener net.Listener
	server   *smtp.Server
	done     chan struct{}
	errors   *lockedBuffer

	mu       sync.Mutex
	messages []GoSMTPMessage
	users    map[string]string
	logins   int
}

// GoSMTPMessage is one message that the server took over.
type GoSMTPMessage struct {
	From        string
	MailOptions smtp.MailOptions
	To          []string
	RcptOptions []smtp.RcptOptions // of each recipient
	Body        []byte
	For         []string // by LMTP: those recipients of To whom it was taken for
}

// GoSMTPOptions say how a go-smtp server answers. The zero value takes everything by SMTP in clear.
type GoSMTPOptions struct {
	TLS        *tls.Config // it offers STARTTLS
	RequireTLS bool        // under TLS it offers REQUIRETLS (RFC 8689)
	LMTP       bool        // it speaks LMTP (RFC 2033)
	Recipients int         // how many it takes in a transaction; 0: any number
	Port       *Port       // as that of NextHopOptions
	// Taken gets each message before it is answered, and the server keeps none. It is called from many goroutines.
	Taken func(GoSMTPMessage)
	// Rcpt is its answer to RCPT, and After that to each recipient after the end of the message (LMTP alone). Nil, and nil
	// errors, take everything.
	Rcpt, After func(to string) error
}

// StartGoSMTP starts a go-smtp server that takes everything. With a TLS
// configuration it offers STARTTLS.
func StartGoSMTP(config *tls.Config) (*GoSMTP, error) {
	return StartGoSMTPPeer(GoSMTPOptions{TLS: config})
}

// StartGoSMTPPeer starts a go-smtp server.
func StartGoSMTPPeer(o GoSMTPOptions) (*GoSMTP, error) {
	addr := "127.0.0.1:0"
	if o.Port != nil {
		addr = o.Port.Addr()
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("go-smtp: %w", err)
	}
	g := &GoSMTP{options: o, listener: l, done: make(chan struct{}), errors: &lockedBuffer{}}
	g.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &goSMTPSession{to: g}, nil
	}))
	g.server.Domain = "go-smtp.lab.test"
	g.server.TLSConfig = o.TLS
	g.server.LMTP = o.LMTP
	g.server.MaxRecipients = o.Recipients
	g.server.EnableSMTPUTF8 = true
	g.server.EnableDSN = true
	g.server.EnableREQUIRETLS = o.RequireTLS
	g.server.MaxMessageBytes = 64 << 20
	g.server.MaxLineLength = 64 << 10
	g.server.ReadTimeout = 2 * time.Minute
	g.server.WriteTimeout = 2 * time.Minute
	g.server.ErrorLog = log.New(g.errors, "", 0)
	go func() {
		defer close(g.done)
		_ = g.server.Serve(l)
	}()
	return g, nil
}

// Require makes it a smarthost: from now on it takes mail only from who proved
// to be user, by PLAIN under TLS.
func (g *GoSMTP) Require(user, password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.users = map[string]string{user: password}
}

// Logins counts how often somebody proved who it is.
func (g *GoSMTP) Logins() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.logins
}

// Addr is its host:port.
func (g *GoSMTP) Addr() string { return g.listener.Addr().String() }

// Close ends the server and its connections.
func (g *GoSMTP) Close() {
	_ = g.server.Close()
	<-g.done
}

// Messages are the messages taken over so far.
func (g *GoSMTP) Messages() []GoSMTPMessage {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.messages)
}

// Await waits until at least n messages were taken over.
func (g *GoSMTP) Await(ctx context.Context, n int) ([]GoSMTPMessage, error) {
	if err := poll(ctx, func() (bool, error) { return len(g.Messages()) >= n, nil }); err != nil {
		return nil, fmt.Errorf("go-smtp: has %d messages, not %d: %w\n%s", len(g.Messages()), n, err, g.errors.String())
	}
	return g.Messages(), nil
}

// goSMTPSession is one connection to the server.
type goSMTPSession struct {
	to      *GoSMTP
	message GoSMTPMessage
	known   bool
}

// AuthMechanisms implements smtp.AuthSession.
func (s *goSMTPSession) AuthMechanisms() []string {
	s.to.mu.Lock()
	defer s.to.mu.Unlock()
	if s.to.users == nil {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements smtp.AuthSession.
func (s *goSMTPSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.to.mu.Lock()
		defer s.to.mu.Unlock()
		if want, ok := s.to.users[user]; !ok || want != password {
			return smtp.ErrAuthFailed
		}
		s.to.logins++
		s.known = true
		return nil
	}), nil
}

func (s *goSMTPSession) Reset()        { s.message = GoSMTPMessage{} }
func (s *goSMTPSession) Logout() error { return nil }

func (s *goSMTPSession) Mail(from string, o *smtp.MailOptions) error {
	if s.AuthMechanisms() != nil && !s.known {
		return smtp.ErrAuthRequired
	}
	s.message = GoSMTPMessage{From: from}
	if o != nil {
		s.message.MailOptions = *o
	}
	return nil
}

func (s *goSMTPSession) Rcpt(to string, o *smtp.RcptOptions) error {
	if s.to.options.Rcpt != nil {
		if err := s.to.options.Rcpt(to); err != nil {
			return err
		}
	}
	if s.to.options.Rcpt == nil && isCanary("<"+to) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such recipient"}
	}
	s.message.To = append(s.message.To, to)
	if o == nil {
		o = &smtp.RcptOptions{}
	}
	s.message.RcptOptions = append(s.message.RcptOptions, *o)
	return nil
}

func (s *goSMTPSession) Data(r io.Reader) error {
	return s.take(r, s.message.To)
}

// LMTPData answers for each recipient.
func (s *goSMTPSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	var taken []string
	answers := make([]error, len(s.message.To))
	for i, to := range s.message.To {
		if s.to.options.After != nil {
			answers[i] = s.to.options.After(to)
		}
		if answers[i] == nil {
			taken = append(taken, to)
		}
	}
	err := s.take(r, taken)
	for i, to := range s.message.To {
		status.SetStatus(to, cmp.Or(err, answers[i]))
	}
	return err
}

// take notes a message, unless it is for nobody.
func (s *goSMTPSession) take(r io.Reader, to []string) error {
	message := s.message
	body, err := io.ReadAll(r)
	if err != nil || len(to) == 0 {
		return err
	}
	message.Body, message.For = body, to
	if taken := s.to.options.Taken; taken != nil {
		taken(message)
		return nil
	}
	s.to.mu.Lock()
	s.to.messages = append(s.to.messages, message)
	s.to.mu.Unlock()
	return nil
}

// GoSMTPSend is what the go-smtp library's client shall send.
type GoSMTPSend struct {
	Hello string // its name in clear; empty: client.lab.test. Inside TLS it is the library's own, localhost
	From  string
	Mail  *smtp.MailOptions
	Rcpt  *smtp.RcptOptions // of each recipient
	To    []string
	Body  []byte
	TLS   *tls.Config // nil: in clear
	Proxy string      // said first, as a PROXY header of version 1 with this behind the word; empty: none
}

// Send sends a message to addr with the go-smtp library's client and returns the
// text of the server's last reply. A refusal is a *smtp.SMTPError.
func (m GoSMTPSend) Send(ctx context.Context, addr string) (string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", fmt.Errorf("go-smtp client: %w", err)
	}
	// Its writer of bodies has no deadline of its own.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	if m.Hello == "" {
		m.Hello = "client.lab.test"
	}
	if m.Proxy != "" {
		if _, err := io.WriteString(conn, "PROXY "+m.Proxy+"\r\n"); err != nil {
			return "", fmt.Errorf("go-smtp client: %w", err)
		}
	}
	client := smtp.NewClient(conn)
	if m.TLS != nil {
		if client, err = smtp.NewClientStartTLS(conn, m.TLS); err != nil {
			return "", fmt.Errorf("go-smtp client: %w", err)
		}
	} else if err := client.Hello(m.Hello); err != nil {
		return "", fmt.Errorf("go-smtp client: EHLO: %w", err)
	}
	return m.transaction(client)
}

func (m GoSMTPSend) transaction(client *smtp.Client) (string, error) {
	if err := client.Mail(m.From, m.Mail); err != nil {
		return "", fmt.Errorf("go-smtp client: MAIL: %w", err)
	}
	for _, to := range m.To {
		if err := client.Rcpt(to, m.Rcpt); err != nil {
			return "", fmt.Errorf("go-smtp client: RCPT: %w", err)
		}
	}
	w, err := client.Data()
	if err != nil {
		return "", fmt.Errorf("go-smtp client: DATA: %w", err)
	}
	if _, err := io.Copy(w, bytes.NewReader(m.Body)); err != nil {
		return "", fmt.Errorf("go-smtp client: body: %w", err)
	}
	reply, err := w.CloseWithResponse()
	if err != nil {
		return "", fmt.Errorf("go-smtp client: %w", err)
	}
	if err := client.Quit(); err != nil {
		return reply.StatusText, errors.Join(errors.New("go-smtp client: QUIT"), err)
	}
	return reply.StatusText, nil
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
