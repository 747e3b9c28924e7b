package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"gatepost/internal/lab/bench/mark"
)

// Gather sends one message on each of n connections so that all of them are within their last line at the same time.
// Then it calls held, and then all of them end. It returns what was acknowledged.
func Gather(ctx context.Context, addr string, m *Message, n int, timeout time.Duration, held func() error) (mark.Tally, error) {
	deadline := time.Now().Add(timeout)
	var sent, ended sync.WaitGroup
	sent.Add(n)
	release := make(chan struct{})
	errs, ids := make([]error, n), make([]uint64, n)
	for i := range n {
		ended.Go(func() {
			once := sync.OnceFunc(sent.Done)
			defer once()
			ids[i], errs[i] = gatherOne(ctx, addr, m, deadline, func() { once(); <-release })
		})
	}
	sent.Wait()
	err := held()
	close(release)
	ended.Wait()
	var tally mark.Tally
	for i, e := range errs {
		if e == nil {
			tally.Add(ids[i], int64(m.size))
		}
	}
	if failed := errors.Join(errs...); failed != nil {
		err = errors.Join(err, fmt.Errorf("gather on %s: %w", addr, failed))
	}
	return tally, err
}

// gatherOne sends one message, and calls wait before its last line.
func gatherOne(ctx context.Context, addr string, m *Message, deadline time.Time, wait func()) (uint64, error) {
	c, err := dial(addr, deadline)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	defer context.AfterFunc(ctx, func() { c.conn.Close() })()
	if err := c.envelope(m, false); err != nil {
		return 0, err
	}
	id := m.next()
	front := net.Buffers{m.appendHead(nil, id, time.Now()), m.body}
	if _, err := front.WriteTo(c.conn); err != nil {
		return 0, fmt.Errorf("message: write: %w", err)
	}
	wait()
	if _, err := c.conn.Write(appendEnd(nil, id)); err != nil {
		return 0, fmt.Errorf("message: write: %w", err)
	}
	if err := c.expect("message", 250, nil); err != nil {
		return 0, err
	}
	return id, c.quit()
}
