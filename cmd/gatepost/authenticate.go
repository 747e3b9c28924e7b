package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/gateway/spool"
	"gatepost/internal/config"
	"gatepost/internal/dns"
)

// authenticated is what sender authentication says of a message.
type authenticated struct {
	event   *gateway.Event
	results string // the field Authentication-Results that would be written, with its name
}

// authTime bounds everything that is asked for one message.
const authTime = time.Minute

// authenticate runs the pipeline of the policy on a message. Every check runs, whatever an earlier one found: they run as
// observed ones do, and the policy judges when all is known.
func authenticate(ctx context.Context, c *config.Config, q *authQuestion, text []byte) (*authenticated, error) {
	ctx, cancel := context.WithTimeout(ctx, authTime)
	defer cancel()
	policy := makePolicy(c)
	if err := makeRouting(c, policy); err != nil {
		return nil, err
	}
	pipeline, err := authPipeline(c, policy, q.server)
	if err != nil {
		return nil, err
	}
	watching := *policy
	watching.Mode = gateway.ObserveOnly
	ids := &gateway.IDs{}
	now := time.Now()
	s := &gateway.Session{ID: ids.Next(), Client: netip.AddrPortFrom(q.client, 0), Started: now, Helo: q.helo,
		Trusted:  slices.ContainsFunc(policy.Trusted, func(n netip.Prefix) bool { return n.Contains(q.client.Unmap()) }),
		Relay:    policy.Relay(q.client, now),
		Snapshot: &gateway.Snapshot{Policy: &watching, Pipeline: pipeline, Hostname: c.Bootstrap.Hostname, Limits: gateway.Limits{HeaderSize: int(c.Policy.Limits.Header)}}}
	env := &gateway.Envelope{ID: ids.Next(), Session: s, Started: now, From: q.from, Options: gateway.MailOptions{UTF8: q.from.UTF8}}
	in := &gateway.Input{Session: s, Envelope: env, Rcpt: -1}
	pipeline.Begin(ctx, s)
	pipeline.Run(ctx, gateway.Helo, in)
	pipeline.Run(ctx, gateway.Mail, in)
	env.Rcpts = []gateway.Recipient{recipient(c, policy, q.to)}
	env.Route = env.Rcpts[0].Route
	if err := takeMessage(env, text, int(c.Policy.Limits.Header)); err != nil {
		return nil, err
	}
	defer env.Body.Close()
	pipeline.Run(ctx, gateway.Data, in)
	record := gateway.NewRecord(gateway.Data, s, env)
	verdict := policy.Judge(record)
	event := &gateway.Event{Kind: gateway.TransactionEvent, Record: record, Verdict: verdict, Policy: policy.Version, Took: time.Since(now),
		Reply: verdict.Reply, Session: gateway.Summary{Client: s.Client, Reverse: gateway.Evident(env.Findings, gateway.EvidenceReverse)},
		Subject: gateway.CleanText(env.Header.Get("Subject"), 200), MessageID: gateway.CleanText(env.Header.Get("Message-ID"), 250)}
	for i := range record.Findings {
		event.Evidence = append(event.Evidence, record.Findings[i].Evidence)
	}
	fields := accept.Compose(env, &verdict, now)
	event.Removed = fields.Removed
	return &authenticated{event, resultsOf(fields.Added)}, nil
}

// authPipeline builds the checks of sender authentication as the policy has them, and no others.
func authPipeline(c *config.Config, policy *gateway.Policy, server string) (*gateway.Pipeline, error) {
	o := resolverOptions(c.Bootstrap, nil)
	if server != "" {
		o.Servers = []string{server}
	}
	resolver, err := dns.New(o)
	if err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	deps := &filters.Deps{Resolver: resolver, Hostname: c.Bootstrap.Hostname, Policy: policy, Only: filters.AuthChecks()}
	return filters.Build(deps, configured(c.Policy.Checks))
}

// recipient is who the message is for: somebody of the first domain that is served, if nobody was named.
func recipient(c *config.Config, policy *gateway.Policy, to gateway.Address) gateway.Recipient {
	if to.IsNull() {
		to = gateway.Address{Local: "recipient", Domain: c.Bootstrap.Hostname}
		if len(c.Policy.Domains) > 0 {
			to.Domain = strings.Replace(c.Policy.Domains[0].Name, "*", "any", 1)
		}
		to.Text = to.Local + "@" + to.Domain
	}
	r := gateway.Recipient{Address: to, Reply: gateway.SayRcptOK.Reply()}
	d := policy.Destination(to)
	r.Route, r.To = d.Route, d.To
	return r
}

// takeMessage makes the text the body of a transaction, as the edge does after the dot.
func takeMessage(e *gateway.Envelope, text []byte, header int) error {
	w := new(spool.Bodies).New()
	if _, err := w.Write(text); err != nil {
		return err
	}
	body, err := w.Done()
	if err != nil {
		return err
	}
	h, err := gateway.ReadHeader(body, header)
	if err != nil {
		return err
	}
	e.Body, e.Header = body, h
	e.Measured = gateway.Measured{Octets: int64(len(text)), EightBit: slices.ContainsFunc(text, func(c byte) bool { return c >= 0x80 })}
	return nil
}

// resultsOf returns the one Authentication-Results among the fields that we add, as it is folded.
func resultsOf(added []byte) string {
	h := gateway.ParseHeader(append(slices.Clip(added), "\r\n"...))
	for _, f := range h.All("Authentication-Results") {
		return strings.TrimSuffix(string(h.Raw[f.Start:f.End]), "\r\n")
	}
	return ""
}
