package relay

import (
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"gatepost/internal/smtpwire"
)

// Secret is a text that prints as stars, whatever prints it.
type Secret string

const stars = "***"

func (Secret) String() string               { return stars }
func (Secret) GoString() string             { return stars }
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }
func (Secret) LogValue() slog.Value         { return slog.StringValue(stars) }

// Mechanism is a way to prove who we are (RFC 4422).
type Mechanism uint8

// The mechanisms.
const (
	Auto        Mechanism = iota // the best that is offered, in the order below
	ScramSHA256                  // RFC 7677: the next hop learns no password, and proves that it knows it
	Plain                        // RFC 4616
	Login                        // draft-murchison-sasl-login: what Exchange offers
)

var mechanismNames = [...]string{"auto", "SCRAM-SHA-256", "PLAIN", "LOGIN"}

func (m Mechanism) String() string { return mechanismNames[min(int(m), len(mechanismNames)-1)] }

// Auth is who we are to a smarthost (RFC 4954). It is told under TLS that was verified, and never else.
type Auth struct {
	User      string
	Password  Secret
	Mechanism Mechanism
	Key       string // how people name it in the configuration, for errors
}

// mostCredential is how long user and password may be, in octets: they must fit a line (RFC 4954 section 4).
const mostCredential = 1000

// check finds what cannot be told.
func (a *Auth) check(mode Mode) error {
	switch {
	case mode != Required && mode != Fingerprint && mode != DANEOnly:
		return errors.New("auth needs TLS that is verified")
	case a.User == "" || a.Password == "":
		return errors.New("auth needs a user and a password")
	case len(a.User) > mostCredential || len(a.Password) > mostCredential:
		return fmt.Errorf("user or password has more than %d octets", mostCredential)
	case strings.ContainsAny(a.User+string(a.Password), "\x00\r\n"):
		return errors.New("user or password has a control character")
	case a.Mechanism > Login:
		return errors.New("no such mechanism")
	}
	return nil
}

// authenticate tells the next hop who we are, where the route says so.
func (c *conn) authenticate(p *protection) error {
	a := c.hop.auth
	if a == nil {
		return nil
	}
	if c.tls == "" || !p.verified() { // New has refused it: nobody may ever make this possible
		return &failure{at: atEHLO, err: errors.New(a.Key + ": no password is told without verified TLS")}
	}
	m, err := a.choose(c.offer.auth)
	if err == nil {
		switch m {
		case ScramSHA256:
			err = c.scram(a)
		case Plain:
			err = c.plain(a)
		default:
			err = c.login(a)
		}
	}
	if err != nil {
		return &failure{at: atEHLO, err: fmt.Errorf("%s: %w", a.Key, err)}
	}
	return nil
}

// choose takes the mechanism that is wanted, or the best, of those that are offered.
func (a *Auth) choose(offered []string) (Mechanism, error) {
	if len(offered) == 0 {
		return 0, errors.New("next hop offers no AUTH under TLS; is this its port for submission?")
	}
	for m := ScramSHA256; m <= Login; m++ {
		if (a.Mechanism == Auto || a.Mechanism == m) && slices.Contains(offered, m.String()) {
			return m, nil
		}
	}
	return 0, fmt.Errorf("next hop does not offer the mechanism (wanted: %s; offered: %s)", a.Mechanism,
		smtpwire.Clean(strings.Join(offered, " "), 200))
}

func (c *conn) plain(a *Auth) error {
	return c.proven(a, "AUTH PLAIN "+encoded("\x00"+a.User+"\x00"+string(a.Password)))
}

func (c *conn) login(a *Auth) error {
	if _, err := c.challenge(a, "AUTH LOGIN"); err != nil {
		return err
	}
	if _, err := c.challenge(a, encoded(a.User)); err != nil {
		return err
	}
	return c.proven(a, encoded(string(a.Password)))
}

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// challenge sends a line and returns what a 334 asks.
func (c *conn) challenge(a *Auth, line string) (string, error) {
	r, err := c.ask(line)
	if err != nil {
		return "", err
	}
	if !r.Is(334) || len(r.Lines) != 1 {
		return "", a.refused(r)
	}
	text, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(r.Lines[0]))
	if err != nil {
		return "", errors.New("next hop asks what is no base64")
	}
	return string(text), nil
}

// proven sends the last line and wants 235.
func (c *conn) proven(a *Auth, line string) error {
	r, err := c.ask(line)
	if err != nil {
		return err
	}
	if !r.Is(235) {
		return a.refused(r)
	}
	return nil
}

// refused is the error of a reply other than what the step needs. Its text is left out where it repeats what is secret.
func (a *Auth) refused(r smtpwire.Reply) error {
	text := r.String()
	all := strings.Join(r.Lines, "")
	for _, secret := range []string{string(a.Password), encoded(string(a.Password)), encoded("\x00" + a.User + "\x00" + string(a.Password))} {
		if strings.Contains(all, secret) || strings.Contains(text, secret) {
			text = smtpwire.Reply{Code: r.Code, Enhanced: r.Enhanced}.String()
		}
	}
	return fmt.Errorf("next hop does not take user and password: %s", text)
}
