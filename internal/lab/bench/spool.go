package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/load"
	"gatepost/internal/lab/bench/sink"
)

// spoolResult is how a program keeps mail while its next hop is away.
type spoolResult struct {
	Name   string        `json:"target"`
	Accept []spoolAccept `json:"accept"`
	// Of a daemon alone.
	Drained float64 `json:"drained_per_s,omitempty"`     // messages a second, once the next hop is back
	Queued  int     `json:"queued,omitempty"`            // messages, for what follows
	Each    float64 `json:"kib_per_message,omitempty"`   // memory of a message in the spool
	Start   float64 `json:"start_queued_ms,omitempty"`   // from the making of the process to the whole banner, with all of them
	Counted float64 `json:"start_to_queue_ms,omitempty"` // until the queue tells of all of them
}

// spoolAccept is how fast mail is taken over a number of connections.
type spoolAccept struct {
	Connections int      `json:"connections"`
	Median      sample   `json:"median"`
	Ratio       float64  `json:"ratio"` // to Postfix: the median of the rounds' ratios; 0 without one
	Rounds      []sample `json:"rounds"`
}

// heldPeer is Postfix with all mail on hold: what its smtpd and cleanup take, each message flushed to disk, with no queue
// manager at work beside them. It is the fastest that Postfix is at taking mail.
const heldPeer = "postfix-hold"

// spoolSize is that of a message; spoolConnections are how many bring them at the same time.
const spoolSize = 10 << 10

func spoolConnections() list { return list{1, 10, 50} }

// spool measures each program with its next hop away, beside Postfix on the same disk; how fast it delivers when the next
// hop is back; and what a full spool costs.
func (b *bench) spool(ctx context.Context, out io.Writer) (err error) {
	dir, err := b.syncedDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.plan.leave(dir)) }()
	shared := b.dir
	b.dir = dir
	defer func() { b.dir = shared }()
	var results []spoolResult
	peer, stop, err := b.startHeld(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, program := range b.programs {
		mine, theirs, err := b.spoolOf(ctx, program, peer)
		if err != nil {
			return fmt.Errorf("%s: %w", program.name, err)
		}
		results = append(results, theirs, mine)
	}
	b.report.Spool = results
	return printSpool(out, results)
}

// tmpfsMagic is the type of a file system in memory (statfs(2)).
const tmpfsMagic = 0x01021994

// syncedDir makes a folder on a real disk: where the temporary folder lies in memory, a flush costs nothing.
func (b *bench) syncedDir() (string, error) {
	for _, base := range []string{b.dir, "/var/tmp"} {
		var s syscall.Statfs_t
		if err := syscall.Statfs(base, &s); err != nil {
			return "", fmt.Errorf("spool: %s: %w", base, err)
		}
		if s.Type == tmpfsMagic {
			continue
		}
		dir, err := os.MkdirTemp(base, "gps")
		if err == nil {
			err = os.Chmod(dir, 0o755) // a Postfix runs as several users
		}
		return dir, err
	}
	return "", errors.New("spool: both the temporary folder and /var/tmp lie in memory, where nothing is ever flushed")
}

// startHeld starts the Postfix that keeps all mail on hold; nil where it is not asked for.
func (b *bench) startHeld(ctx context.Context) (*target, func() error, error) {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "bench: spool: without Postfix, which needs root")
		return nil, func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp(b.dir, "hold-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		return nil, nil, err
	}
	o := proxyOptions("127.0.0.1:1")
	o.Name, o.Smtpd = "hold.lab.test", []string{"smtpd_client_restrictions=static:HOLD"}
	p, err := lab.StartPostfix(ctx, dir, o)
	if err != nil {
		return nil, nil, err
	}
	return &target{name: heldPeer, addr: p.Addr, part: part{pid: p.PID(), group: true}}, p.Stop, nil
}

// spooler is a daemon whose next hop comes and goes.
type spooler struct {
	*bench
	program binary
	d       daemon
	dir     string
	port    *lab.Port // of the next hop
	g       *lab.Gatepost
	taken   int64 // messages in its spool
}

// spoolOf measures one program.
func (b *bench) spoolOf(ctx context.Context, program binary, peer *target) (mine, theirs spoolResult, err error) {
	mine.Name, theirs.Name = program.name, heldPeer
	s := &spooler{bench: b, program: program}
	if s.port, err = lab.ReservePort(); err != nil {
		return mine, theirs, err
	}
	defer s.port.Release()
	listen, err := lab.ReservePort()
	if err != nil {
		return mine, theirs, err
	}
	defer listen.Release()
	if s.dir, err = os.MkdirTemp(b.dir, "spool-"); err != nil {
		return mine, theirs, err
	}
	s.d = daemon{binary: program, listen: listen.Addr(), hop: s.port.Addr(), route: "when_down = \"spool\"\n", spools: true}
	if err := s.begin(ctx); err != nil {
		return mine, theirs, err
	}
	defer func() { err = errors.Join(err, s.g.Stop()) }()
	for _, n := range spoolConnections() {
		a, p, err := s.accept(ctx, peer, n)
		if err != nil {
			return mine, theirs, err
		}
		mine.Accept, theirs.Accept = append(mine.Accept, a), append(theirs.Accept, p)
	}
	if mine.Drained, err = s.drain(ctx); err != nil {
		return mine, theirs, err
	}
	mine.Queued = b.plan.queued
	if mine.Each, err = s.fill(ctx, int64(mine.Queued)); err != nil {
		return mine, theirs, err
	}
	mine.Start, mine.Counted, err = s.again(ctx)
	return mine, theirs, err
}

// nextHop starts the sink that is the daemon's next hop for a while.
func (s *spooler) nextHop() (*sink.Child, error) {
	return sink.StartChild(exec.Command(s.self, "-"+sinkFlag, s.port.Addr()))
}

// begin starts the daemon and has one message pass, so that its recipient is known; then the next hop goes away.
func (s *spooler) begin(ctx context.Context) (err error) {
	hop, err := s.nextHop()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hop.Close()) }()
	if s.g, err = s.launchIn(ctx, s.d, s.dir); err != nil {
		return err
	}
	_, err = s.job(1, 1).Run(ctx)
	return err
}

// job is a load of so many messages, over connections.
func (s *spooler) job(connections, count int) load.Job {
	return load.Job{Addr: s.d.listen, Message: load.NewMessage(spoolSize), Connections: connections, PerSession: s.plan.perSession,
		For: time.Hour, Count: count, Timeout: sessionTimeout}
}

// accept measures how fast mail is taken, in turns with Postfix.
func (s *spooler) accept(ctx context.Context, peer *target, connections int) (mine, theirs spoolAccept, err error) {
	mine.Connections, theirs.Connections = connections, connections
	us := targetOf(s.program.name, s.g)
	s.targets = []target{us}
	if peer != nil {
		s.targets = append(s.targets, *peer)
	}
	job := s.job(connections, 0)
	job.For, job.Least = s.plan.length, leastMessages
	var ratios []float64
	for i := range s.plan.rounds + 1 {
		var rates [2]float64
		for k, t := range s.targets {
			got, err := s.takes(ctx, t, job)
			if err != nil {
				return mine, theirs, err
			}
			if k == 0 {
				s.taken += got.Messages
			}
			if i == 0 { // to warm up
				continue
			}
			into := []*spoolAccept{&mine, &theirs}[k]
			into.Rounds = append(into.Rounds, got)
			rates[k] = got.Rate
		}
		if rates[1] > 0 {
			ratios = append(ratios, rates[0]/rates[1])
		}
	}
	mine.Median, theirs.Median = medians(mine.Rounds), medians(theirs.Rounds)
	mine.Ratio = median(ratios)
	return mine, theirs, nil
}

// takes is one round: everything is taken, and nothing passed on.
func (s *spooler) takes(ctx context.Context, t target, job load.Job) (got sample, err error) {
	use, err := s.startUsage(t.part)
	if err != nil {
		return got, err
	}
	job.Addr = t.addr
	r, err := job.Run(ctx)
	rss := use.high()
	if err != nil {
		return got, fmt.Errorf("%s, %d connections: %w", t.name, job.Connections, err)
	}
	cpu, others, err := use.end()
	if err != nil {
		return got, err
	}
	n := r.Acknowledged.Messages
	return sample{Rate: r.Rate(), P50: milliseconds(r.Percentile(50)), P99: milliseconds(r.Percentile(99)),
		CPU: float64(cpu.Microseconds()) / float64(n), RSS: float64(rss) / (1 << 20), Others: others, Messages: n}, nil
}

// drain lets the next hop come back, and is how many messages a second it gets from the first to the last; all that were
// taken must come, once.
func (s *spooler) drain(ctx context.Context) (rate float64, err error) {
	hop, err := s.nextHop()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, hop.Close()) }()
	var first time.Time
	for late := time.Now().Add(10 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		count, err := hop.Count()
		if err != nil {
			return 0, err
		}
		n := count.Whole.Messages
		if first.IsZero() && n > 0 {
			first = time.Now()
		}
		if n >= s.taken {
			took := time.Since(first).Seconds()
			if n > s.taken || count.Damaged+count.Strange+count.CutOff > 0 {
				return 0, fmt.Errorf("the spool had %d messages, and the next hop got %+v", s.taken, count)
			}
			s.taken = 0
			return float64(n) / took, nil
		}
		if time.Now().After(late) || ctx.Err() != nil {
			return 0, fmt.Errorf("the next hop got %d messages of %d", n, s.taken)
		}
	}
}

// fill brings so many messages into the spool, and is what each of them takes of memory, in KiB.
func (s *spooler) fill(ctx context.Context, count int64) (each float64, err error) {
	job := s.job(50, int(count))
	job.Message, job.PerSession = load.NewMessage(1<<10), 1000
	// A new daemon with no load behind it, whose memory is its own; and one that read its spool, so that nothing is left
	// of how the messages came.
	if err := s.g.Stop(); err != nil {
		return 0, err
	}
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	before, err := s.atRest()
	if err != nil {
		return 0, err
	}
	job.Addr = s.d.listen
	if _, err := job.Run(ctx); err != nil {
		return 0, err
	}
	s.taken = count
	if err := s.g.Stop(); err != nil {
		return 0, err
	}
	if s.g, err = s.launchIn(ctx, s.d, s.dir); err != nil {
		return 0, err
	}
	if err := s.awaitQueued(ctx); err != nil {
		return 0, err
	}
	after, err := s.atRest()
	return float64(after-before) / 1024 / float64(count), err
}

// atRest is the daemon's memory when nothing happens.
func (s *spooler) atRest() (int64, error) {
	time.Sleep(s.plan.rest())
	u, err := part{pid: s.g.PID()}.usage()
	return int64(u.RSS), err
}

// again stops the daemon and starts it with its full spool. Both times are in milliseconds from the making of the process:
// to the banner, and until the queue tells of every message.
func (s *spooler) again(ctx context.Context) (banner, counted float64, err error) {
	if err := s.g.Stop(); err != nil {
		return 0, 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	greeted := make(chan float64, 1)
	began := time.Now()
	go func() {
		defer close(greeted)
		if awaitBanner(waiting, s.d.listen) == nil {
			greeted <- milliseconds(time.Since(began))
		}
	}()
	if s.g, err = s.launchIn(ctx, s.d, s.dir); err != nil {
		return 0, 0, err
	}
	banner, ok := <-greeted
	if !ok {
		return 0, 0, errors.New("no banner within a minute")
	}
	err = s.awaitQueued(ctx)
	return banner, milliseconds(time.Since(began)), err
}
