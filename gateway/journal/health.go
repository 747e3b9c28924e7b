package journal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// probeTime is how long a part may take to tell how it is.
const probeTime = time.Second

// Part is how one part of the daemon is.
type Part struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"` // the gateway is not ready without it
	Detail   string `json:"detail,omitempty"`
}

// Health is the list of parts that tell how they are. It is safe for concurrent use.
type Health struct {
	mu    sync.Mutex
	parts []*part
}

type part struct {
	name     string
	required bool
	probe    func() (ok bool, detail string)
	mu       sync.Mutex
	at       *call // nil while nobody asks
}

func newHealth(m *Metrics) *Health {
	h := new(Health)
	m.registry.MustRegister(&healthCollector{h: h, desc: prometheus.NewDesc(namespace+"_part_up",
		"1 while a part of the daemon is well: listeners, scanners, next hops, store.", []string{"part"}, nil)})
	return h
}

// Require adds a part without which the gateway is not ready, such as the listeners. probe must be quick and safe for
// concurrent use; one that does not answer within a second is not well. The function returned takes the part away.
func (h *Health) Require(name string, probe func() (ok bool, detail string)) (remove func()) {
	return h.add(&part{name: name, required: true, probe: probe})
}

// Watch adds a part that is shown, and without which mail still goes on, such as a scanner with its failure policy.
func (h *Health) Watch(name string, probe func() (ok bool, detail string)) (remove func()) {
	return h.add(&part{name: name, probe: probe})
}

func (h *Health) add(p *part) func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.parts = append(h.parts, p)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.parts = slices.DeleteFunc(h.parts, func(q *part) bool { return q == p })
	}
}

// Parts asks every part, at once, and reports whether all that are required are well. Parts are ordered by name; of two
// with one name the later is left out.
func (h *Health) Parts() (ready bool, parts []Part) {
	h.mu.Lock()
	list := slices.Clone(h.parts)
	h.mu.Unlock()
	slices.SortStableFunc(list, func(a, b *part) int { return strings.Compare(a.name, b.name) })
	list = slices.CompactFunc(list, func(a, b *part) bool { return a.name == b.name })
	parts = make([]Part, len(list))
	var wg sync.WaitGroup
	for i, p := range list {
		wg.Go(func() { parts[i] = p.ask() })
	}
	wg.Wait()
	ready = true
	for _, p := range parts {
		ready = ready && (p.OK || !p.Required)
	}
	return ready, parts
}

// call is one probe at work; who asks meanwhile waits for the same answer.
type call struct {
	done   chan struct{}
	answer Part
}

// ask runs the probe with a bound on time; while one hangs no other is begun.
func (p *part) ask() Part {
	p.mu.Lock()
	c := p.at
	if c == nil {
		c = &call{done: make(chan struct{})}
		p.at = c
		go p.run(c)
	}
	p.mu.Unlock()
	late := time.NewTimer(probeTime)
	defer late.Stop()
	select {
	case <-c.done:
		return c.answer
	case <-late.C:
		return Part{Name: p.name, Required: p.required, Detail: "no answer within " + probeTime.String()}
	}
}

func (p *part) run(c *call) {
	c.answer = Part{Name: p.name, Required: p.required}
	defer func() {
		if v := recover(); v != nil {
			c.answer.OK, c.answer.Detail = false, fmt.Sprintf("panic: %v", v)
		}
		p.mu.Lock()
		p.at = nil
		p.mu.Unlock()
		close(c.done)
	}()
	c.answer.OK, c.answer.Detail = p.probe()
}

// Live answers /healthz: that the process answers at all.
func (h *Health) Live() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("alive\n")) // a client that left needs no answer
	})
}

// Ready answers /readyz: 200 when all required parts are well, 503 otherwise, with the list of parts as JSON.
func (h *Health) Ready() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		ready, parts := h.Parts()
		body, err := json.MarshalIndent(struct {
			Ready bool   `json:"ready"`
			Parts []Part `json:"parts"`
		}{ready, parts}, "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(append(body, '\n')) // a client that left needs no answer
	})
}

// HTTP answers /metrics, /healthz and /readyz, to GET and HEAD only. Who listens is another's matter.
func (j *Journal) HTTP() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", j.metrics.Handler())
	mux.Handle("GET /healthz", j.health.Live())
	mux.Handle("GET /readyz", j.health.Ready())
	return mux
}

// healthCollector shows each part as a metric.
type healthCollector struct {
	h    *Health
	desc *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *healthCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

// Collect implements prometheus.Collector.
func (c *healthCollector) Collect(ch chan<- prometheus.Metric) {
	_, parts := c.h.Parts()
	for _, p := range parts {
		v := 0.0
		if p.OK {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, v, p.Name)
	}
}
