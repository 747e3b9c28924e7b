package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost/internal/lab/bench/plot"
)

// The lines of performance.md between which a run writes.
const (
	beginMark = "<!-- begin of what scripts/bench writes -->\n"
	endMark   = "<!-- end of what scripts/bench writes -->\n"
)

// writeDocument puts the figures into performance.md in a folder, and the plots beside it.
func (r report) writeDocument(folder string) error {
	name := filepath.Join(folder, "performance.md")
	old, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("document: %w", err)
	}
	text, err := splice(string(old), r.document())
	if err != nil {
		return fmt.Errorf("document: %s: %w", name, err)
	}
	for _, p := range r.plots() {
		if err := os.WriteFile(filepath.Join(folder, p.file), p.chart.SVG(), 0o644); err != nil {
			return fmt.Errorf("document: %w", err)
		}
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return fmt.Errorf("document: %w", err)
	}
	return nil
}

// splice puts a text between the marks of another.
func splice(old, text string) (string, error) {
	before, rest, ok1 := strings.Cut(old, beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok1 || !ok2 {
		return "", errors.New("the lines that say where to write are missing")
	}
	return before + beginMark + "\n" + strings.TrimSpace(text) + "\n\n" + endMark + after, nil
}

// document is what a run showed, in Markdown.
func (r report) document() string {
	var b bytes.Buffer
	m := r.Machine
	fmt.Fprintf(&b, "%s, %d processors (%s), Linux %s, %s; medians of %d rounds of %s.\n\n", m.Began.Format("2006-01-02"), m.CPUs, m.CPU, m.Kernel, m.Go, r.Rounds, r.Length)
	others := medianOf(r.Cells, func(c cell) float64 { return medianOf(c.Trials, func(t trial) float64 { return t.Median.Others }) })
	if others > 0.2 {
		fmt.Fprintf(&b, "**The machine was busy with other work (%.1f processors): the rates and latencies say little.**\n\n", others)
	}
	for _, f := range r.Failed {
		fmt.Fprintf(&b, "Not measured: %s\n\n", strings.ReplaceAll(f, "\n", " "))
	}
	if n := len(r.Programs); n > 0 {
		b.WriteString("## Targets\n\n" + goalTable(r.goals(r.Programs[n-1])) + "\n")
	}
	if len(r.Cells) > 0 {
		b.WriteString("## Rates\n\n")
		for _, p := range r.plots() {
			fmt.Fprintf(&b, "![%s](%s)\n\n", p.chart.Title, p.file)
		}
		b.WriteString("<details><summary>All figures</summary>\n\n" + heading)
		r.each(&b, r.Cells)
		b.WriteString("\n</details>\n\n")
	}
	if len(r.Log.Cells) > 0 {
		b.WriteString("## With and without the message log\n\n" + heading)
		r.each(&b, r.Log.Cells)
		b.WriteString("\n")
	}
	r.sections(&b)
	return b.String()
}

// each prints cells. Writing to memory does not fail.
func (r report) each(b *bytes.Buffer, cells []cell) {
	for _, c := range cells {
		_ = c.print(b)
	}
}

// sections prints the tables that are not about rates.
func (r report) sections(b *bytes.Buffer) {
	if len(r.Paced) > 0 {
		b.WriteString("## Latency under a given load\n\n")
		_ = printPaced(b, r.Paced)
	}
	if len(r.Idle) > 0 {
		b.WriteString("## Idle connections\n\n" + idleHeading)
		for _, i := range r.Idle {
			_ = i.print(b)
		}
		b.WriteString("\n")
	}
	if len(r.TLS) > 0 {
		b.WriteString("## TLS handshakes\n\n")
		_ = printTLS(b, r.TLS)
	}
	if len(r.Storm) > 0 {
		b.WriteString("## Refused connections\n\n")
		_ = printStorm(b, r.Storm)
	}
	if len(r.Lists) > 0 {
		b.WriteString("## Clients on DNS lists\n\n")
		_ = printLists(b, r.Lists)
	}
	if len(r.Memory) > 0 {
		b.WriteString("## Large messages\n\n" + memoryHeading)
		for _, m := range r.Memory {
			_ = m.print(b)
		}
		b.WriteString("\n")
	}
	if len(r.Boot) > 0 {
		b.WriteString("## Start\n\n" + bootHeading)
		for _, s := range r.Boot {
			_ = s.print(b)
		}
		b.WriteString("\n")
	}
	if len(r.Spool) > 0 {
		b.WriteString("## The spool\n\n")
		_ = printSpool(b, r.Spool)
	}
}

// picture is a plot and the name of its file.
type picture struct {
	file  string
	chart plot.Chart
}

// plots draws the grid; nothing without one.
func (r report) plots() []picture {
	if len(r.Cells) == 0 {
		return nil
	}
	ratio := r.chart(func(t *trial) float64 { return t.Ratio }, false)
	for i, n := range r.panels() {
		bounds := plot.Series{Name: "target", Marks: true}
		for _, size := range r.sizes() {
			bounds.Values = append(bounds.Values, leastRatio(size, n))
		}
		ratio.Panels[i].Series = append(ratio.Panels[i].Series, bounds)
	}
	ratio.Title, ratio.Unit, ratio.Top = "Messages a second, as a share of what the next hop takes directly", "share", 1
	cpu := r.chart(func(t *trial) float64 { return t.Median.CPU }, false)
	cpu.Title, cpu.Unit, cpu.Log = "CPU time a message", "µs", true
	p99 := r.chart(func(t *trial) float64 { return t.Median.P99 }, true)
	p99.Title, p99.Unit, p99.Log = "Latency that 99 of 100 messages keep within, at the full rate", "ms", true
	return []picture{{"performance-ratio.svg", ratio}, {"performance-cpu.svg", cpu}, {"performance-p99.svg", p99}}
}

// sizes and panels are the sizes of messages in the grid, and its numbers of connections.
func (r report) sizes() (out list) {
	for _, c := range r.Cells {
		if !slices.Contains(out, c.Size) {
			out = append(out, c.Size)
		}
	}
	return out
}

func (r report) panels() (out list) {
	for _, c := range r.Cells {
		if !slices.Contains(out, c.Connections) {
			out = append(out, c.Connections)
		}
	}
	return out
}

// chart draws a figure of each target over the sizes, a panel for each number of connections: Gatepost, its peers and,
// when it is wanted, the next hop itself.
func (r report) chart(of func(*trial) float64, direct bool) plot.Chart {
	c := plot.Chart{Under: "size of the message"}
	for _, size := range r.sizes() {
		c.X = append(c.X, sizeName(size))
	}
	names := slices.Clone(r.Programs)
	for _, t := range r.Cells[0].Trials[1:] {
		if !slices.Contains(names, t.Name) {
			names = append(names, t.Name)
		}
	}
	if direct {
		names = append(names, r.Cells[0].Trials[0].Name)
	}
	for _, n := range r.panels() {
		p := plot.Panel{Title: fmt.Sprintf("%d connections", n)}
		if n == 1 {
			p.Title = "1 connection"
		}
		for i, name := range names {
			s := plot.Series{Name: name, Shown: i == 0}
			for _, size := range r.sizes() {
				v := math.NaN()
				if _, t := r.cell(size, n, name); t != nil {
					v = of(t)
				}
				s.Values = append(s.Values, v)
			}
			p.Series = append(p.Series, s)
		}
		c.Panels = append(c.Panels, p)
	}
	return c
}
