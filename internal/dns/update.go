package dns

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// Bounds of what a change costs.
const (
	updateTime    = 15 * time.Second // one question or change
	updateTTL     = 60               // seconds, of the records that are made
	awaitPause    = 2 * time.Second
	awaitMost     = 5 * time.Minute
	awaitTries    = 5  // after which a server that does not answer for the zone is not waited for
	awaitServers  = 16 // that are waited for at most
	updateFudge   = 300
	mostTSIGError = 120
)

// UpdateOptions say which name server takes changes, and by which key.
type UpdateOptions struct {
	// Server is the primary name server, an IP address with or without a port.
	Server string
	// Key is the name of the TSIG key, Algorithm hmac-sha256 or hmac-sha512, Secret the key itself in base64.
	Key, Algorithm, Secret string
	// Resolver follows names and finds the addresses of other name servers.
	Resolver *Resolver
	Logger   *slog.Logger
}

// Updates makes and removes TXT records by dynamic update (RFC 2136), each message signed (RFC 8945), over TCP. It never
// touches a record that it was not told of. It is safe for concurrent use.
type Updates struct {
	server, key, algorithm, secret string
	resolver                       *Resolver
	log                            *slog.Logger
	port                           uint16        // of the zone's other name servers
	pause                          time.Duration // between two looks
}

// NewUpdates checks the options; it asks nobody. Its error never has the secret.
func NewUpdates(o UpdateOptions) (*Updates, error) {
	server, err := parseServer(o.Server)
	if err != nil {
		return nil, err
	}
	if _, ok := wire.IsDomainName(o.Key); !ok || o.Key == "" {
		return nil, errors.New("the name of the key is none")
	}
	if o.Algorithm != "hmac-sha256" && o.Algorithm != "hmac-sha512" {
		return nil, errors.New("the algorithm of the key is neither hmac-sha256 nor hmac-sha512")
	}
	secret := strings.TrimSpace(o.Secret)
	if key, err := base64.StdEncoding.DecodeString(secret); err != nil || len(key) < 16 {
		return nil, errors.New("the secret is not base64 of 16 octets or more")
	}
	u := &Updates{server: server.String(), key: wire.CanonicalName(o.Key), algorithm: o.Algorithm + ".", secret: secret, resolver: o.Resolver, log: o.Logger, port: 53, pause: awaitPause}
	if u.log == nil {
		u.log = discard()
	}
	return u, nil
}

// Owner follows CNAMEs from a name to where its TXT records are, be there any or not. Error: DNS does not tell.
func (u *Updates) Owner(ctx context.Context, name string) (string, error) {
	a := u.resolver.TXT(ctx, name)
	if a.Status == Failed || a.Status == Bogus {
		return "", fmt.Errorf("%s: %w", name, a.Err())
	}
	if len(a.Chain) > 0 {
		return a.Chain[len(a.Chain)-1], nil
	}
	return a.Name, nil
}

// AddTXT makes a record beside those that a name has.
func (u *Updates) AddTXT(ctx context.Context, owner, text string) error {
	return u.change(ctx, owner, text, (*wire.Msg).Insert)
}

// RemoveTXT removes exactly this record of a name; that there is none is no error.
func (u *Updates) RemoveTXT(ctx context.Context, owner, text string) error {
	return u.change(ctx, owner, text, (*wire.Msg).Remove)
}

func (u *Updates) change(ctx context.Context, owner, text string, how func(*wire.Msg, []wire.RR)) error {
	zone, err := u.zone(ctx, owner)
	if err != nil {
		return err
	}
	m := new(wire.Msg)
	m.SetUpdate(zone)
	how(m, []wire.RR{&wire.TXT{Hdr: wire.RR_Header{Name: fqdn(owner), Rrtype: wire.TypeTXT, Class: wire.ClassINET, Ttl: updateTTL}, Txt: []string{text}}})
	m.SetTsig(u.key, u.algorithm, updateFudge, time.Now().Unix())
	reply, err := exchangeWhole(ctx, wire.Client{Net: "tcp", Timeout: updateTime, TsigSecret: map[string]string{u.key: u.secret}}, m, u.server)
	if reply != nil {
		if t := reply.IsTsig(); t != nil && t.Error != wire.RcodeSuccess {
			return fmt.Errorf("name server %s does not take the key: %s", u.server, keyFault(t.Error))
		}
	}
	switch {
	case err != nil:
		return u.failed(ctx, u.server, err)
	case reply.IsTsig() == nil && reply.Rcode == wire.RcodeSuccess:
		return fmt.Errorf("name server %s: its answer is not signed, and could be anybody's", u.server)
	case reply.Rcode != wire.RcodeSuccess:
		return fmt.Errorf("name server %s refuses the change of %s in zone %s: %s; does its configuration let the key update it?",
			u.server, owner, strings.TrimSuffix(zone, "."), codeWord(reply.Rcode))
	}
	return nil
}

// failed words why a server gave no answer.
func (u *Updates) failed(ctx context.Context, server string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("name server %s: %w", server, ctx.Err())
	}
	return fmt.Errorf("name server %s: %s", server, printable(err.Error(), mostTSIGError))
}

// exchangeWhole sends a message and reads the answer; it ends at once with ctx, which the wire library looks at only before. The
// answer may come with an error: that its signature does not hold.
func exchangeWhole(ctx context.Context, c wire.Client, m *wire.Msg, server string) (*wire.Msg, error) {
	conn, err := (&net.Dialer{Timeout: updateTime}).DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	reply, _, err := c.ExchangeWithConnContext(ctx, m, &wire.Conn{Conn: conn})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return reply, err
}

// keyFault words the error of a TSIG record (RFC 8945 section 3).
func keyFault(code uint16) string {
	switch code {
	case wire.RcodeBadKey:
		return "it knows no key of this name and algorithm (BADKEY)"
	case wire.RcodeBadSig:
		return "the secret is another (BADSIG)"
	case wire.RcodeBadTime:
		return "the clocks differ by more than five minutes (BADTIME)"
	}
	return codeWord(int(code))
}

func codeWord(code int) string {
	if w, ok := wire.RcodeToString[code]; ok {
		return w
	}
	return fmt.Sprintf("code %d", code)
}

// plain asks a server without recursion.
func (u *Updates) plain(ctx context.Context, server, name string, typ uint16) (*wire.Msg, error) {
	m := new(wire.Msg)
	m.SetQuestion(name, typ)
	m.RecursionDesired = false
	reply, err := exchangeWhole(ctx, wire.Client{Net: "tcp", Timeout: updateTime}, m, server)
	if err != nil {
		return nil, u.failed(ctx, server, err)
	}
	if len(reply.Question) != 1 || !strings.EqualFold(reply.Question[0].Name, name) || reply.Question[0].Qtype != typ {
		return nil, fmt.Errorf("name server %s: %w", server, errNotOurs)
	}
	return reply, nil
}

// zone finds the zone that a name is in: the primary server has its SOA, at the name or above it (RFC 2136 section 3.1 wants
// the zone named).
func (u *Updates) zone(ctx context.Context, owner string) (string, error) {
	said := "it answers for none"
	for name := fqdn(owner); name != "."; {
		reply, err := u.plain(ctx, u.server, name, wire.TypeSOA)
		if err != nil {
			return "", err
		}
		for _, rr := range slices.Concat(reply.Answer, reply.Ns) {
			if _, ok := rr.(*wire.SOA); ok && reply.Authoritative && wire.IsSubDomain(rr.Header().Name, fqdn(owner)) {
				return wire.CanonicalName(rr.Header().Name), nil
			}
		}
		if reply.Rcode != wire.RcodeSuccess && reply.Rcode != wire.RcodeNameError {
			said = "it answers " + codeWord(reply.Rcode)
		}
		next, end := wire.NextLabel(name, 0)
		if end {
			break
		}
		name = name[next:]
	}
	return "", fmt.Errorf("name server %s has no zone for %s: %s", u.server, owner, said)
}

// watched is one server that must show a record.
type watched struct {
	addr   string
	name   string // of its NS record; empty for the primary
	shows  bool
	silent int // questions without an answer for the zone, one after another
}

// AwaitTXT returns when the primary and the other name servers of the zone show a record, since an authority may ask any of
// them. A server that does not answer for the zone at all is not waited for. Error: one answers without it, for minutes.
func (u *Updates) AwaitTXT(ctx context.Context, owner, text string) error {
	ctx, cancel := context.WithTimeout(ctx, awaitMost)
	defer cancel()
	zone, err := u.zone(ctx, owner)
	if err != nil {
		return err
	}
	all := u.servers(ctx, zone)
	for {
		left := ""
		for _, w := range all {
			if w.shows || w.name != "" && w.silent >= awaitTries {
				continue
			}
			u.look(ctx, w, owner, text)
			if !w.shows {
				left = w.addr
			}
		}
		if left == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("name server %s does not show the new record of %s: %w", left, owner, ctx.Err())
		case <-time.After(u.pause):
		}
	}
}

// look asks a server for the record.
func (u *Updates) look(ctx context.Context, w *watched, owner, text string) {
	ctx, cancel := context.WithTimeout(ctx, updateTime/3)
	defer cancel()
	reply, err := u.plain(ctx, w.addr, fqdn(owner), wire.TypeTXT)
	if err != nil || !reply.Authoritative {
		if w.silent++; w.silent == awaitTries && w.name != "" {
			u.log.Warn("dns: a name server of the zone does not answer for it, and is not waited for", "name", w.name, "server", w.addr)
		}
		return
	}
	w.silent = 0
	for _, rr := range reply.Answer {
		if t, ok := rr.(*wire.TXT); ok && strings.Join(t.Txt, "") == text && strings.EqualFold(t.Hdr.Name, fqdn(owner)) {
			w.shows = true
		}
	}
}

// servers are the primary and the addresses of the zone's NS records.
func (u *Updates) servers(ctx context.Context, zone string) []*watched {
	all := []*watched{{addr: u.server}}
	reply, err := u.plain(ctx, u.server, zone, wire.TypeNS)
	if err != nil {
		return all
	}
	for _, rr := range reply.Answer {
		ns, ok := rr.(*wire.NS)
		if !ok {
			continue
		}
		for _, a := range u.resolver.Addrs(ctx, strings.TrimSuffix(ns.Ns, ".")).Records {
			at := netip.AddrPortFrom(a, u.port).String()
			if len(all) < awaitServers && !slices.ContainsFunc(all, func(w *watched) bool { return w.addr == at }) {
				all = append(all, &watched{addr: at, name: ns.Ns})
			}
		}
	}
	return all
}
