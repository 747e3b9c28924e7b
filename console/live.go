package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gatepost/internal/api"
)

// How often a live view says that it lives, and how long a write to it may take.
const (
	liveBeat  = 15 * time.Second
	liveWrite = 10 * time.Second
)

// liveLog sends rows of the table to a page, as server-sent events. It ends with the session.
func (c *Console) liveLog(w http.ResponseWriter, r *http.Request) {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f, ticks := readFilter(r.URL.Query()), c.ticks()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // all of the request was read, and nothing else comes
	w.Header().Set("Content-Type", "text/event-stream")
	var mu sync.Mutex
	write := func(format string, args ...any) error {
		mu.Lock()
		defer mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		_ = out.SetWriteDeadline(time.Now().Add(liveWrite))      // where it cannot be set, the server's own bounds hold
		defer func() { _ = out.SetWriteDeadline(time.Time{}) }() // HTTP/2 resets a stream when its time is over, be it idle
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return err
		}
		return out.Flush()
	}
	if write(": begin\n\n") != nil {
		return
	}
	var beside sync.WaitGroup
	beside.Go(func() { c.beat(ctx, r, cancel, write) })
	err := c.Surface.Follow(ctx, "log follow", values("q", f.Text, "verdict", f.Verdict, "Last-Event-ID", r.Header.Get("Last-Event-ID")), func(id, event string, data any) error {
		switch x := data.(type) {
		case api.LogRow:
			text, err := c.rowText(&Row{x}, ticks)
			if err != nil {
				return err
			}
			return write("id: %s\nevent: row\ndata: %s\n\n", x.ID, text)
		case api.LogSkipped:
			return write("event: skipped\ndata: %d\n\n", x.Rows)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil && c.Logger != nil {
		c.Logger.Debug("console: a live view ended", "error", err)
	}
	cancel()
	beside.Wait()
}

// beat keeps a live view open as long as its session lasts.
func (c *Console) beat(ctx context.Context, r *http.Request, end func(), write func(string, ...any) error) {
	tick := time.NewTicker(liveBeat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, _, err := c.who(r); err != nil || write(":\n\n") != nil {
				end()
				return
			}
		}
	}
}

// rowText is a row of the table, as a string of JSON: in one line.
func (c *Console) rowText(r *Row, t thresholds) ([]byte, error) {
	var b bytes.Buffer
	if err := c.templates["log"].ExecuteTemplate(&b, "tablerow", rowView{r, t}); err != nil {
		return nil, err
	}
	return json.Marshal(b.String())
}

// rowView is what the template of a row gets.
type rowView struct {
	*Row
	Ticks thresholds
}

// Views are the rows of the table.
func (v *logView) Views() []rowView {
	out := make([]rowView, len(v.Found.Rows))
	for i := range out {
		out[i] = rowView{&Row{v.Found.Rows[i]}, v.Ticks}
	}
	return out
}
