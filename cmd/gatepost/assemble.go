package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/ledger"
	"gatepost/gateway/recipients"
	"gatepost/gateway/relay"
	"gatepost/gateway/reports"
	"gatepost/greylist"
	"gatepost/internal/addrpool"
	"gatepost/internal/alarm"
	"gatepost/internal/clamd"
	"gatepost/internal/config"
	"gatepost/internal/directory"
	"gatepost/internal/dns"
	"gatepost/internal/hits"
	"gatepost/internal/limit"
	"gatepost/internal/memory"
	"gatepost/internal/ownlist"
	"gatepost/internal/redis"
	"gatepost/internal/shaping"
	"gatepost/internal/spamd"
	"gatepost/internal/unpack"
	"gatepost/rbl"
	"gatepost/tls/mtasts"
)

// parts are what outlives a policy: connections, caches and what was learned. check makes the same ones, and uses none.
type parts struct {
	resolver   *dns.Resolver
	clamav     *addrpool.Pool[*clamd.Client]
	spam       *addrpool.Pool[*spamd.Client]
	engines    *engines
	pupils     pupils
	unpack     *unpack.Client
	reading    *unpack.Client // of reports that others send
	received   receivedReports
	log        *slog.Logger
	hops       *relay.Pools
	reportHops *relay.Pools // the way out for reports
	noticeHops *relay.Pools // that for failure notices
	recipients *recipients.Cache
	own        atomic.Pointer[ownlist.Book]  // users' own lists; nil until control data are there
	hits       hits.Counter                  // of entries of allow and block lists
	known      *memory.Known                 // of domains, paths and sealers
	signatures atomic.Pointer[clamd.Version] // what clamd last said of its database; nil while it is not known
	seals      filters.SealCounts
	shaper     *shaping.Stores
	reputation *shaping.Reputation
	histories  *memory.Reputation // those of this process
	strangers  *greylist.Memory   // what shaper remembers here
	keyer      *greylist.Keyer
	limited    filters.RateCounts
	fronts     fronts
	bounces    *limit.Learned  // how many usually come to each mailbox
	redis      *redis.Settings // nil without Redis
	deliveries ledger.Store    // what nodes know together; nil without Redis
	sharing    shaping.Options
	secret     []byte                         // that nodes share; nil: the installation's own
	policies   *mtasts.Cache                  // of next hops
	scanLimit  atomic.Int64                   // the largest message that every clamd was seen to look through; 0 while it is not known
	lists      atomic.Pointer[rbl.Supervisor] // in force; nil for none
	listHeld   filters.Held

	directories directories // of recipients
	bypasses    gateway.Bypasses

	// policyFailed is told of each MTA-STS policy that was promised and could not be had; nil where nobody listens.
	policyFailed func(domain string, fault *mtasts.Fault)

	// listChanged is told what becomes of lists; nil where nobody listens.
	listChanged func(rbl.Change)
}

// greylistPairs is how many pairs of sender and recipient this process remembers: about 40 MB when it is full.
const greylistPairs = 1 << 19

// newParts makes what the bootstrap document names. It connects to nobody.
func newParts(b *config.Bootstrap, log *slog.Logger) (*parts, error) {
	p := &parts{hops: relay.NewPools(nil, log), reportHops: relay.NewPools(nil, log), noticeHops: relay.NewPools(nil, log), recipients: recipients.NewCache(0),
		known: memory.NewKnown(memory.KnownOptions{Log: log}), bounces: limit.NewLearned(0), strangers: greylist.NewMemory(greylistPairs)}
	p.directories.log = log
	p.unpack, p.reading, p.log = newUnpack(b), newUnpack(b, unpackRead), log
	p.shaper = shaping.New(limit.NewMemory(0), p.strangers)
	p.histories = memory.NewReputation(memory.ReputationOptions{Log: log})
	p.reputation = shaping.NewReputation(p.histories)
	err := p.useRedis(b, log)
	if err != nil {
		return nil, err
	}
	if err := p.useKey(nil); err != nil {
		return nil, err
	}
	if p.resolver, err = dns.New(resolverOptions(b, log)); err != nil {
		return nil, fmt.Errorf("dns: %w", err)
	}
	for _, way := range p.ways() {
		way.Find(finder{p.resolver})
	}
	p.usePolicies("", log)
	if len(b.ClamAV.Addresses) > 0 {
		p.clamav, err = addrpool.New(addrpool.Config[*clamd.Client]{Addresses: b.ClamAV.Addresses, PerAddress: b.ClamAV.MaxConnections,
			Open: func(a string) (*clamd.Client, error) {
				return clamd.New(clamd.Config{Address: a, Timeout: b.ClamAV.Timeout})
			},
			Probe:      p.probeClamAV,
			Repeatable: clamd.Repeatable, Blames: clamd.Blames, Distrusts: clamd.Distrusts})
		if err != nil {
			return nil, fmt.Errorf("clamav: %w", err)
		}
	}
	if len(b.SpamAssassin.Addresses) > 0 {
		p.spam, err = addrpool.New(addrpool.Config[*spamd.Client]{Addresses: b.SpamAssassin.Addresses, PerAddress: b.SpamAssassin.MaxConnections,
			Open: func(a string) (*spamd.Client, error) {
				return spamd.New(spamd.Config{Address: a, Timeout: b.SpamAssassin.Timeout, MaxSize: int64(b.SpamAssassin.MaxSize)})
			},
			Probe:      func(ctx context.Context, c *spamd.Client) (string, error) { return c.Probe(ctx) },
			Repeatable: spamd.Repeatable, Blames: spamd.Blames, Distrusts: spamd.Distrusts})
		if err != nil {
			return nil, fmt.Errorf("spamassassin: %w", err)
		}
	}
	if p.engines, err = newEngines(b, log); err != nil {
		return nil, err
	}
	if p.pupils, err = newPupils(b, log); err != nil {
		return nil, err
	}
	return p, nil
}

// ways are all that mail goes out by.
func (p *parts) ways() []*relay.Pools { return []*relay.Pools{p.hops, p.reportHops, p.noticeHops} }

// resolverOptions translates the table dns; the decoder knows no other words for whose AD bit counts.
func resolverOptions(b *config.Bootstrap, log *slog.Logger) dns.Options {
	o := dns.Options{Servers: b.DNS.Servers, Deadline: b.DNS.Timeout, Logger: log}
	switch b.DNS.TrustAD {
	case "all":
		o.TrustAD = dns.TrustAll
	case "none":
		o.TrustAD = dns.TrustNone
	}
	return o
}

// built is one configuration, ready to be swapped in.
type built struct {
	snapshot *gateway.Snapshot
	relay    *relay.Relay
	rcpts    *recipients.Recipients
	lists    *rbl.Supervisor // nil for none
	pregreet filters.Pregreet
	greylist greylist.Settings
	reports  *reports.Settings // nil while they are off
	outward  *relay.Relay      // the way out for them; nil as well

	tlsReports *reports.Settings // about TLS; nil while they are off
	tlsOutward *relay.Relay      // the way out for them; nil as well

	notices *relay.Relay    // the way out for failure notices; nil while there are none
	routes  map[string]bool // names of those that there are
	rates   limit.Limits
	guard   guard

	directories []*directory.Directory    // that rcpts asks
	policies    map[string]*mtasts.Policy // of MTA-STS, of domains of ours

	alarms alarm.Settings
	mailer *smarthost // of notices; nil where nothing is mailed
}

// close gives back the connections that only it uses.
func (b *built) close() {
	b.relay.Close()
	if b.outward != nil {
		b.outward.Close()
	}
	if b.tlsOutward != nil {
		b.tlsOutward.Close()
	}
	if b.notices != nil {
		b.notices.Close()
	}
}

// assemble makes a snapshot of a configuration: the same at start, at reload and in check. Its error names the keys.
func assemble(c *config.Config, p *parts) (*built, error) {
	if err := trainable(c, p); err != nil {
		return nil, err
	}
	policy := makePolicy(c)
	if err := makeRouting(c, policy); err != nil {
		return nil, err
	}
	if err := makeGroups(c, policy); err != nil {
		return nil, err
	}
	routes, err := makeRoutes(c)
	if err != nil {
		return nil, err
	}
	b := &built{}
	if b.relay, err = relay.New(p.hops, routes); err != nil {
		return nil, fmt.Errorf("route: %w", err)
	}
	if b.reports, b.outward, err = makeReports(c, p, routes); err != nil {
		b.close()
		return nil, err
	}
	if b.tlsReports, b.tlsOutward, err = makeTLSReports(c, p, routes); err != nil {
		b.close()
		return nil, err
	}
	if b.notices, err = makeNotices(c, p, routes); err != nil {
		b.close()
		return nil, err
	}
	if b.alarms, b.mailer, err = makeAlarms(c); err != nil {
		b.close()
		return nil, err
	}
	b.policies = hostedPolicies(c)
	b.routes = make(map[string]bool, len(routes))
	for i := range routes {
		b.routes[routes[i].Name] = true
	}
	sources, used, err := makeSources(c, policy, &p.directories)
	if err != nil {
		b.close()
		return nil, err
	}
	b.directories, b.rcpts = used, recipients.New(p.recipients, b.relay, sources)
	if b.lists, err = makeLists(c, p); err != nil {
		b.close()
		return nil, err
	}
	deps := &filters.Deps{Resolver: p.resolver, Recipients: b.rcpts, Known: p.known, Contacts: p.known, Shaper: p.shaper, Keyer: p.keyer, Rates: makeRates(c.Policy.Rates), Limited: &p.limited, Reputation: p.reputation, Bounces: p.bounces, Hostname: c.Bootstrap.Hostname, Policy: policy,
		SpamHead: int64(c.Bootstrap.SpamAssassin.MaxSize), ScanLimit: p.scanLimit.Load}
	deps.Lists, deps.Held, deps.TLSRules = b.lists, &p.listHeld, tlsRules(c)
	deps.Unpack = p.unpack
	if c.Policy.Portal.Login { // without it nobody could see or change what would count
		deps.OwnLists = p.ownEntries
	}
	if p.clamav != nil {
		deps.ClamAV = p.clamav
	}
	if p.spam != nil {
		deps.SpamAssassin = p.spam
	}
	p.engines.deps(c.Bootstrap, deps)
	checks := configured(c.Policy.Checks)
	pipeline, err := filters.Build(deps, checks)
	if err != nil {
		b.close() // what only it would have used is given back
		return nil, err
	}
	makeLevels(c, policy)
	sealer, err := makeSealer(c, deps, &p.seals)
	if err != nil {
		b.close()
		return nil, err
	}
	b.pregreet, b.greylist = filters.PregreetOf(checks), filters.GreylistOf(checks)
	b.rates = deps.Rates
	b.guard = makeGuard(&p.fronts, b.rates, policy, checks)
	b.snapshot = &gateway.Snapshot{Policy: policy, Pipeline: pipeline, NextHop: makeReportHop(c, p, policy, b.relay), Hostname: c.Bootstrap.Hostname,
		Banner: strings.TrimSpace(strings.TrimPrefix(c.Policy.SMTP.Banner, "ESMTP")), Limits: makeLimits(c, policy, p), Offers: makeOffers(c),
		Gate:    gateway.Gate{Wait: b.pregreet.Wait, StressWait: b.pregreet.StressWait, RefuseAtConnect: c.Policy.SMTP.RefuseAt == config.RefuseAtConnect},
		Tag:     gateway.SubjectTag{Text: c.Policy.Tag.Subject, Signed: c.Policy.Tag.Signed},
		Banners: makeBanners(c),
		Sealer:  sealer, Bypasses: &p.bypasses,
		Spools: spooling(c.Policy), MarkQuarantined: c.Policy.Quarantine.Action == config.VaultMark,
		Normalise: normalises(c)}
	asksCertificate(b.snapshot, deps.TLSRules)
	return b, nil
}

// makePolicy translates the document; filters.Build adds the checks.
func makePolicy(c *config.Config) *gateway.Policy {
	p := &gateway.Policy{Version: c.PolicyVersion, Domains: map[string]*gateway.Domain{}, Where: c.Where,
		Thresholds: thresholds(c.Policy.Thresholds), Trusted: c.Policy.Trusted.Networks, Relays: relays(c.Policy),
		Delays: gateway.Delays{UnknownRecipient: c.Policy.Limits.UnknownWait},
		Mode: map[config.Mode]gateway.Mode{config.ModeObserve: gateway.ObserveOnly, config.ModeSoft: gateway.Soft,
			config.ModeEnforce: gateway.Enforce}[c.Policy.Mode]}
	for i := range c.Policy.Domains {
		d := &c.Policy.Domains[i]
		domain := &gateway.Domain{Name: d.Name, Subdomains: d.Subdomains, Route: d.Route, Subaddress: d.Subaddress, Subject: d.LogSubject, Contact: d.Contact, Unedited: !d.Edits}
		if d.Thresholds != nil {
			t := thresholds(c.Policy.ThresholdsOf(d))
			domain.Thresholds = &t
		}
		p.Domains[strings.TrimPrefix(d.Name, "*")] = domain
		if p.Postmaster == nil && !strings.HasPrefix(d.Name, "*") {
			p.Postmaster = domain
		}
	}
	return p
}

// relays translates the trusted relays.
func relays(p *config.Policy) (out []gateway.TrustedRelay) {
	for _, r := range p.Relays {
		out = append(out, gateway.TrustedRelay{Networks: r.Networks, Until: r.Until.End()})
	}
	return out
}

func thresholds(t config.Thresholds) gateway.Thresholds {
	return gateway.Thresholds{Tag: t.Tag, Quarantine: t.Quarantine, Reject: t.Reject}
}

// Times that no operator has a reason to change: for a TLS handshake, and for one write towards a client that does not read.
const (
	handshakeTime = 30 * time.Second
	writeTime     = 60 * time.Second
)

// scanReserve is what our own fields and the encoding around a message may add.
const scanReserve = 64 << 10

// makeLimits translates the limits. A message that clamd would not look through whole is refused at MAIL, by SIZE, where
// being unscanned would defer it for ever.
func makeLimits(c *config.Config, policy *gateway.Policy, p *parts) gateway.Limits {
	l := &c.Policy.Limits
	out := gateway.Limits{Connections: l.Connections, PerClient: l.ConnectionsPerClient, PerClientKnown: l.PerClientKnown,
		PerClientBad: l.PerClientBad, PerNetwork: l.PerNetwork, PerWideNetwork: l.PerWideNetwork, CommandLine: int(l.CommandLine),
		HeaderSize: int(l.Header), Hops: l.Hops, Recipients: l.Recipients, RecipientsKnown: l.Known, Transactions: l.Transactions,
		MessageSize: int64(l.MessageSize), Errors: l.Errors, SlowAfter: l.SlowErrors, ErrorDelay: l.ErrorWait,
		UnknownCommands: l.UnknownCommands, JunkCommands: l.JunkCommands, TransactionDelay: l.UnknownWaitAll, CommandTimeout: l.CommandTimeout,
		SessionTime: l.SessionTime, DataTimeout: l.DataTimeout, DataTime: l.DataTime, DataSizeRate: int64(l.DataRate),
		DataRate: int64(l.DataMinRate), DataRateWindow: l.DataWindow, VerdictTime: l.VerdictTime, ReplyTime: l.ReplyTime,
		Stress: makeStress(c), HandshakeTimeout: handshakeTime, WriteTimeout: writeTime}
	scan := policy.Checks["clamav"]
	if limit := p.scanLimit.Load(); limit > 0 && scan.Action > gateway.ActionObserve && scan.Unknown >= gateway.ActionDefer {
		out.MessageSize = min(out.MessageSize, max(limit-scanReserve, 1))
	}
	if i := policy.Checks["icap"]; c.Bootstrap.ICAP.Send == filters.ICAPMessage && i.Action > gateway.ActionObserve && i.Unknown >= gateway.ActionDefer {
		out.MessageSize = min(out.MessageSize, max(int64(c.Bootstrap.ICAP.MaxSize)-scanReserve, 1))
	}
	return out
}

func makeStress(c *config.Config) gateway.Stress {
	s := &c.Policy.Stress
	return gateway.Stress{ConnectionsOn: s.ConnectionsOn, ConnectionsOff: s.ConnectionsOff, MemoryOn: s.MemoryOn, MemoryOff: s.MemoryOff,
		MemoryFull: s.MemoryFull, CommandTimeout: s.CommandTimeout}
}

func makeOffers(c *config.Config) gateway.Offers {
	has := func(word string) bool {
		return !slices.ContainsFunc(c.Policy.SMTP.Without, func(w string) bool { return strings.EqualFold(w, word) })
	}
	return gateway.Offers{Pipelining: has("PIPELINING"), Size: has("SIZE"), EightBitMIME: has("8BITMIME"), SMTPUTF8: has("SMTPUTF8"),
		Chunking: has("CHUNKING"), DSN: has("DSN"), StartTLS: has("STARTTLS"), Limits: has("LIMITS"), RequireTLS: has("REQUIRETLS")}
}

// normalises tells for which clients bare CR and LF become CRLF.
func normalises(c *config.Config) func(*gateway.Session) bool {
	networks := c.Policy.SMTP.NormaliseFor
	if len(networks) == 0 {
		return nil
	}
	return func(s *gateway.Session) bool {
		a := s.Client.Addr().Unmap()
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
	}
}
