package handover

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"gatepost/internal/smtpwire"
)

// Verdict is what a probe found.
type Verdict string

// The verdicts. Unknown is what could not be found out.
const (
	Good    Verdict = "ok"
	Warning Verdict = "warn"
	Bad     Verdict = "FAIL"
	Unknown Verdict = "?"
)

// Result is one thing that was looked at.
type Result struct {
	What    string  `json:"what"`
	Verdict Verdict `json:"verdict"`
	Detail  string  `json:"detail,omitempty"` // what the server said, cleaned
	Do      string  `json:"do,omitempty"`     // what to do about it
}

// Probe is a look at one server.
type Probe struct {
	Address     string // host:port, or unix: and the path of a socket
	Hostname    string // what EHLO says
	LMTP        bool
	Late        bool   // the product answers for recipients only after the message
	Domain      string // that the server serves
	Recipient   string // one that exists; "" is postmaster of the domain
	Size        int64  // octets of the largest message
	Connections int    // that must be possible at the same time
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
}

const (
	stepTime = 15 * time.Second // for each reply
	// slow is a reply that was held back: a tarpit waits for seconds.
	slow = 2 * time.Second
	// guesses are as many unknown recipients as one connection asks for: more than Exchange's 5 and Postfix's 20.
	guesses = 30
	// mostConnections bounds how many are tried at once.
	mostConnections = 100
)

// Inside looks at the server as the gateway does, from the gateway. It sends no message.
func (p *Probe) Inside(ctx context.Context) []Result {
	c, err := p.open(ctx)
	if err != nil {
		return []Result{{"connection", Bad, err.Error(), "let the gateway in: see the kit's first step, and the firewall"}}
	}
	defer c.close()
	out := []Result{{What: "connection", Verdict: Good, Detail: c.banner}, p.size(c)}
	out = append(out, p.recipients(c)...)
	c.close()
	return append(out, p.together(ctx))
}

// size holds what the server takes against what the gateway takes.
func (p *Probe) size(c *client) Result {
	most, said := c.size()
	switch {
	case !said:
		return Result{"message size", Unknown, "EHLO names no SIZE", "make sure that it takes " + fmt.Sprint(p.Size) + " octets"}
	case most > 0 && most < p.Size:
		return Result{"message size", Warning, fmt.Sprintf("takes %d octets, the gateway %d", most, p.Size),
			"the gateway offers the smaller; raise the server's limit if bigger mail shall pass"}
	}
	return Result{What: "message size", Verdict: Good, Detail: fmt.Sprintf("SIZE %d", most)}
}

// recipients asks about those that exist and those that do not.
func (p *Probe) recipients(c *client) (out []Result) {
	known := p.Recipient
	if known == "" {
		known = "postmaster@" + p.Domain
	}
	r, _, err := c.ask("", known)
	switch {
	case err != nil:
		return []Result{{"recipient " + known, Unknown, err.Error(), ""}}
	case r.Is(250) || r.Is(251):
		out = append(out, Result{What: "recipient " + known, Verdict: Good, Detail: r.Text(200)})
	default:
		out = append(out, Result{"recipient " + known, Bad, said(r), "mail for it, and bounces, must be taken from the gateway; name one that exists by --rcpt"})
	}
	out = append(out, p.foreign(c))
	return append(out, p.guess(c)...)
}

// foreign asks for a recipient elsewhere: the server must not relay for the gateway.
func (p *Probe) foreign(c *client) Result {
	r, _, err := c.ask("probe@"+p.Domain, "postmaster@relay-test.example")
	switch {
	case err != nil:
		return Result{"relaying", Unknown, err.Error(), ""}
	case r.Code >= 500:
		return Result{What: "relaying", Verdict: Good, Detail: "refused: " + said(r)}
	case r.Code >= 400:
		return Result{"relaying", Unknown, said(r), "it should be refused with 5xx"}
	}
	return Result{"relaying", Bad, said(r), "the server relays for the gateway to anywhere; take the gateway out of mynetworks, RELAY, ExternalAuthoritative or the like"}
}

// guess asks for recipients that do not exist, as a call-ahead does while a harvester is at work.
func (p *Probe) guess(c *client) []Result {
	var longest time.Duration
	for i := range guesses {
		to := "gatepost-" + strings.ToLower(rand.Text()) + "@" + p.Domain
		r, took, err := c.ask("", to)
		longest = max(longest, took)
		switch {
		case err != nil && i > 0:
			return []Result{{"error limit", Bad, fmt.Sprintf("the connection ended after %d unknown recipients: %v", i, err),
				"raise its limit of protocol errors for the gateway"}}
		case err != nil:
			return []Result{{"unknown recipients", Unknown, err.Error(), ""}}
		case r.Code == 421:
			return []Result{{"error limit", Bad, fmt.Sprintf("after %d unknown recipients: %s", i+1, said(r)),
				"raise its limit of protocol errors for the gateway"}}
		case r.Code < 400:
			return []Result{{"unknown recipients", Warning, "every recipient is taken at RCPT: " + said(r),
				"asking ahead is void, and mail that the server refuses later would be lost to a bounce: give the gateway the directory (docs/recipients.md)"}}
		case r.Code < 500:
			return []Result{{"unknown recipients", Warning, "told to come again: " + said(r), "make the server say 550 5.1.1 for who does not exist"}}
		}
	}
	out := []Result{{What: "unknown recipients", Verdict: Good, Detail: "refused at RCPT"},
		{What: "error limit", Verdict: Good, Detail: fmt.Sprintf("%d refusals on one connection", guesses)}}
	if longest > slow {
		return append(out, Result{"tarpit", Warning, "a refusal took " + longest.Round(100*time.Millisecond).String(),
			"take the tarpit off for the gateway: it has one of its own for strangers"})
	}
	return append(out, Result{What: "tarpit", Verdict: Good, Detail: "none"})
}

// together opens as many connections as the gateway will.
func (p *Probe) together(ctx context.Context) Result {
	n := min(p.Connections, mostConnections)
	clients, errs := make([]*client, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { clients[i], errs[i] = p.open(ctx) })
	}
	wg.Wait()
	good := 0
	for _, c := range clients {
		if c != nil {
			good++
			c.close()
		}
	}
	if good < n {
		return Result{"connections", Bad, fmt.Sprintf("%d of %d were greeted: %v", good, n, errors.Join(errs...)),
			"raise its limit of connections for the gateway, or lower pool of the route"}
	}
	return Result{What: "connections", Verdict: Good, Detail: fmt.Sprintf("%d at the same time", n)}
}

// Outside looks at the server from a host that is not the gateway: it must be refused, wherever that is said.
func (p *Probe) Outside(ctx context.Context) Result {
	const what = "mail that does not come through the gateway"
	const do = "close the way around the gateway: see the kit, and the firewall"
	c, err := p.open(ctx)
	if err != nil {
		return Result{What: what, Verdict: Good, Detail: "no way in: " + err.Error()}
	}
	defer c.close()
	to := p.Recipient
	if to == "" {
		to = "postmaster@" + p.Domain
	}
	r, _, err := c.ask("probe@outside.example", to)
	switch {
	case err != nil:
		return Result{What: what, Verdict: Good, Detail: "hung up: " + err.Error()}
	case r.Code >= 500:
		return Result{What: what, Verdict: Good, Detail: "refused: " + said(r)}
	case r.Code >= 400:
		return Result{what, Unknown, "told to come again: " + said(r), "this may be greylisting; try again in ten minutes"}
	case p.Late:
		return Result{what, Unknown, "the recipient was taken: " + said(r), "this product may refuse only after the message, which is not sent from here; " + do}
	}
	return Result{what, Bad, "the recipient was taken: " + said(r), do}
}

func said(r smtpwire.Reply) string { return fmt.Sprintf("%d %s", r.Code, r.Text(200)) }
