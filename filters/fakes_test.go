package filters

import (
	"context"
	"testing"

	"gatepost/gateway"
	"gatepost/gateway/recipients"
	"gatepost/internal/addrpool"
	"gatepost/internal/clamd"
	"gatepost/internal/smtpwire"
	"gatepost/internal/spamd"
)

// deadClamAV and deadSpam are scanners of which no address works.
type deadClamAV struct{}

func (deadClamAV) Do(context.Context, func(context.Context, *clamd.Client) error) error {
	return addrpool.ErrNoAddress
}

type deadSpam struct{}

func (deadSpam) Do(context.Context, func(context.Context, *spamd.Client) error) error {
	return addrpool.ErrNoAddress
}

// answers are what a next hop says of recipients, by their address.
type answers map[string]recipients.Answer

func (a answers) Ask(_ context.Context, _ string, _, to gateway.Address) recipients.Answer {
	return a[to.Text]
}

// helloOf reads a HELO name as the edge does.
func helloOf(name string) gateway.Hello {
	h, err := smtpwire.ParseHelo(name)
	if err != nil {
		return gateway.Hello{Name: name, Extended: true}
	}
	const invalid = smtpwire.HeloBareIP | smtpwire.HeloNotDomain | smtpwire.HeloDot | smtpwire.HeloLiteral
	return gateway.Hello{Name: h.Name, Extended: true, Valid: h.Flaws&invalid == 0, Literal: h.Literal.IsValid() && h.Flaws&smtpwire.HeloBareIP == 0}
}

// addressOf takes an address over from the wire as the edge does.
func addressOf(a smtpwire.Address) gateway.Address {
	if a.IsNull() {
		return gateway.Address{}
	}
	out := gateway.Address{Text: a.String(), Local: a.Local, Domain: a.ASCII}
	if path, ok := a.WireASCII(); ok {
		out.Text = path[1 : len(path)-1]
	} else {
		out.UTF8 = true
	}
	return out
}

// mailFrom is the reverse-path of a text such as "<a@b.example>".
func mailFrom(t testing.TB, path string) gateway.Address {
	t.Helper()
	m, err := smtpwire.ParseMail("FROM:"+path, smtpwire.Offer{SMTPUTF8: true})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return addressOf(m.From)
}
