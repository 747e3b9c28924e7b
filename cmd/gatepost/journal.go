package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/gatepost/maillog"
	"gatepost/gateway/journal"
	"gatepost/gateway/relay"
	"gatepost/gateway/smtpd"
	"gatepost/internal/addrpool"
	"gatepost/internal/api"
)

// openJournal makes the journal with its sinks: stdout, and syslog where the document names it.
func openJournal(d *daemon) (*journal.Journal, error) {
	d.tail = maillog.NewTail(d.versions.shadow.Before(d.store))
	sinks := []journal.Sink{journal.NewWriter("stdout", d.e.Out, 0)}
	if where := d.bootstrap.Log.Syslog; where != "" && where != "none" {
		network, address, _ := strings.Cut(where, ":")
		if network == "unix" {
			network = "unixgram"
		}
		s, err := journal.NewSyslog(journal.SyslogOptions{Network: network, Address: address, Hostname: d.bootstrap.Hostname})
		if err != nil {
			return nil, fmt.Errorf("log.syslog: %w", err)
		}
		sinks = append(sinks, s)
	}
	return journal.New(journal.Options{Sinks: sinks, Store: d.tail}), nil
}

// instruments adds what only the wiring knows to the metrics and to the parts of readiness.
func (d *daemon) instruments() {
	m, h := d.journal.Metrics(), d.journal.Health()
	m.Gauge("sessions", "Open SMTP connections.", func() float64 { return float64(d.server.Sessions()) })
	m.Gauge("stress", "1 while load is shed.", func() float64 {
		if d.server.Stressed() {
			return 1
		}
		return 0
	})
	m.Gauge("clients_remembered", "Clients of which something is remembered.", func() float64 { return float64(d.memory.Len()) })
	m.Gauge("domains_known", "Author domains of which something is known.", func() float64 { n, _, _ := d.parts.known.Len(); return float64(n) })
	m.Gauge("paths_known", "Indirect paths of which something is known.", func() float64 { _, n, _ := d.parts.known.Len(); return float64(n) })
	m.Counter("health_checks_total", "Connections of proxies that asked for themselves (PROXY LOCAL or UNKNOWN).", func() float64 { return float64(d.server.HealthChecks()) })
	m.Gauge("draining", "1 while an operator drains the host.", func() float64 {
		if d.drained.Load() != nil {
			return 1
		}
		return 0
	})
	m.Gauge("memory_limit_octets", "Memory that the machine or the control group gives us.", func() float64 { return float64(d.resources.Limit) })
	m.Gauge("memory_pressure", "Share of it that is in use and cannot be given back.", d.resources.Pressure)
	m.Gauge("bodies", "Messages on their way.", func() float64 { return float64(d.bodies.Open()) })
	m.Gauge("body_memory_octets", "Octets of memory for messages on their way, in use and kept at hand.", func() float64 { return float64(d.bodies.InMemory()) })
	m.Gauge("body_disk_octets", "Octets of messages on their way in files.", func() float64 { return float64(d.bodies.OnDisk()) })
	m.Gauge("message_size_octets", "The largest message that is taken.", func() float64 { return float64(d.now.Load().snapshot.Limits.MessageSize) })
	m.Counter("log_dropped_total", "Events that the message log had no room for.", func() float64 { return float64(d.store.Stats().Dropped) })
	m.Counter("log_failed_total", "Events that the disk of the message log refused.", func() float64 { return float64(d.store.Stats().Failed) })
	m.Counter("dns_lookups_total", "DNS lookups.", func() float64 { return float64(d.parts.resolver.Stats().Lookups) })
	m.Counter("dns_failures_total", "DNS lookups that brought no answer.", func() float64 { return float64(d.parts.resolver.Stats().Failures) })
	m.Counters("seals_total", "Messages that were to get an ARC set, by what became of it; left: its chain takes no more.", []string{"result"}, func() []journal.Series {
		c := &d.parts.seals
		return []journal.Series{{Labels: []string{"sealed"}, Value: float64(c.Sealed.Load())}, {Labels: []string{"left"}, Value: float64(c.Left.Load())},
			{Labels: []string{"failed"}, Value: float64(c.Failed.Load())}}
	})
	d.guests.Instruments(m, d.parts.strangers)
	d.reputationInstruments(m)
	d.hopInstruments(m)
	d.rateInstruments(m)
	d.reportInstruments()
	d.tlsReportInstruments()
	d.spoolInstruments(m)
	d.vaultInstruments(m)
	d.sharedInstruments()
	d.listInstruments(m)
	d.tlsaInstruments(m)
	d.acmeInstruments(m)
	d.ledgerInstruments(m)
	d.certificateInstruments(m)
	d.policyInstruments(m)
	h.Watch("mta-sts", d.hostingHealth)
	if d.public != nil {
		d.public.instruments(m)
	}
	for name, list := range d.parts.scanners() {
		for i := range list {
			health := func() addrpool.Health { return d.parts.scanners()[name][i] }
			m.Gauge(fmt.Sprintf("scanner_up_%s_%d", metricWord(name), i), "1 while "+list[i].Address+" works.", func() float64 {
				if h := health(); h.Usable() && !h.LastOKAt.IsZero() {
					return 1
				}
				return 0
			})
		}
		h.Watch(name, func() (bool, string) { return anyUsable(d.parts.scanners()[name]) })
	}
	d.engineInstruments(m)
	h.Require("listeners", func() (bool, string) {
		if d.stopping.Load() {
			return false, "the gateway drains"
		}
		if o := d.drained.Load(); o != nil {
			return false, o.String()
		}
		return true, fmt.Sprintf("%d sessions", d.server.Sessions())
	})
	h.Watch("accept", d.server.Accepting)
	h.Watch("load", d.load)
	h.Watch("clients", d.server.ClientsSeen)
	if d.parts.clamav != nil {
		h.Watch("signatures", func() (bool, string) { return d.parts.signatureHealth(d.bootstrap.ClamAV.LocalOnly, time.Now()) })
	}
	h.Watch("dns", d.parts.dnsHealth)
	h.Watch("lists", d.listHealth)
	d.watchPeople(h)
	d.recipientInstruments(m)
	h.Watch("sandbox", d.sandboxHealth)
	h.Watch("unpack", d.parts.unpackHealth)
	d.parts.unpackInstruments(m)
	h.Watch("descriptors", d.descriptorHealth)
	h.Watch("log", d.store.Health)
	h.Watch("next hops", func() (bool, string) {
		for _, hop := range d.now.Load().relay.Health() {
			if !hop.Usable() {
				return false, hop.NextHop + ": " + orUnknown(hop.LastError)
			}
		}
		return true, ""
	})
}

// hopInstruments shows each next hop of each route in force.
func (d *daemon) hopInstruments(m *journal.Metrics) {
	labels := []string{"route", "next_hop"}
	each := func(number func(h *relay.Health) float64) func() []journal.Series {
		return func() (out []journal.Series) {
			for _, h := range d.now.Load().relay.Health() {
				out = append(out, journal.Series{Labels: []string{h.Route, h.NextHop}, Value: number(&h)})
			}
			return out
		}
	}
	m.Gauges("next_hop_up", "1 while messages are handed to the next hop, 0 while it rests after failures.", labels, each(func(h *relay.Health) float64 {
		if h.Usable() {
			return 1
		}
		return 0
	}))
	m.Gauges("next_hop_connections_busy", "Connections to the next hop that a message or a question has.", labels, each(func(h *relay.Health) float64 { return float64(h.InUse) }))
	m.Gauges("next_hop_connections_idle", "Connections to the next hop that wait for a message.", labels, each(func(h *relay.Health) float64 { return float64(h.Idle) }))
	m.Gauges("next_hop_waiting", "Messages and questions that wait for a connection to the next hop.", labels, each(func(h *relay.Health) float64 { return float64(h.Waiting + h.Asking) }))
	m.Counters("next_hop_turned_away_total", "Messages and questions that got no connection to the next hop, since too many waited or none became free in time.", labels,
		each(func(h *relay.Health) float64 { return float64(h.Busy) }))
}

// load is the part of status that tells whether load is shed.
func (d *daemon) load() (bool, string) {
	if d.server.Stressed() {
		return false, "load is shed: shorter waits and timeouts, refusals in place of the banner"
	}
	return true, ""
}

// tellStress tells the journal that load begins to be shed, or that it is over.
func (d *daemon) tellStress(e smtpd.Stress) {
	attrs := []slog.Attr{slog.Int("connections", e.Connections), slog.Int("connections_most", e.Most)}
	if e.Memory > 0 {
		attrs = append(attrs, slog.Float64("memory", math.Round(e.Memory*1000)/1000))
	}
	if e.On {
		d.journal.Daemon(journal.StressOn, attrs...)
		return
	}
	d.journal.Daemon(journal.StressOver, append(attrs, slog.Duration("after", e.After.Round(time.Second)))...)
}

func anyUsable(list []addrpool.Health) (bool, string) {
	detail := ""
	for _, h := range list {
		if h.Usable() && !h.LastOKAt.IsZero() {
			return true, h.Info
		}
		detail = h.Address + " did not answer yet"
		if h.LastError != nil {
			detail = h.Address + ": " + h.LastError.Error()
		}
	}
	return false, detail
}

// readiness lists the parts as status shows them.
func (d *daemon) readiness() []api.Part {
	var out []api.Part
	_, parts := d.journal.Health().Parts()
	for _, p := range parts {
		out = append(out, api.Part{Part: p.Name, OK: p.OK, Detail: p.Detail})
	}
	return out
}

// announce tells the journal and whoever started us where we listen.
func (d *daemon) announce() {
	where := d.where
	attrs := []slog.Attr{slog.String("version", version), slog.String("policy", d.document.Load().PolicyVersion),
		slog.String("mode", d.now.Load().snapshot.Policy.Mode.String())}
	for name, at := range where.Listeners {
		attrs = append(attrs, slog.String("listener_"+name, at))
	}
	if where.Metrics != "" {
		attrs = append(attrs, slog.String("metrics", where.Metrics))
	}
	for name, at := range map[string][]string{"public_http": where.PublicHTTP, "public_https": where.PublicHTTPS, "portal": where.Portal, "ssh": where.SSH} {
		if len(at) > 0 {
			attrs = append(attrs, slog.String(name, strings.Join(at, ", ")))
		}
	}
	d.journal.Daemon(journal.Ready, attrs...)
}

// relearn keeps one goroutine that learns what the next hops of the policy in force carry.
type relearn struct {
	mu   sync.Mutex
	stop context.CancelFunc
}

// with stops the learning of the policy before and begins that of the next.
func (r *relearn) with(ctx context.Context, learn func(context.Context)) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.mu.Lock()
	before := r.stop
	r.stop = stop
	r.mu.Unlock()
	if before != nil {
		before()
	}
	go learn(ctx)
}

// end stops it.
func (r *relearn) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		r.stop()
	}
}
