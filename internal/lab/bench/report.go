package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// report is everything that one run showed.
type report struct {
	Machine  machine        `json:"machine"`
	Programs words          `json:"programs"` // the daemons that were measured
	Rounds   int            `json:"rounds"`
	Length   string         `json:"length"`
	Cells    []cell         `json:"cells"`
	Log      logResult      `json:"log"`
	Paced    []pacedResult  `json:"paced,omitempty"`
	Storm    []stormResult  `json:"storm,omitempty"`
	Lists    []listResult   `json:"lists,omitempty"`
	Memory   []memoryResult `json:"memory,omitempty"`
	Boot     []bootResult   `json:"boot,omitempty"`
	Idle     []idleResult   `json:"idle,omitempty"`
	TLS      []tlsResult    `json:"tls,omitempty"`
	Spool    []spoolResult  `json:"spool,omitempty"`
	Failed   []string       `json:"failed,omitempty"` // sections, with why
}

// machine tells where and when figures were taken.
type machine struct {
	Kernel string    `json:"kernel"`
	CPU    string    `json:"cpu"`
	CPUs   int       `json:"cpus"`
	Go     string    `json:"go"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended"`
}

// thisMachine is this machine, now. What cannot be read is left empty.
func thisMachine() machine {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Began: time.Now().UTC().Truncate(time.Second)}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(b), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		m.CPU = strings.TrimLeft(line, "\t :")
	}
	return m
}

// columns are the table's, in Markdown, so that it can be kept as it is.
const (
	heading = "| size | connections | target | messages/s | ratio | p50 ms | p99 ms | CPU µs/message | RSS MiB | spread | others |\n" +
		"|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
	row = "| %s | %d | %s | %.0f | %.2f | %.2f | %.2f | %.0f | %.0f | %.0f %% | %.1f |\n"
)

// print writes the rows of one cell.
func (c cell) print(w io.Writer) error {
	for _, t := range c.Trials {
		m := t.Median
		if _, err := fmt.Fprintf(w, row, sizeName(c.Size), c.Connections, t.Name, m.Rate, t.Ratio, m.P50, m.P99, m.CPU, m.RSS, 100*t.Spread, m.Others); err != nil {
			return err
		}
	}
	return nil
}

// write writes the report as JSON to a file; "-" is stdout.
func (r report) write(name string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("json: %w", err)
	}
	b = append(b, '\n')
	if name == "-" {
		_, err = os.Stdout.Write(b)
	} else {
		err = os.WriteFile(name, b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("json: %w", err)
	}
	return nil
}

// readReport reads what write wrote.
func readReport(name string) (r report, err error) {
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, fmt.Errorf("json: %w", err)
	}
	return r, nil
}

// sizeName is a size as people write it.
func sizeName(n int) string {
	switch {
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dM", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dK", n>>10)
	}
	return fmt.Sprint(n)
}
