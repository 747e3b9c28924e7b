package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// The trial's length and seed; scripts/soak has the full form.
var (
	trialLength = flag.Duration("trial-length", 8*time.Second, "how long TestNothingLost breaks things")
	trialRate   = flag.Int("trial-rate", 30, "how many mails a second it sends")
	trialSeed   = flag.Uint64("trial-seed", 0, "its seed; 0: one of the clock")
)

// trial is a daemon that is killed, between two next hops that are stopped, killed, refuse and lie, by SMTP and by LMTP.
type trial struct {
	w       *world
	courier *courier
	seed    uint64
	ports   struct{ smtp, lmtp *lab.Port }
	smtp    *lab.NextHop // nil while it is away
	lmtp    *lab.GoSMTP
	uneven  atomic.Bool // the LMTP server refuses one recipient of three for now

	mu      sync.Mutex
	parcels []*parcel
	copies  map[place][]took
	broken  []string
	spans   []span
	did     map[string]int
}

// took is one copy of a parcel for a recipient, as a next hop took it.
type took struct {
	at time.Time
	delivered
}

// span is a time in which an answer may have been lost, so that its message comes again (RFC 1047).
type span struct{ from, to time.Time }

// TestNothingLost: whatever happens to the next hops and to the daemon itself, a mail that was answered with 250 arrives
// whole for each of its recipients. It arrives twice only where the answer to the first copy was lost on its way.
func TestNothingLost(t *testing.T) {
	t.Parallel()
	r := newTrial(t)
	ctx, cancel := context.WithTimeout(t.Context(), *trialLength+4*time.Minute)
	defer cancel()
	parcels := make(chan *parcel)
	over := make(chan struct{})
	var sending, breaking sync.WaitGroup
	for range 8 {
		sending.Go(func() { r.courier.carry(ctx, parcels) })
	}
	sending.Go(func() { r.feed(parcels, over) })
	breaking.Go(func() { r.breakHops(t, over) })
	r.kills(t)
	close(over)
	breaking.Wait()
	sending.Wait()
	if ctx.Err() != nil {
		t.Fatalf("the courier is not done; it was told %q\n%s", r.courier.said, r.w.daemon.Log())
	}
	r.drain(ctx, t)
	r.judge(t)
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	r := &trial{seed: *trialSeed, copies: map[place][]took{}, did: map[string]int{}}
	if r.seed == 0 {
		r.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-trial-seed %d", r.seed)
	r.ports.smtp, r.ports.lmtp = keptPort(t), keptPort(t)
	r.startSMTP(t)
	r.startLMTP(t)
	t.Cleanup(func() {
		r.smtp.Close()
		r.lmtp.Close()
	})
	at := keptPort(t)
	r.w = newWorld(t, setup{
		clamav: "off", spamd: "off", dns: dnslab.New(t, realZones).Addr(), offers: "-", trusted: `"127.0.0.0/8"`,
		bootstrap: "[[listener]]\nname = \"again\"\naddresses = [\"" + at.Addr() + "\"]\n[spool]\nreserve = \"16M\"\n",
		limits:    noWaits + "transactions = 100000\n", body: "memory = \"64K\"",
		routes: []route{
			{name: "store", domains: campaignDomains[:1], addr: r.ports.lmtp.Addr(), lines: "protocol = \"lmtp\"\nwhen_down = \"spool\"\n"},
			{name: "relay", domains: campaignDomains[1:], addr: r.ports.smtp.Addr(), lines: "when_down = \"spool\"\n"},
		},
		policy: "[queue]\nschedule = [\"1s\"]\nlifetime = \"1h\"\n",
	})
	r.launch(t)
	r.courier = &courier{addr: at.Addr(), seed: r.seed, moments: make(chan string), unknown: map[int]int{}, refused: map[int]string{}}
	return r
}

func (r *trial) launch(t *testing.T) {
	t.Helper()
	r.w.daemon = labtest.Gatepost(t, r.w.dir, lab.GatepostOptions{Config: r.w.config, Policy: r.w.policy})
}

func (r *trial) startSMTP(t testing.TB) {
	hop, err := lab.StartNextHop(lab.NextHopOptions{Port: r.ports.smtp, Taken: func(m lab.Received) {
		if m.Accepted {
			var to []string
			for _, rcpt := range m.Rcpts {
				to = append(to, strings.Trim(pathIn(rcpt), "<>"))
			}
			r.take(to, m.Body)
		}
	}})
	if err != nil {
		t.Error(err)
		return
	}
	r.smtp = hop
}

func (r *trial) startLMTP(t testing.TB) {
	hop, err := lab.StartGoSMTPPeer(lab.GoSMTPOptions{
		LMTP: true, Port: r.ports.lmtp, Taken: func(m lab.GoSMTPMessage) { r.take(m.For, m.Body) },
		After: func(to string) error {
			if r.uneven.Load() && strings.HasPrefix(to, "berta") {
				return &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "no room now"}
			}
			return nil
		},
	})
	if err != nil {
		t.Error(err)
		return
	}
	r.lmtp = hop
}

// take notes what a next hop took, before it says so.
func (r *trial) take(to []string, message []byte) {
	r.mu.Lock()
	sent := r.parcels
	r.mu.Unlock()
	now := time.Now()
	for _, to := range to {
		d, err := readDelivered(to, message, sent)
		r.mu.Lock()
		if err != nil {
			r.broken = append(r.broken, err.Error())
		} else {
			at := place{d.number, to}
			r.copies[at] = append(r.copies[at], took{now, d})
		}
		r.mu.Unlock()
	}
}

// feed makes mail at an even pace.
func (r *trial) feed(parcels chan<- *parcel, over <-chan struct{}) {
	defer close(parcels)
	pace := time.NewTicker(time.Second / time.Duration(*trialRate))
	defer pace.Stop()
	for n := 0; ; n++ {
		p := makeParcelUpTo(r.seed, n, 48<<10)
		r.mu.Lock()
		r.parcels = append(r.parcels, p)
		r.mu.Unlock()
		parcels <- p
		select {
		case <-over:
			return
		case <-pace.C:
		}
	}
}

// kills kills the daemon again and again, until the time is over.
func (r *trial) kills(t *testing.T) {
	t.Helper()
	random := rand.New(rand.NewPCG(r.seed, 1<<42))
	for end := time.Now().Add(*trialLength); time.Now().Before(end); {
		time.Sleep(time.Duration(500+random.IntN(2500)) * time.Millisecond)
		from := time.Now()
		if err := r.w.daemon.Kill(); err != nil {
			t.Fatal(err)
		}
		r.disturbed("the daemon killed", from)
		r.launch(t)
	}
}

// disturbed notes a time in which answers may have been lost.
func (r *trial) disturbed(what string, from time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did[what]++
	r.spans = append(r.spans, span{from, time.Now()})
}

// trialFaults are what is done to the next hops: at random, one after another.
var trialFaults = []string{"SMTP away", "SMTP away", "LMTP away", "LMTP away", "LMTP mixed", "SMTP 451 after the dot", "SMTP 554 after the dot",
	"SMTP 421", "SMTP 450 to one", "SMTP answer lost", "SMTP reset"}

// breakHops breaks the next hops and mends them, until the time is over.
func (r *trial) breakHops(t testing.TB, over <-chan struct{}) {
	random := rand.New(rand.NewPCG(r.seed, 1<<43))
	for {
		fault := trialFaults[random.IntN(len(trialFaults))]
		r.breakHop(t, fault, time.Duration(100+random.IntN(900))*time.Millisecond)
		select {
		case <-over:
			return
		case <-time.After(time.Duration(50+random.IntN(400)) * time.Millisecond):
		}
	}
}

func (r *trial) breakHop(t testing.TB, fault string, length time.Duration) {
	from := time.Now()
	step := func(name string, a lab.Action) {
		r.smtp.On(name, a)
		time.Sleep(length)
		r.smtp.On(name)
	}
	switch fault {
	case "SMTP away":
		r.smtp.Close()
		r.disturbed(fault, from)
		time.Sleep(3 * length)
		r.startSMTP(t)
		return
	case "LMTP away":
		r.lmtp.Close()
		time.Sleep(3 * length)
		r.startLMTP(t)
		r.disturbed(fault, from)
		return
	case "SMTP answer lost", "SMTP reset":
		after := lab.Action{Bytes: []byte("250"), Then: lab.Close} // it has taken the message
		if fault == "SMTP reset" {
			after = lab.Action{Bytes: []byte{}, Then: lab.Reset} // it has not
		}
		for _, name := range []string{"DOT", "LAST"} {
			r.smtp.On(name, after)
		}
		time.Sleep(length)
		for _, name := range []string{"DOT", "LAST"} {
			r.smtp.On(name)
		}
		r.disturbed(fault, from)
		return
	case "LMTP mixed":
		r.uneven.Store(true)
		time.Sleep(length)
		r.uneven.Store(false)
	case "SMTP 421":
		step("MAIL", lab.ReplyThenClose("421 4.3.2 going down"))
	case "SMTP 450 to one":
		step("RCPT <berta@hop.test>", lab.Reply("450 4.2.1 busy"))
	default:
		reply := "451 4.3.0 later"
		if fault == "SMTP 554 after the dot" {
			reply = "554 5.7.1 no"
		}
		r.smtp.On("LAST", lab.Reply(reply))
		step("DOT", lab.Reply(reply))
		r.smtp.On("LAST")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did[fault]++
}

// drain waits until nothing is on its way any more. What a next hop refused for good while nobody was there to be told lies
// in the spool as a dead letter; somebody lets it try again.
func (r *trial) drain(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := eventually(ctx, func() (string, bool) {
		dead := r.w.queue(t, "--state", "dead")
		if len(dead) > 0 {
			r.did["dead letters tried again"] += len(dead)
			r.w.command(t, 0, "queue", "retry", "--state", "dead", "--all")
		}
		left := r.w.queue(t)
		return fmt.Sprintf("%d messages in the spool", len(left)), len(left) == 0
	}); err != nil {
		t.Fatalf("%v\n%s", err, r.w.daemon.Log())
	}
	if err := r.w.daemon.Stop(); err != nil {
		t.Error(err)
	}
}

// judge compares what was answered with 250 with what arrived.
func (r *trial) judge(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.broken {
		t.Errorf("arrived and cannot be told: %s", b)
	}
	lost, wrong, twice, places := 0, 0, 0, 0
	for _, p := range r.parcels {
		refused := r.courier.refused[p.number] != ""
		for _, to := range p.to {
			places++
			copies := r.copies[place{p.number, to}]
			if len(copies) == 0 && !refused {
				lost++
				t.Errorf("parcel %d for %s is lost", p.number, to)
			}
			for i, c := range copies {
				if c.wrong != "" {
					wrong++
					t.Errorf("parcel %d of %v for %s: %s", p.number, c.trace, to, c.wrong)
				}
				if i == 0 {
					continue
				}
				twice++
				if !r.lostBetween(copies[i-1].at, c.at) {
					t.Errorf("parcel %d came for %s at %v (%v) and %v (%v), and no answer was lost between", p.number, to,
						copies[i-1].at.Format("05.000"), copies[i-1].trace, c.at.Format("05.000"), c.trace)
				}
			}
		}
	}
	t.Logf("%d mails for %d places in %v: %d lost, %d truncated or mixed, %d copies more than one, each of a lost answer; %d mails refused by a next hop to their sender's face",
		len(r.parcels), places, *trialLength, lost, wrong, twice, len(r.courier.refused))
	log := readFile(t, filepath.Join(r.w.dir, "gatepost.log")) // of all its lives
	t.Logf("%d of them came while a next hop was away, and were spooled", bytes.Count(log, []byte(`"kind":"spool_queued"`)))
	var did []string
	for what, n := range r.did {
		did = append(did, fmt.Sprintf("%s %d", what, n))
	}
	slices.Sort(did)
	t.Logf("what was done: %s", strings.Join(did, ", "))
	if r.did["the daemon killed"] == 0 || len(r.parcels) == 0 {
		t.Error("nothing was tried")
	}
	for _, reply := range r.courier.refused {
		if !strings.Contains(reply, "5.7.1") {
			t.Errorf("the courier was refused: %s", reply)
		}
	}
}

// lostBetween reports whether an answer may have been lost between two copies. What a next hop was at when it was mended
// may come to its end a moment later.
func (r *trial) lostBetween(first, second time.Time) bool {
	const moment = 2 * time.Second
	return slices.ContainsFunc(r.spans, func(s span) bool { return !s.to.Add(moment).Before(first) && !s.from.After(second) })
}
