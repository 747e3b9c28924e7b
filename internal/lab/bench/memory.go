package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
)

// memoryResult is what large messages take of memory, in MiB.
type memoryResult struct {
	Name      string  `json:"target"`
	Heap      float64 `json:"one_50m_heap_mib"`       // what one message of 50 MB adds to what is in use
	Allocated float64 `json:"one_50m_allocated_mib"`  // what it allocates in all, garbage too
	OneRSS    float64 `json:"one_50m_rss_mib"`        // by how much the peak is over the rest before
	ManyRSS   float64 `json:"many_10m_rss_mib"`       // the peak with many of 10 MB at once
	Many      int     `json:"many"`                   // how many
	Disk      float64 `json:"many_10m_body_disk_mib"` // what they took of disk while all were under way
}

const (
	oneLarge     = 50_000_000 // the largest message by default is 50 MiB
	manyLarge    = 10 << 20
	largeTimeout = 5 * time.Minute
)

// memory measures messages that are larger than what is held in memory.
func (b *bench) memory(ctx context.Context, out io.Writer) error {
	many := 200
	if b.plan.quick {
		many = 20
	}
	if _, err := fmt.Fprint(out, memoryHeading); err != nil {
		return err
	}
	for _, program := range b.programs {
		r := memoryResult{Name: program.name, Many: many}
		if err := b.heapOfOne(ctx, program, &r); err != nil {
			return err
		}
		if err := b.peaks(ctx, program, &r); err != nil {
			return err
		}
		if err := r.print(out); err != nil {
			return err
		}
		b.report.Memory = append(b.report.Memory, r)
	}
	return nil
}

// heapOfOne measures the heap. The daemon collects its garbage at once, so that what is in use is what is needed.
func (b *bench) heapOfOne(ctx context.Context, program binary, r *memoryResult) (err error) {
	g, err := b.launch(ctx, daemon{binary: program, env: []string{"GOGC=5"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Stop()) }()
	if err := b.gather(ctx, g, load.NewMessage(10<<10), 1, nil); err != nil { // everything has been used once
		return err
	}
	m := load.NewMessage(oneLarge)
	before, allocated, err := watchHeap(ctx, g, func() error { time.Sleep(b.plan.rest()); return nil })
	if err != nil {
		return err
	}
	looking := allocated / b.plan.rest().Seconds() // what the looking itself allocates
	began := time.Now()
	during, allocated, err := watchHeap(ctx, g, func() error { return b.gather(ctx, g, m, 1, nil) })
	r.Heap = during - before
	r.Allocated = max(allocated-looking*time.Since(began).Seconds(), 0)
	return err
}

// watchHeap looks at the heap in use while work is done, and returns the most of it that was seen, and what was
// allocated, in MiB.
func watchHeap(ctx context.Context, g *lab.Gatepost, work func() error) (most, allocated float64, err error) {
	look := func() (inUse, total float64, err error) {
		m, err := metrics(ctx, g)
		return m["go_memstats_heap_alloc_bytes"] / (1 << 20), m["go_memstats_alloc_bytes_total"] / (1 << 20), err
	}
	_, first, err := look()
	if err != nil {
		return 0, 0, err
	}
	done := make(chan error, 1)
	go func() { done <- work() }()
	for {
		inUse, total, err := look()
		if err != nil {
			return 0, 0, errors.Join(err, <-done)
		}
		most = max(most, inUse)
		select {
		case err := <-done:
			return most, total - first, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// peaks measures the resident memory of a daemon as it is shipped.
func (b *bench) peaks(ctx context.Context, program binary, r *memoryResult) (err error) {
	g, err := b.launch(ctx, daemon{binary: program})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Stop()) }()
	if err := b.gather(ctx, g, load.NewMessage(10<<10), 1, nil); err != nil {
		return err
	}
	time.Sleep(b.plan.rest())
	before, err := part{pid: g.PID()}.usage()
	if err != nil {
		return err
	}
	one, err := b.peakOf(ctx, g, load.NewMessage(oneLarge), 1, nil)
	if err != nil {
		return err
	}
	r.OneRSS = one - float64(before.RSS)/(1<<20)
	r.ManyRSS, err = b.peakOf(ctx, g, load.NewMessage(manyLarge), r.Many, func() error {
		m, err := metrics(ctx, g)
		r.Disk = m["gatepost_body_disk_octets"] / (1 << 20)
		return err
	})
	return err
}

// peakOf is the most resident memory while n messages are under way at once, in MiB.
func (b *bench) peakOf(ctx context.Context, g *lab.Gatepost, m *load.Message, n int, held func() error) (float64, error) {
	if err := resetPeak(g.PID()); err != nil {
		return 0, err
	}
	if err := b.gather(ctx, g, m, n, held); err != nil {
		return 0, err
	}
	peak, err := peakRSS(g.PID())
	return float64(peak) / (1 << 20), err
}

// gather sends n messages that are all under way at once, and checks that all arrived.
func (b *bench) gather(ctx context.Context, g *lab.Gatepost, m *load.Message, n int, held func() error) error {
	before, err := b.sink.Count()
	if err != nil {
		return err
	}
	if held == nil {
		held = func() error { return nil }
	}
	tally, err := load.Gather(ctx, g.Addr("smtp"), m, n, largeTimeout, held)
	if err != nil {
		return fmt.Errorf("%d messages of %s: %w", n, sizeName(m.Size()), err)
	}
	after, err := b.sink.Count()
	if err != nil {
		return err
	}
	return after.Minus(before).Check(tally)
}

// resetPeak begins the peak of a process's resident memory anew (proc(5), clear_refs).
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("peak: %w", err)
	}
	return nil
}

// peakRSS reads that peak, in octets.
func peakRSS(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("peak: %w", err)
	}
	_, rest, _ := strings.Cut(string(b), "\nVmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("peak of process %d: %w", pid, err)
	}
	return n << 10, nil
}

// metrics reads what the daemon counts: the sum over the labels, by name.
func metrics(ctx context.Context, g *lab.Gatepost) (map[string]float64, error) {
	status, text, err := g.Get(ctx, "/metrics")
	if err != nil || status != 200 {
		return nil, errors.Join(fmt.Errorf("metrics: status %d", status), err)
	}
	return parseMetrics(text), nil
}

func parseMetrics(text string) map[string]float64 {
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.IndexByte(line, '}'); i >= 0 { // a label's value may have spaces
			name, value = line[:strings.IndexByte(line, '{')], strings.TrimSpace(line[i+1:])
		}
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil && name != "#" {
			out[name] += n
		}
	}
	return out
}

const memoryHeading = "| large messages | heap in use, one of 50 MB | it allocates | RSS, one of 50 MB | peak RSS, many of 10 MB at once | how many | on disk then |\n" +
	"|---|---:|---:|---:|---:|---:|---:|\n"

// print writes one row.
func (r memoryResult) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "| %s | %+.1f MiB | %.1f MiB | %+.1f MiB | %.0f MiB | %d | %.0f MiB |\n", r.Name, r.Heap, r.Allocated, r.OneRSS, r.ManyRSS, r.Many, r.Disk)
	return err
}
