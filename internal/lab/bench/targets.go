package main

import (
	"fmt"
	"math"
	"strings"
)

// goal is one thing that Gatepost is to reach, beside what it reached.
type goal struct {
	what, want, here string
	met              bool
	measured         bool
}

// goals holds one program's figures against the targets of the project.
func (r report) goals(program string) []goal {
	g := goals{report: r, program: program}
	g.ratios()
	g.peers()
	g.work()
	g.latency()
	g.shakes()
	g.storms()
	g.memory()
	g.spool()
	return g.list
}

// goals collects them.
type goals struct {
	report
	program string
	list    []goal
}

// atLeast and atMost add a goal; ok is false where it was not measured. aim is what would be better still; 0: nothing.
func (g *goals) atLeast(what, unit string, want, aim, here float64, ok bool) {
	text := "at least " + figure(want, unit)
	if aim > 0 {
		text += " (aim " + figure(aim, unit) + ")"
	}
	g.list = append(g.list, goal{what, text, figure(here, unit), here >= want, ok})
}

func (g *goals) atMost(what, unit string, want, aim, here float64, ok bool) {
	text := "at most " + figure(want, unit)
	if aim > 0 {
		text += " (aim " + figure(aim, unit) + ")"
	}
	g.list = append(g.list, goal{what, text, figure(here, unit), here <= want, ok})
}

// figure is a number with as many digits as mean something.
func figure(v float64, unit string) string {
	digits := 0
	switch a := max(v, -v); {
	case a < 2 && unit == "":
		digits = 2
	case a < 20 && unit != "µs" && unit != "ms":
		digits = 1
	case a < 100 && unit == "ms":
		digits = 1
	}
	text := fmt.Sprintf("%.*f", digits, v)
	if unit != "" {
		text += " " + unit
	}
	return text
}

// cell finds a load in the grid, and a target there.
func (r report) cell(size, connections int, name string) (c cell, t *trial) {
	for _, c := range r.Cells {
		if c.Size == size && c.Connections == connections {
			return c, c.trial(name)
		}
	}
	return cell{}, nil
}

// share is a part of the direct rate that is to be reached at 10 and 50 connections.
type share struct {
	size       int
	least, aim float64
}

func shares() []share {
	return []share{{10 << 10, 0.50, 0.60}, {100 << 10, 0.55, 0.60}, {1 << 20, 0.45, 0.48}, {10 << 20, 0.40, 0.42}}
}

// leastRatio is the share that is to be reached with a load; NaN where nothing is said.
func leastRatio(size, connections int) float64 {
	for _, s := range shares() {
		if s.size == size && (connections == 10 || connections == 50) {
			return s.least
		}
	}
	return math.NaN()
}

func (g *goals) ratios() {
	for _, want := range shares() {
		for _, connections := range []int{10, 50} {
			_, t := g.cell(want.size, connections, g.program)
			here := 0.0
			if t != nil {
				here = t.Ratio
			}
			g.atLeast(fmt.Sprintf("share of the direct rate, %s, %d connections", sizeName(want.size), connections), "", want.least, want.aim, here, t != nil)
		}
	}
}

// against is the median of the rounds' ratios to another target in the same cell.
func (r report) against(size, connections int, program, other string) (float64, bool) {
	c, t := r.cell(size, connections, program)
	o := c.trial(other)
	if t == nil || o == nil {
		return 0, false
	}
	var ratios []float64
	for i := range min(len(t.Rounds), len(o.Rounds)) {
		if o.Rounds[i].Rate > 0 {
			ratios = append(ratios, t.Rounds[i].Rate/o.Rounds[i].Rate)
		}
	}
	return median(ratios), len(ratios) > 0
}

func (g *goals) peers() {
	for _, want := range []struct {
		size       int
		least, aim float64
	}{{1 << 10, 3.5, 4}, {10 << 10, 4, 5}, {100 << 10, 3.5, 4}, {1 << 20, 3.5, 4}, {10 << 20, 3.5, 4}} {
		for _, connections := range []int{10, 50} {
			here, ok := g.against(want.size, connections, g.program, postfixPeer)
			g.atLeast(fmt.Sprintf("times the rate of Postfix as a proxy, %s, %d connections", sizeName(want.size), connections), "times", want.least, want.aim, here, ok)
		}
	}
	for _, connections := range []int{10, 50} {
		here, ok := g.against(10<<10, connections, g.program, pipePeer)
		g.atLeast(fmt.Sprintf("times the rate of the pipe, 10K, %d connections", connections), "times", 1.2, 0, here, ok)
	}
}

func (g *goals) work() {
	for _, want := range []struct {
		size int
		most float64
	}{{10 << 10, 150}, {100 << 10, 220}, {1 << 20, 900}} {
		_, here, ok := g.Log.logShare(want.size, g.program)
		g.atMost(fmt.Sprintf("CPU a message, %s, 10 connections, without the message log", sizeName(want.size)), "µs", want.most, 0, here, ok)
	}
	here, _, ok := g.Log.logShare(10<<10, g.program)
	g.atMost("CPU a message of the message log, 10K, 10 connections", "µs", 120, 0, here, ok)
	for _, e := range g.Log.Events {
		if e.Name == g.program {
			g.list = append(g.list, goal{fmt.Sprintf("events lost in %d messages at %.0f/s", e.Messages, e.Offered), "none",
				fmt.Sprintf("%.0f, at %.0f/s", e.Lost, e.Rate), e.Lost == 0 && e.Rate >= 0.95*e.Offered, true})
		}
	}
}

func (g *goals) latency() {
	find := func(name, load string) *pacedResult {
		for i, p := range g.Paced {
			if p.Name == name && p.Load == load {
				return &g.Paced[i]
			}
		}
		return nil
	}
	own, peer, half := find(g.program, sameLoad), find(postfixPeer, sameLoad), find(g.program, ownHalf)
	what := "p99, 10K, 50 connections, under the load that Postfix's proxy gets too"
	if own != nil && peer != nil {
		what += fmt.Sprintf(" (%.0f/s)", own.Offered)
		g.atMost(what, "ms", peer.Median.P99, 0, own.Median.P99, true)
	} else {
		g.list = append(g.list, goal{what: what, want: "at most its"})
	}
	what = "p99, 10K, 50 connections, at half of our own most"
	if half != nil {
		g.atMost(fmt.Sprintf("%s (%.0f/s)", what, half.Offered), "ms", 20, 0, half.Median.P99, true)
	} else {
		g.atMost(what, "ms", 20, 0, 0, false)
	}
}

// shakes holds handshakes against those of Postfix in the same run.
func (g *goals) shakes() {
	for _, kind := range []string{fullShake, resumed} {
		here, peer := 0.0, 0.0
		for _, r := range g.TLS {
			switch {
			case r.Kind != kind:
			case r.Name == g.program:
				here = shake(g.TLS, r)
			case r.Name == smtpdPeer:
				peer = shake(g.TLS, r)
			}
		}
		what := "CPU a TLS handshake, " + kind
		if peer > 0 {
			g.atMost(what+"; at most that of smtpd", "µs", peer, 0, here, here > 0)
		} else {
			g.list = append(g.list, goal{what: what, want: "at most that of smtpd"})
		}
	}
}

func (g *goals) storms() {
	cpu := func(name string) (float64, bool) {
		for _, s := range g.Storm {
			if s.Name == name && s.At == atConnect {
				return s.Median.CPU, true
			}
		}
		return 0, false
	}
	what := "CPU a refused connection (access list, at connect)"
	if peer, ok := cpu(postscreen); ok {
		what += fmt.Sprintf("; postscreen here: %.0f µs", peer)
	}
	here, ok := cpu(g.program)
	g.atMost(what, "µs", 122, 0, here, ok)
	g.lists()
}

func (g *goals) lists() {
	what, here, ok := "CPU a session of a client on eight lists, refused at RCPT", 0.0, false
	clients, letIn := int64(0), int64(0)
	var peers []string
	for _, l := range g.Lists {
		switch {
		case l.Name == g.program:
			if clients, letIn = clients+l.Sessions, letIn+l.LetIn; l.Who == listedKnown {
				here, ok = l.Median.CPU, true
			}
		case l.Who == listedKnown && (l.Name == postscreen || l.Name == smtpdPeer):
			peers = append(peers, fmt.Sprintf("%s here: %.0f µs", l.Name, l.Median.CPU))
		}
	}
	if peers != nil {
		what += "; " + strings.Join(peers, ", ")
	}
	g.atMost(what, "µs", 300, 0, here, ok)
	g.list = append(g.list, goal{fmt.Sprintf("clients on lists let in, of %d, %d at once", clients, listedCount), "none", fmt.Sprint(letIn), letIn == 0, clients > 0})
}

func (g *goals) memory() {
	for _, want := range []struct {
		tls       bool
		most, aim float64
	}{{false, 12, 8}, {true, 32, 28}} {
		for _, count := range []int{5000, 15000} {
			here, ok := 0.0, false
			for _, i := range g.Idle {
				if i.Name == g.program && i.TLS == want.tls && i.Connections == count {
					here, ok = i.Each, true
				}
			}
			g.atMost(fmt.Sprintf("RSS for each of %d idle connections after %s", count, stage(want.tls)), "KiB", want.most, want.aim, here, ok)
		}
	}
	var large memoryResult
	for _, m := range g.Memory {
		if m.Name == g.program {
			large = m
		}
	}
	g.atMost("heap that a message of 50 MB adds", "MiB", 2, 0, large.Heap, large.Many > 0)
	g.atMost("peak RSS, 200 messages of 10 MB at once", "MiB", 300, 0, large.ManyRSS, large.Many == 200)
	start, atRest, ok := 0.0, 0.0, false
	for _, b := range g.Boot {
		if b.Name == g.program {
			start, atRest, ok = b.Median, b.RSS, true
		}
	}
	g.atMost("start to the banner", "ms", 100, 0, start, ok)
	g.atMost("RSS at rest", "MiB", 40, 0, atRest, ok)
}

// goalTable is the goals in Markdown.
func goalTable(list []goal) string {
	var b strings.Builder
	b.WriteString("| what | target | here | |\n|---|---:|---:|---|\n")
	for _, g := range list {
		verdict := "met"
		switch {
		case !g.measured:
			g.here, verdict = "", "not measured"
		case !g.met:
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.what, g.want, g.here, verdict)
	}
	return b.String()
}
