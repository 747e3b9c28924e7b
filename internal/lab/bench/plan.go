package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plan says what a run measures.
type plan struct {
	sections           words
	peers              words
	sizes, connections list
	idle               list // idle connections
	rounds, perSession int
	queued             int // messages in the spool
	count              int // messages in a round at most; 0: no bound
	length             time.Duration
	pipeline           bool
	quick, full        bool
	json, from, folder string
	write              bool // the document of this run, into folder
	binaries           binaries
	limit              time.Duration // for the whole run
	keep               bool
	role               role // other than none: this process is a part of another's run
}

// The sections of a run, in their order.
const (
	gridSection   = "grid"
	logSection    = "log"
	pacedSection  = "paced"
	idleSection   = "idle"
	tlsSection    = "tls"
	stormSection  = "storm"
	listsSection  = "lists"
	memorySection = "memory"
	bootSection   = "boot"
	spoolSection  = "spool"
)

func allSections() words {
	return words{gridSection, logSection, pacedSection, idleSection, tlsSection, stormSection, listsSection, memorySection, bootSection, spoolSection}
}

// role says what a child process of a run is.
type role struct {
	sink, hold, names, lists bool
	pipe                     string // where to
	sinkAt                   string // where it listens
}

// The flags of child processes.
const (
	pipeFlag  = "pipe-to"
	sinkFlag  = "sink-at"
	namesFlag = "names"
	listsFlag = "lists-inside"
)

// parse reads the command line.
func (p *plan) parse(args []string, out io.Writer) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(out)
	p.sections, p.peers = words{gridSection}, nil
	p.sizes, p.connections = list{10 << 10, 1 << 20}, list{1, 10, 50}
	f.BoolVar(&p.quick, "quick", false, "a look in a few seconds: 10 connections, rounds of 0.3 s")
	f.BoolVar(&p.full, "full", false, "everything: all sections and peers, 1K to 10M at 1 to 200 connections, five rounds; it takes a quarter of an hour")
	f.Var(&p.sections, "sections", "what to measure, with commas: "+strings.Join(allSections(), ", "))
	f.Var(&p.peers, "peers", "measure these beside it, with commas: "+pipePeer+", "+postfixPeer+" (needs root)")
	f.Var(&p.sizes, "sizes", "message sizes in octets; K and M are 1024 and 1024²")
	f.Var(&p.connections, "connections", "connections at the same time")
	p.idle = list{5000}
	f.Var(&p.idle, "idle", "idle connections to hold at the same time (full: 5000 and 15000)")
	f.IntVar(&p.queued, "queued", 20_000, "messages in the spool for its memory and its start (quick: 2000, full: 100000)")
	f.IntVar(&p.rounds, "rounds", 3, "rounds of each target, in turns; the table shows medians")
	f.DurationVar(&p.length, "length", 2*time.Second, "length of a round")
	f.IntVar(&p.count, "count", 0, "messages in a round at most (0: as many as the length allows)")
	f.IntVar(&p.perSession, "per-session", 20, "messages on a connection before it is opened anew")
	f.BoolVar(&p.pipeline, "pipeline", false, "send MAIL, RCPT and DATA in one write, as many MTAs do; otherwise each waits for its reply")
	f.Var(&p.binaries, "gatepost", "measure this program as NAME=PATH or PATH; several are measured beside each other (default: one built from these sources)")
	f.StringVar(&p.json, "json", "", "write every round as JSON to this `file`; - is stdout, in place of the table")
	f.StringVar(&p.from, "from", "", "measure nothing: take the figures of this `file`, which -json wrote, for the targets and -write")
	f.BoolVar(&p.write, "write", false, "put the figures of this run into performance.md, and its plots beside it")
	f.StringVar(&p.folder, "docs", "docs", "the `folder` of performance.md")
	f.DurationVar(&p.limit, "limit", 40*time.Minute, "fail after this time")
	f.BoolVar(&p.keep, "keep", false, "keep the folder of the measured daemons, and say where it is")
	f.BoolVar(&p.role.sink, "sink", false, "be the sink (for the program itself)")
	f.BoolVar(&p.role.hold, "hold", false, "hold idle connections (for the program itself)")
	f.BoolVar(&p.role.names, namesFlag, false, "be the name server that plays lists (for the program itself)")
	f.BoolVar(&p.role.lists, listsFlag, false, "measure lists in a network of its own (for the program itself)")
	f.StringVar(&p.role.sinkAt, sinkFlag, "", "be a sink at this `address` (for the program itself)")
	f.StringVar(&p.role.pipe, pipeFlag, "", "be the pipe to this `address` (for the program itself)")
	if err := f.Parse(args); err != nil {
		return err
	}
	p.adjust(f)
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("unknown argument %q", f.Arg(0))
	case p.quick && p.full:
		return errors.New("quick or full, not both")
	case p.queued < 100 || p.queued > 1_000_000:
		return errors.New("queued must be from 100 to 1000000")
	case p.rounds < 1 || p.perSession < 1 || p.count < 0 || p.length <= 0:
		return errors.New("rounds, length and messages per session must be positive")
	}
	if err := p.sections.among(allSections()); err != nil {
		return fmt.Errorf("sections: %w", err)
	}
	if err := p.peers.among(words{pipePeer, postfixPeer}); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	return nil
}

// adjust makes a quick or a full plan of what the command line did not name.
func (p *plan) adjust(f *flag.FlagSet) {
	named := map[string]bool{}
	f.Visit(func(g *flag.Flag) { named[g.Name] = true })
	set := func(name string, change func()) {
		if !named[name] {
			change()
		}
	}
	if p.quick {
		set("connections", func() { p.connections = list{10} })
		set("queued", func() { p.queued = 2000 })
		set("length", func() { p.length = 300 * time.Millisecond })
	}
	if p.full {
		set("sections", func() { p.sections = allSections() })
		set("peers", func() { p.peers = words{pipePeer, postfixPeer} })
		set("sizes", func() { p.sizes = list{1 << 10, 10 << 10, 100 << 10, 1 << 20, 10 << 20} })
		set("connections", func() { p.connections = list{1, 10, 50, 200} })
		set("idle", func() { p.idle = list{5000, 15000} })
		set("rounds", func() { p.rounds = 5 })
		set("queued", func() { p.queued = 100_000 })
		set("length", func() { p.length = 700 * time.Millisecond })
	}
}

// words is a flag of names with commas between them.
type words []string

// String is the names as they are written.
func (w *words) String() string { return strings.Join(*w, ",") }

// Set reads names; an empty text is none.
func (w *words) Set(text string) error {
	*w = nil
	if text != "" {
		*w = strings.Split(text, ",")
	}
	return nil
}

// among refuses a name that is unknown, or there twice.
func (w words) among(known words) error {
	for i, name := range w {
		if !slices.Contains(known, name) || slices.Contains(w[:i], name) {
			return fmt.Errorf("%q is none of %s, or named twice", name, known.String())
		}
	}
	return nil
}

// list is a flag of numbers with commas between them.
type list []int

// String is the list as it is written.
func (l *list) String() string {
	var words []string
	for _, n := range *l {
		words = append(words, sizeName(n))
	}
	return strings.Join(words, ",")
}

// Set reads a list; every number must be from 1 to 1 GiB.
func (l *list) Set(text string) error {
	*l = nil
	for word := range strings.SplitSeq(text, ",") {
		unit := 1
		switch digits := strings.TrimRight(word, "KM"); word[len(digits):] {
		case "":
		case "K":
			word, unit = digits, 1<<10
		case "M":
			word, unit = digits, 1<<20
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 1<<30/unit {
			return fmt.Errorf("%q is no number from 1 to 1024M", word)
		}
		*l = append(*l, n*unit)
	}
	return nil
}

// binary is a program to measure.
type binary struct{ name, path string }

// binaries is a flag that may be given several times.
type binaries []binary

// String is empty: there is no default to show.
func (b *binaries) String() string { return "" }

// Set adds a program.
func (b *binaries) Set(text string) error {
	name, path, ok := strings.Cut(text, "=")
	if !ok {
		name, path = "gatepost", text
	}
	if name == "" || path == "" {
		return errors.New("write NAME=PATH or PATH")
	}
	for _, other := range *b {
		if other.name == name {
			return fmt.Errorf("two programs are named %q", name)
		}
	}
	*b = append(*b, binary{name, path})
	return nil
}
