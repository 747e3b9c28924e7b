package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/filters"
	"gatepost/gateway"
	"gatepost/gateway/relay"
	"gatepost/internal/api"
	"gatepost/internal/clamd"
	"gatepost/internal/config"
	"gatepost/internal/control"
	"gatepost/internal/doctor"
	"gatepost/internal/spamd"
	"gatepost/rbl"
)

// behind is what stands behind the listener, as the doctor asks it: with parts of its own, so that it runs without the daemon.
type behind struct {
	c     *config.Config
	asked *config.Config // c with the resolver that --dns names
	p     *parts

	making sync.Mutex

	once   sync.Once
	status api.Status // of the daemon
	err    error
}

// ask asks the daemon for its state, once.
func (b *behind) ask(ctx context.Context) (*api.Status, error) {
	b.once.Do(func() {
		ctx, cancel := context.WithTimeout(ctx, statusTime)
		defer cancel()
		asked := control.Asking[struct{}](statusQuestion())
		b.err = control.NewClient(b.c.Bootstrap.Control.Socket).Ask(ctx, &asked, &struct{}{}, &b.status)
		if errors.Is(b.err, control.ErrNotRunning) {
			b.err = doctor.ErrNotRunning
		}
	})
	return &b.status, b.err
}

// assemble builds what both documents name, one at a time.
func (b *behind) assemble() (*built, error) {
	b.making.Lock()
	defer b.making.Unlock()
	return assemble(b.c, b.p)
}

// statusTime bounds the question for the state: a daemon that hangs must not hide what else there is to see.
const statusTime = 8 * time.Second

// daemon is what the daemon says of itself.
func (b *behind) daemon(ctx context.Context) (*doctor.Daemon, error) {
	s, err := b.ask(ctx)
	if err != nil {
		return nil, err
	}
	out := &doctor.Daemon{Version: s.Version, Up: time.Since(s.Since), Mode: s.Mode, Policy: s.Policy, OnDisk: b.c.PolicyVersion, Memory: s.Memory}
	if s.Drain != nil {
		out.Drained = s.Drain.String()
	}
	for _, p := range s.Parts {
		out.Parts = append(out.Parts, doctor.Part{Name: p.Part, OK: p.OK, Detail: p.Detail})
	}
	return out, nil
}

// listeners are this host's own, as they are reached from here: where the daemon says that it listens, else by the document.
func (b *behind) listeners(ctx context.Context) []string {
	s, err := b.ask(ctx)
	if err != nil {
		return listenerAddresses(b.c)
	}
	return reachedListeners(b.c.Bootstrap, s.Addresses.Listeners)
}

// lists are the DNS lists, and what they say of addresses.
func (b *behind) lists(ctx context.Context, about []netip.Addr) ([]doctor.List, error) {
	entries, err := listEntries(b.c)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	watch, err := rbl.NewSupervisor(entries, nil)
	if err != nil {
		return nil, err
	}
	r := filters.ListDNS(b.p.resolver)
	watch.Probe(ctx, r, time.Now())
	out, at := make([]doctor.List, len(entries)), map[string]int{}
	for i, s := range watch.Status(time.Now()) {
		at[s.Name] = i
		out[i] = doctor.List{Name: s.Name, Armed: s.State == rbl.Armed, Why: strings.TrimSpace(s.Cause.String() + " " + s.Detail), Website: s.Website}
	}
	for _, a := range about {
		if gateway.Inside(a) {
			continue
		}
		for _, res := range rbl.Check(ctx, r, entries, rbl.Subject{Client: a}) {
			l := &out[at[res.List]]
			switch {
			case res.Verdict == rbl.Listed && res.Weight > 0:
				l.Listed = append(l.Listed, a)
			case res.Verdict == rbl.Unknown:
				l.Unknown = append(l.Unknown, a)
			}
		}
	}
	return out, nil
}

// hops connects to every next hop as the relay does, and asks each for recipients that cannot exist.
func (b *behind) hops(ctx context.Context) ([]doctor.Hop, []doctor.Knows, error) {
	built, err := b.assemble()
	if err != nil {
		return nil, nil, err
	}
	defer built.close()
	if err := built.readFiles(ctx); err != nil {
		return nil, nil, err
	}
	learn, cancel := context.WithTimeout(ctx, hopTime)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { built.relay.Learn(learn) })
	waitFor(learn, func() bool {
		for _, h := range built.relay.Health() {
			if unasked(h) {
				return false
			}
		}
		return true
	})
	var hops []doctor.Hop
	for _, h := range built.relay.Health() {
		hops = append(hops, hopOf(b.c, &h))
	}
	var knows []doctor.Knows
	for _, k := range built.rcpts.Probe(ctx, rcptSenderOf(b.c.Bootstrap.Hostname)) {
		knows = append(knows, doctor.Knows{Domain: k.Domain, Route: k.Route, NextHop: k.NextHop, Asked: !k.Asked.IsZero(), Everyone: k.Everyone,
			NoPostmaster: gateway.CleanText(k.NoPostmaster, 200)})
	}
	cancel()
	wg.Wait()
	return hops, knows, nil
}

// services asks what else the documents name, as check --live does.
func (b *behind) services(ctx context.Context) (out []doctor.Service) {
	built, err := b.assemble()
	if err != nil {
		return nil // the next hops tell
	}
	defer built.close()
	asks := []func() []answer{
		func() []answer { return directoriesLive(ctx, built) },
		func() []answer { askNotices(ctx, built); return noticeAnswers(built) },
		func() []answer { return reportsLive(ctx, b.c, built, b.p) },
		func() []answer { return askSealingKey(ctx, b.c, b.p) },
		func() []answer { return acmeLive(ctx, b.c, b.p) },
		func() []answer { return loginLive(ctx, b.c.Bootstrap) },
	}
	said := make([][]answer, len(asks))
	atOnce(len(asks), func(i int) { said[i] = asks[i]() })
	kinds := map[string]string{"directory": "directory", "notices": "notices", "dmarc reports": "reports", "arc key": "arc_key", "acme": "acme"}
	for _, a := range slices.Concat(said...) {
		out = append(out, doctor.Service{Kind: kinds[a.What], About: a.Server, Err: a.Err, Said: a.Said})
	}
	return out
}

// hopTime is for next hops to be reached; recipients are asked for in what is left of the group's time.
const hopTime = 12 * time.Second

func hopOf(c *config.Config, h *relay.Health) doctor.Hop {
	out := doctor.Hop{Route: h.Route, Address: h.NextHop, TLS: h.TLS, Inside: insideHost(h.NextHop), Size: h.Carries.Size, EightBit: h.Carries.EightBit,
		UTF8: h.Carries.UTF8, Chunking: h.Carries.Chunking, DSN: h.Carries.DSN}
	for i := range c.Policy.Routes {
		if r := &c.Policy.Routes[i]; r.Name == h.Route {
			out.Mode = string(r.TLS)
		}
	}
	if h.LearnedAt.IsZero() || !h.Usable() || h.LastErrorAt.After(h.LastOKAt) {
		out.Said = errors.New(orUnknown(h.LastError))
	}
	return out
}

// insideHost reports whether a next hop is on this host.
func insideHost(address string) bool {
	if strings.HasPrefix(address, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	a, bad := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || bad == nil && a.IsLoopback())
}

// scanners asks each scanner, and Redis, as their probes do.
func (b *behind) scanners(ctx context.Context) []doctor.Scanner {
	boot := b.c.Bootstrap
	checks := map[string]gateway.CheckPolicy{}
	if built, err := b.assemble(); err == nil { // where it cannot be, the next hops tell
		checks = built.snapshot.Policy.Checks
		built.close()
	}
	needed := func(name string) bool {
		return checks[name].Action > gateway.ActionObserve && checks[name].Unknown >= gateway.ActionDefer
	}
	var all sync.WaitGroup
	// It is not moved while the looks write into it.
	out := make([]doctor.Scanner, 0, len(boot.ClamAV.Addresses)+len(boot.SpamAssassin.Addresses)+b.p.engines.addresses()+1)
	add := func(s doctor.Scanner, look func(s *doctor.Scanner)) {
		out = append(out, s)
		at := len(out) - 1
		all.Go(func() {
			one := s
			look(&one)
			out[at] = one
		})
	}
	used := func(name string, addresses []string) []string {
		if c, known := checks[name]; known && c.Action == gateway.ActionOff {
			return nil
		}
		return addresses
	}
	for _, a := range used("clamav", boot.ClamAV.Addresses) {
		add(doctor.Scanner{Kind: "clamd", Address: a, LocalOnly: boot.ClamAV.LocalOnly, Needed: needed("clamav")}, func(s *doctor.Scanner) { b.clamd(ctx, s) })
	}
	for _, a := range used("spamassassin", boot.SpamAssassin.Addresses) {
		add(doctor.Scanner{Kind: "spamd", Address: a, Needed: needed("spamassassin")}, func(s *doctor.Scanner) { b.spamd(ctx, s) })
	}
	all.Wait()
	for _, s := range b.engines(ctx, needed, func(name string) bool { return len(used(name, []string{""})) > 0 }) {
		add(s, func(*doctor.Scanner) {})
	}
	if b.p.redis != nil {
		add(doctor.Scanner{Kind: "redis", Address: b.p.redisName()}, func(s *doctor.Scanner) { b.redis(ctx, s) })
	}
	all.Wait()
	return out
}

func (b *behind) clamd(ctx context.Context, s *doctor.Scanner) {
	client, err := clamd.New(clamd.Config{Address: s.Address, Timeout: b.c.Bootstrap.ClamAV.Timeout})
	if err != nil {
		s.Err = err
		return
	}
	if s.Said, s.Err = client.Probe(ctx); s.Err != nil {
		return
	}
	if v, err := client.Version(ctx); err == nil {
		s.Database, s.Date = v.Database, v.Date
	}
	want := int64(b.c.Policy.Limits.MessageSize) + scanReserve
	found, err := client.ProbeLimit(ctx, want)
	s.Limit, s.LimitErr = max(found-scanReserve, 0), err
}

func (b *behind) spamd(ctx context.Context, s *doctor.Scanner) {
	client, err := spamd.New(spamd.Config{Address: s.Address, Timeout: b.c.Bootstrap.SpamAssassin.Timeout, MaxSize: int64(b.c.Bootstrap.SpamAssassin.MaxSize)})
	if err != nil {
		s.Err = err
		return
	}
	s.Said, s.Err = client.Probe(ctx)
	if insideHost(s.Address) {
		s.RulesWhere = rulesFolder
		s.Rules = rulesOf(rulesFolder)
	}
}

// rulesFolder is where sa-update leaves its rules.
const rulesFolder = "/var/lib/spamassassin"

// rulesOf is when the rules below a folder were last updated.
func rulesOf(folder string) (newest time.Time) {
	found, _ := filepath.Glob(filepath.Join(folder, "*", "updates_spamassassin_org.cf")) // the pattern is good
	for _, name := range found {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest
}

func (b *behind) redis(ctx context.Context, s *doctor.Scanner) {
	run, cancel := context.WithTimeout(ctx, liveTime)
	var wg sync.WaitGroup
	wg.Go(func() { b.p.shaper.Run(run) })
	waitFor(run, func() bool { _, asked := b.p.shaper.Health(); return asked })
	if a := b.p.redisAnswer(); a.Err != nil {
		s.Err = a.Err
	} else {
		s.Said = "answers"
	}
	cancel()
	wg.Wait()
}

// folders are those that the daemon keeps something in.
func folders(b *config.Bootstrap) []doctor.Folder {
	spool := int64(b.Spool.Reserve)
	return []doctor.Folder{
		{What: "state", Path: b.StateDir, Reserve: logReserve, Key: "state_dir", Secret: true, Durable: true},
		{What: "spool", Path: b.Spool.Dir, Reserve: spool, Key: "spool.dir", Secret: true, Durable: true},
		{What: "bodies", Path: b.Body.Dir, Reserve: bodyReserve, Key: "body.dir", Secret: true},
	}
}

// What must stay free in folders that have no reserve of their own.
const (
	logReserve  = 256 << 20
	bodyReserve = 256 << 20
)

// hopNeeds is what needs a validating resolver; "" for nothing.
func hopNeeds(c *config.Config) string {
	for i := range c.Policy.Routes {
		if r := &c.Policy.Routes[i]; r.TLS == config.TLSDANE || r.TLS == config.TLSDANEOnly {
			return fmt.Sprintf("route %s (tls = %s)", r.Name, r.TLS)
		}
	}
	return ""
}

// behindOf makes what is asked behind the listener.
func behindOf(c *config.Config, server string) (*behind, error) {
	boot := *c.Bootstrap
	if server != "" {
		boot.DNS.Servers = []string{server}
	}
	p, err := newParts(&boot, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	asked := *c
	asked.Bootstrap = &boot
	return &behind{c: c, asked: &asked, p: p}, nil
}
