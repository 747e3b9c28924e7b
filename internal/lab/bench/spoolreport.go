package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// awaitQueued waits until the daemon's metrics tell of every message in its spool.
func (s *spooler) awaitQueued(ctx context.Context) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		status, page, err := s.g.Get(ctx, "/metrics")
		if err != nil {
			return err
		}
		n := int64(queuedIn(page))
		if status == http.StatusOK && n == s.taken {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the spool tells of %d messages, and has taken %d", n, s.taken)
		}
	}
}

// queuedIn adds the messages of all routes and states.
func queuedIn(page string) (n float64) {
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, "gatepost_spool_messages{") {
			continue
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64); err == nil {
			n += v
		}
	}
	return n
}

// printSpool writes what the spool takes, and what it costs.
func printSpool(w io.Writer, all []spoolResult) error {
	text := "| taken while the next hop is away, 10K, flushed to disk | connections | messages/s | times Postfix | p50 ms | p99 ms | CPU µs/message | others |\n|---|---:|---:|---:|---:|---:|---:|---:|\n"
	for _, r := range all {
		for _, a := range r.Accept {
			if len(a.Rounds) == 0 {
				continue
			}
			ratio := ""
			if a.Ratio > 0 {
				ratio = fmt.Sprintf("%.2f", a.Ratio)
			}
			m := a.Median
			text += fmt.Sprintf("| %s | %d | %.0f | %s | %.2f | %.2f | %.0f | %.1f |\n", r.Name, a.Connections, m.Rate, ratio, m.P50, m.P99, m.CPU, m.Others)
		}
	}
	text += "\n| a spool | delivered/s, once the next hop is back | messages | KiB of memory each | start to the banner | start to all of them |\n|---|---:|---:|---:|---:|---:|\n"
	for _, r := range all {
		if r.Queued > 0 {
			text += fmt.Sprintf("| %s | %.0f | %d | %.2f | %.0f ms | %.0f ms |\n", r.Name, r.Drained, r.Queued, r.Each, r.Start, r.Counted)
		}
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}

// spool holds the spool against its targets.
func (g *goals) spool() {
	mine := spoolResult{}
	for _, r := range g.Spool {
		if r.Name == g.program {
			mine = r
		}
	}
	for _, n := range spoolConnections() {
		ratio := 0.0
		for _, a := range mine.Accept {
			if a.Connections == n {
				ratio = a.Ratio
			}
		}
		g.atLeast(fmt.Sprintf("times the rate at which Postfix takes mail on the same disk, 10K, %d connections", n), "times", 1.5, 0, ratio, ratio > 0)
	}
	g.atMost(fmt.Sprintf("memory of a message in the spool (%d of them)", mine.Queued), "KiB", 1, 0, mine.Each, mine.Queued > 0)
	g.atMost(fmt.Sprintf("start with %d messages in the spool, until all are known", mine.Queued), "ms", 5000, 0, mine.Counted, mine.Queued > 0)
}
