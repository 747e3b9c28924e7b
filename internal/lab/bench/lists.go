package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatepost/internal/lab/bench/child"
	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/bench/sink"
	"gatepost/internal/lab/dnslab"
)

// listResult is what clients cost that are on DNS lists, and how many got through.
type listResult struct {
	Name     string       `json:"target"`
	Who      string       `json:"clients"`
	Median   listSample   `json:"median"`
	Rounds   []listSample `json:"rounds"`
	Sessions int64        `json:"sessions"` // of all rounds, as what follows
	Refused  int64        `json:"refused"`
	Deferred int64        `json:"deferred"`
	LetIn    int64        `json:"let_in"`
	Refusal  string       `json:"refusal"`
	Deferral string       `json:"deferral"`
}

type listSample struct {
	Rate float64 `json:"sessions_per_s"`
	CPU  float64 `json:"cpu_us_per_session"`
	RSS  float64 `json:"rss_mib"`
}

// listCount is how many lists are asked, and listed how many clients come at the same time.
const (
	listCount   = 8
	listedCount = 1000
	smtpdPeer   = "smtpd"
)

// The clients' networks.
func onAll() netip.Prefix    { return netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), 24) }
func onLast() netip.Prefix   { return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 51, 100, 0}), 24) }
func onAllNew() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, 0}), 15) }

// listPhase is one kind of clients.
type listPhase struct {
	who   string
	from  netip.Prefix
	once  bool          // each comes once; otherwise all come again and again, and everybody's caches know them
	late  time.Duration // the lists' answers, but for their test points
	rated bool          // each may connect once a minute; of the peers only smtpd has such a limit
	// quick marks the phases of a quick look.
	quick bool
}

// listedKnown are clients that everybody has asked the lists about before.
const listedKnown = "known, on all lists"

func listPhases() []listPhase {
	return []listPhase{
		{who: listedKnown, from: onAll(), quick: true},
		{who: "known, on the last list alone", from: onLast()},
		{who: "over the rate limit", from: onAll(), rated: true},
		{who: "new, on all lists", from: onAllNew(), once: true},
		{who: "new, answers 2.5 s late", from: onAllNew(), once: true, late: 2500 * time.Millisecond, quick: true},
		{who: "new, answers 4 s late", from: onAllNew(), once: true, late: 4 * time.Second},
	}
}

func zoneOfList(i int) string { return fmt.Sprintf("bl%d.test", i+1) }

// listsAsked are the lists in a phase.
func listsAsked(late time.Duration) (q namesQuestion) {
	for i := range listCount {
		l := dnslab.List{Zone: zoneOfList(i), Networks: []netip.Prefix{onAll(), onAllNew()}, Late: late}
		if i == listCount-1 {
			l.Networks = append(l.Networks, onLast())
		}
		q.Lists = append(q.Lists, l)
	}
	return q
}

// listsPlan is what the process is told that measures in a network of its own.
type listsPlan struct {
	Dir      string
	Programs [][2]string
	Postfix  bool
	Rounds   int
	Clients  int
	Length   time.Duration
	Quick    bool
}

// lists measures clients that are on DNS lists: it starts a process with a network of its own for that.
func (b *bench) lists(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp(b.dir, "lists-")
	if err != nil {
		return err
	}
	p := listsPlan{Dir: dir, Postfix: slices.Contains(b.plan.peers, postfixPeer), Rounds: min(b.plan.rounds, 3), Clients: listedCount, Length: stormLength}
	if b.plan.quick {
		p.Length, p.Clients, p.Quick = b.plan.length, 100, true
	}
	for _, program := range b.programs {
		p.Programs = append(p.Programs, [2]string{program.name, program.path})
	}
	cmd := exec.CommandContext(ctx, b.self, "-"+listsFlag)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	c, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("a network of its own, which needs root: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Ask(p, &b.report.Lists); err != nil {
		return err
	}
	return printLists(out, b.report.Lists)
}

// serveLists is the process in that network.
func serveLists(in io.Reader, out io.Writer) error {
	return child.Serve(in, out, "", func(question json.RawMessage) (any, error) {
		var p listsPlan
		if err := json.Unmarshal(question, &p); err != nil {
			return nil, err
		}
		return p.measure(context.Background())
	})
}

// measure starts all that is needed, and measures.
func (p listsPlan) measure(ctx context.Context) (results []listResult, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("not done within 10 minutes"))
	defer cancel()
	if err := errors.Join(os.Chmod(p.Dir, 0o755), apart(p.Dir)); err != nil {
		return nil, err
	}
	b := &bench{dir: p.Dir, dns: "127.0.0.1:53"}
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, program := range p.Programs {
		b.programs = append(b.programs, binary{program[0], program[1]})
	}
	if b.sink, err = sink.StartChild(exec.Command(b.self, "-sink")); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.sink.Close()) }()
	names, err := child.Start(exec.Command(b.self, "-"+namesFlag))
	if err != nil {
		return nil, fmt.Errorf("name server: %w", err)
	}
	defer func() { err = errors.Join(err, names.Close()) }()
	first := 0
	for _, phase := range listPhases() {
		if p.Quick && !phase.quick {
			continue
		}
		p := p
		p.Postfix = p.Postfix && (!p.Quick || phase.late == 0) // processes that wait take long to end
		play := func(late time.Duration) error {
			var counts map[string]int
			return names.Ask(listsAsked(late), &counts)
		}
		made, err := b.listPhase(ctx, p, phase, play, &first)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", phase.who, err)
		}
		results = append(results, made...)
	}
	return results, nil
}

// listPhase measures all targets with one kind of clients. They are new for each phase: what is late suspends lists.
func (b *bench) listPhase(ctx context.Context, p listsPlan, phase listPhase, play func(late time.Duration) error, first *int) (results []listResult, err error) {
	if err := play(0); err != nil {
		return nil, err
	}
	targets, stop, err := b.listTargets(ctx, p, phase.rated)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return nil, err
	}
	if err := play(phase.late); err != nil {
		return nil, err
	}
	results = make([]listResult, len(targets))
	for round := range p.Rounds + 1 {
		for i, t := range targets {
			results[i].Name, results[i].Who = t.name, phase.who
			if err := b.listRound(ctx, p, phase, t, first, &results[i], round == 0 && !phase.once); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
		}
		if phase.once {
			break
		}
	}
	for i := range results {
		r := results[i].Rounds
		results[i].Median = listSample{medianOf(r, func(s listSample) float64 { return s.Rate }), medianOf(r, func(s listSample) float64 { return s.CPU }),
			medianOf(r, func(s listSample) float64 { return s.RSS })}
	}
	return results, nil
}

// listRound measures one target once; a warm one is not noted.
func (b *bench) listRound(ctx context.Context, p listsPlan, phase listPhase, t target, first *int, result *listResult, warm bool) error {
	job := load.Listed{Addr: t.addr, From: phase.from, First: *first, Connections: p.Clients, For: p.Length, Timeout: 2 * time.Minute}
	if phase.once {
		job.For = 0
		*first += p.Clients
	}
	before, err := t.part.usage()
	if err != nil {
		return err
	}
	high := highWater(t.part)
	met, runErr := job.Run(ctx)
	rss := high()
	after, err := settle(t.part, settleTime)
	if err := errors.Join(runErr, err); err != nil || warm {
		return err
	}
	if met.Sessions == 0 {
		return errors.New("no session came to an end")
	}
	result.Rounds = append(result.Rounds, listSample{met.Rate(), float64((after.CPU - before.CPU).Microseconds()) / float64(met.Sessions), float64(rss) / (1 << 20)})
	result.Sessions += met.Sessions
	result.Refused += met.Refused
	result.Deferred += met.Deferred
	result.LetIn += met.LetIn
	result.Refusal = cmp.Or(met.Refusal, result.Refusal)
	result.Deferral = cmp.Or(met.Deferral, result.Deferral)
	return nil
}

const listsHeading = "| server | clients | sessions/s | CPU µs each | RSS MiB | sessions | refused | deferred | let in | with |\n" +
	"|---|---|---:|---:|---:|---:|---:|---:|---:|---|\n"

func printLists(w io.Writer, results []listResult) error {
	text := listsHeading
	for _, r := range results {
		m := r.Median
		var with []string
		for _, reply := range []string{r.Refusal, r.Deferral} {
			if words := strings.Fields(reply); len(words) > 0 {
				with = append(with, strings.Join(words[:min(2, len(words))], " "))
			}
		}
		text += fmt.Sprintf("| %s | %s | %.0f | %.0f | %.0f | %d | %d | %d | %d | %s |\n", r.Name, r.Who, m.Rate, m.CPU, m.RSS,
			r.Sessions, r.Refused, r.Deferred, r.LetIn, strings.Join(with, ", "))
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
