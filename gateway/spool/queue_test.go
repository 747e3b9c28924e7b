package spool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// hop is a next hop that answers as it is told, and remembers what it took.
type hop struct {
	mu      sync.Mutex
	answer  func(d *gateway.Delivery, text string) gateway.Relayed // nil: takes everything
	carries gateway.Carries
	got     []taken
	calls   []time.Time
	now     int // relays that are on their way
	most    int
	slow    time.Duration
}

type taken struct {
	id   gateway.ID
	to   []string
	text string
	at   time.Time
}

func (h *hop) Carries(string) gateway.Carries {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.carries
}

func (h *hop) away(why gateway.Reason) {
	h.mu.Lock()
	h.carries.Defer = why
	h.mu.Unlock()
}

func (h *hop) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	var b bytes.Buffer
	for _, p := range d.Content.Parts {
		if _, err := io.Copy(&b, p); err != nil {
			return gateway.Relayed{At: gateway.AtBody, Said: err.Error(), Reply: gateway.Reply{Code: 451}}
		}
	}
	h.mu.Lock()
	h.calls = append(h.calls, time.Now())
	h.now++
	h.most = max(h.most, h.now)
	answer, slow := h.answer, h.slow
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.now--
		h.mu.Unlock()
	}()
	if slow > 0 {
		select {
		case <-ctx.Done():
			return gateway.Relayed{Result: gateway.OutcomeUnknown, At: gateway.AtDot, Reply: gateway.Reply{Code: 451}}
		case <-time.After(slow):
		}
	}
	r := gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot, NextHop: "hop:25", Reply: gateway.Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}}
	if answer != nil {
		r = h.ask(answer, d, b.String())
	}
	t := taken{id: d.ID, text: b.String(), at: time.Now()}
	for i := range d.Rcpts {
		if r.TookFor(i) {
			t.to = append(t.to, d.Rcpts[i].Address.Text)
		}
	}
	if len(t.to) > 0 {
		h.mu.Lock()
		h.got = append(h.got, t)
		h.mu.Unlock()
	}
	return r
}

// ask lets one call of answer be made at a time.
func (h *hop) ask(answer func(*gateway.Delivery, string) gateway.Relayed, d *gateway.Delivery, text string) gateway.Relayed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return answer(d, text)
}

// tries is how often it was called.
func (h *hop) tries() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

func (h *hop) has() []taken {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]taken(nil), h.got...)
}

// unreached is how a relay ends while nobody is there.
func unreached(*gateway.Delivery, string) gateway.Relayed {
	return gateway.Relayed{At: gateway.AtDial, Said: "connection refused", Reply: gateway.Reply{Code: 451, Enhanced: "4.4.1", Text: "away"}}
}

func addr(text string) gateway.Address {
	var a gateway.Address
	_ = a.UnmarshalText([]byte(text))
	return a
}

// mail makes a message; its text tells its id.
func mail(id gateway.ID, route string, to ...string) *gateway.Delivery {
	text := fmt.Sprintf("Subject: %v\r\n\r\n.a line with a dot\r\nof %v\r\n", id, id)
	d := &gateway.Delivery{ID: id, Route: route, From: addr("anna@sender.example"),
		Content: gateway.Content{Parts: []io.Reader{strings.NewReader(text[:9]), strings.NewReader(text[9:])}, Size: int64(len(text))}}
	for _, t := range to {
		d.Rcpts = append(d.Rcpts, gateway.Recipient{Address: addr(t), Verified: true})
	}
	return d
}

// unflushed is a disk that flushes nothing: for tests without crashes, which have better to do than to wait.
type unflushed struct{ disk }

type unflushedFile struct{ diskFile }

func (u unflushed) Create(name string) (diskFile, error) {
	f, err := u.disk.Create(name)
	return unflushedFile{f}, err
}

func (unflushed) SyncDir(string) error { return nil }
func (unflushedFile) Sync() error      { return nil }

// told collects changes.
type told struct {
	mu  sync.Mutex
	all []Change
}

func (l *told) hear(c *Change) {
	l.mu.Lock()
	l.all = append(l.all, *c)
	l.mu.Unlock()
}

// words are what was told of a message, in order.
func (l *told) words(id gateway.ID) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, c := range l.all {
		if c.ID == id {
			w := c.What
			for _, r := range c.Rcpts {
				w += " " + strings.TrimSuffix(r.Address, "@our.example")
			}
			out = append(out, w)
		}
	}
	return strings.Join(out, "; ")
}

// world is a queue and what is around it.
type world struct {
	*Queue
	hop
	told
	ids gateway.IDs
	t   *testing.T
}

func newWorld(t *testing.T, change func(*QueueOptions)) *world {
	w := &world{t: t}
	o := QueueOptions{Dir: memoryDir(t), Reserve: 1, ReserveInodes: 1, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		NextHop: func() gateway.NextHop { return &w.hop }, Told: w.hear, disk: unflushed{durable.Real{}}}
	if change != nil {
		change(&o)
	}
	q, err := OpenQueue(o)
	if err != nil {
		t.Fatal(err)
	}
	w.Queue = q
	return w
}

// run runs the queue until the function that it returns is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		w.Queue.Run(ctx)
		close(ended)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// reopen is what a restart sees.
func (w *world) reopen() {
	w.t.Helper()
	q, err := OpenQueue(w.Queue.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Queue = q
}

func (w *world) put(c gateway.Custody, to ...string) gateway.ID {
	w.t.Helper()
	if len(to) == 0 {
		to = []string{"bob@our.example"}
	}
	id := w.ids.Next()
	if err := w.Put(w.t.Context(), mail(id, "inside", to...), c); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// left is what is in the queue, as state names by id.
func (w *world) left() map[gateway.ID]string {
	w.t.Helper()
	list, err := w.List(&Filter{})
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[gateway.ID]string{}
	for _, l := range list {
		out[l.ID] = l.State.String()
	}
	return out
}
