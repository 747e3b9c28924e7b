package journal

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gatepost/gateway"
)

// maxLabels bounds the values of one label; what comes beyond reads as "other". All values are of closed lists or of the
// configuration, so that the bound is only met by a mistake.
const maxLabels = 128

// Metrics are the counts of the gateway in a registry of their own. Its methods are safe for concurrent use.
type Metrics struct {
	registry     *prometheus.Registry
	connections  *prometheus.CounterVec
	encrypted    *prometheus.CounterVec
	early        *prometheus.CounterVec
	transactions *prometheus.CounterVec
	recipients   *prometheus.CounterVec
	behind       prometheus.Counter
	octets       prometheus.Counter
	took         prometheus.Histogram
	checks       *prometheus.CounterVec
	checkTime    *prometheus.HistogramVec
	relays       *prometheus.CounterVec
	hopTime      *prometheus.HistogramVec
	dropped      *prometheus.CounterVec
	lines        *prometheus.CounterVec

	found  sync.Map // name of a check -> *checkMetrics, and gateway.Reason -> prometheus.Counter of early refusals
	mu     sync.RWMutex
	values map[string]map[string]bool // label -> values seen
}

// checkMetrics are those of one check, at hand: each event has a dozen findings.
type checkMetrics struct {
	results [gateway.NotRun + 1]prometheus.Counter
	took    prometheus.Observer
}

const namespace = "gatepost"

// newMetrics makes the registry with the process's own metrics in it.
func newMetrics() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), values: make(map[string]map[string]bool)}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	times := func(name, help string, from float64, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help,
			Buckets: prometheus.ExponentialBuckets(from, 4, 9)}, labels)
		m.registry.MustRegister(h)
		return h
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.connections = counter("connections_total", "Connections that got the banner, by listener and how they ended.", "listener", "end")
	m.encrypted = counter("tls_connections_total", "Connections that got the banner, by the version of TLS at their end (none: in clear) and whether a ticket resumed it.", "version", "resumed")
	m.early = counter("early_refusals_total", "Connections refused before the banner, by reason.", "reason")
	m.transactions = counter("transactions_total", "Transactions, by verdict and reason.", "verdict", "reason")
	m.recipients = counter("recipients_total", "Recipients named in RCPT, by the class of the reply.", "reply")
	m.took = times("transaction_seconds", "Time of transactions, from MAIL to the last word.", 0.004).WithLabelValues().(prometheus.Histogram)
	m.behind = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "relayed_transactions_total", Help: "Transactions from trusted relays, whose address is not judged."})
	m.octets = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "message_octets_total", Help: "Octets of messages that came in."})
	m.registry.MustRegister(m.octets, m.behind)
	m.checks = counter("checks_total", "Checks, by name and result.", "check", "result")
	m.checkTime = times("check_seconds", "Time of checks that ran, by name.", 0.0001, "check")
	m.relays = counter("relays_total", "Relays to a next hop, by how they ended.", "result")
	m.hopTime = times("next_hop_seconds", "Time of relays, by next hop.", 0.004, "next_hop")
	m.dropped = counter("journal_dropped_total", "Events and lines that found no room, by sink.", "sink")
	m.lines = counter("journal_lines_total", "Lines told, by verb.", "verb")
	return m
}

// Registry is where other parts may register what is theirs.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Gauge shows a number that f tells when it is asked; f must be quick and safe for concurrent use. The name gets the
// prefix "gatepost_". A name that is taken panics: it is a mistake in the wiring.
func (m *Metrics) Gauge(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, f))
}

// Counter shows a number that only grows, which f tells when it is asked. It is otherwise as Gauge.
func (m *Metrics) Counter(name, help string, f func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, f))
}

// Series is one number that Gauges or Counters shows, with the values of the labels.
type Series struct {
	Labels []string
	Value  float64
}

// Gauges shows a family of numbers, told apart by labels, that f tells when it is asked. What f tells is of the
// configuration, and bounded; two with equal labels are one mistake, and the first counts. It is otherwise as Gauge.
func (m *Metrics) Gauges(name, help string, labels []string, f func() []Series) {
	m.registry.MustRegister(&family{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.GaugeValue, f})
}

// Counters shows a family of numbers that only grow. It is otherwise as Gauges.
func (m *Metrics) Counters(name, help string, labels []string, f func() []Series) {
	m.registry.MustRegister(&family{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.CounterValue, f})
}

// family is a prometheus.Collector that asks.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	ask  func() []Series
}

// Describe is that of prometheus.Collector.
func (c *family) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect is that of prometheus.Collector.
func (c *family) Collect(to chan<- prometheus.Metric) {
	seen := make(map[string]bool)
	for _, s := range c.ask() {
		key := strings.Join(s.Labels, "\x00")
		m, err := prometheus.NewConstMetric(c.desc, c.kind, s.Value, s.Labels...)
		if err == nil && !seen[key] && len(seen) < maxLabels {
			seen[key] = true
			to <- m
		}
	}
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// bound returns the value, or "other" once a label has too many.
func (m *Metrics) bound(label, value string) string {
	if value == "" {
		return "none"
	}
	m.mu.RLock()
	known, full := m.values[label][value], len(m.values[label]) >= maxLabels
	m.mu.RUnlock()
	if known {
		return value
	}
	if full || len(value) > 200 {
		return "other"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values[label] == nil {
		m.values[label] = make(map[string]bool)
	}
	if len(m.values[label]) >= maxLabels {
		return "other"
	}
	m.values[label][value] = true
	return value
}

// observe counts an event.
func (m *Metrics) observe(e *gateway.Event) {
	r := e.Record
	for i := range r.Findings {
		// A transaction's Record repeats what its connection found; the connection's own event counts that.
		if f := &r.Findings[i]; e.Kind == gateway.ConnectionEvent || f.Stage != gateway.Connect {
			m.observeFinding(f)
		}
	}
	if e.Kind == gateway.ConnectionEvent {
		m.connections.WithLabelValues(m.bound("listener", r.Listener), m.bound("end", e.Session.End)).Inc()
		m.encrypted.WithLabelValues(m.bound("version", e.Session.TLS.Version), strconv.FormatBool(e.Session.TLS.Resumed)).Inc()
		return
	}
	m.transactions.WithLabelValues(e.Verdict.Outcome.String(), m.bound("reason", string(e.Verdict.Reason))).Inc()
	if r.Relay {
		m.behind.Inc()
	}
	m.took.Observe(e.Took.Seconds())
	m.octets.Add(float64(max(r.Size, 0)))
	for i := range r.Rcpts {
		m.recipients.WithLabelValues(class(r.Rcpts[i].Code)).Inc()
	}
	if e.Relayed != nil {
		m.relays.WithLabelValues(e.Relayed.Result.String()).Inc()
		m.hopTime.WithLabelValues(m.bound("next_hop", e.Relayed.NextHop)).Observe(e.Relayed.Took.Seconds())
	}
}

// refused counts a connection that was refused before the banner.
func (m *Metrics) refused(reason gateway.Reason) {
	if c, ok := m.found.Load(reason); ok {
		c.(prometheus.Counter).Inc()
		return
	}
	label := m.bound("reason", string(reason))
	c := m.early.WithLabelValues(label)
	c.Inc()
	if label == string(reason) {
		m.found.Store(reason, c)
	}
}

func (m *Metrics) observeFinding(f *gateway.Finding) {
	var c *checkMetrics
	if known, ok := m.found.Load(f.Check); ok {
		c = known.(*checkMetrics)
	} else {
		c = m.ofCheck(f.Check)
	}
	if f.Result > gateway.NotRun {
		return // there is no such result
	}
	c.results[f.Result].Inc()
	if f.Result != gateway.NotRun {
		c.took.Observe(f.Took.Seconds())
	}
}

// ofCheck finds the metrics of a check, and remembers them unless they are those of all others.
func (m *Metrics) ofCheck(name string) *checkMetrics {
	check := m.bound("check", name)
	c := &checkMetrics{took: m.checkTime.WithLabelValues(check)}
	for r := range c.results {
		c.results[r] = m.checks.WithLabelValues(check, gateway.Result(r).String())
	}
	if check == name {
		m.found.Store(name, c)
	}
	return c
}

func class(code int) string {
	switch code / 100 {
	case 2:
		return "2xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	}
	return "none"
}
