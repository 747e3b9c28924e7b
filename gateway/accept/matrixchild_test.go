package accept_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/gateway/ledger"
	"gatepost/gateway/relay"
	"gatepost/gateway/smtpd"
	"gatepost/gateway/spool"
)

// childEnv makes the test's program the gateway of TestMatrix.
const childEnv = "GATEPOST_MATRIX"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	m.Run()
}

// job is what the gateway is to be: the real edge, acceptor, ledger, spool and relay, behind ports at which it is killed.
type job struct {
	Dir   string        // of the ledger and the spool
	Hop   string        // host:port
	Spool bool          // its route spools
	Final time.Duration // how long the next hop's answer is waited for
	Step  string        // at which it is killed; "" for nowhere
}

// at kills the process at the step, as a loss of power of its own would: nothing is ended, flushed or told.
func (j *job) at(step string) {
	if j.Step == step {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

// child runs the gateway until it is killed, and says where it listens.
func child(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	host, port, err := net.SplitHostPort(j.Hop)
	if err != nil {
		return err
	}
	number, _ := strconv.Atoi(port)
	hops, err := relay.New(relay.NewPools(nil, log), []relay.Route{{Name: "main", Hostname: "mx.example.org", TLS: relay.None, Hops: []relay.Hop{{Host: host, Port: number}},
		Timeouts: relay.Timeouts{Connect: 10 * time.Second, Command: 10 * time.Second, Final: j.Final}}})
	if err != nil {
		return err
	}
	ctx := context.Background()
	go hops.Tend(ctx)
	l := ledger.New(ledger.Options{File: filepath.Join(j.Dir, "ledger"), Key: []byte("0123456789abcdef"), Log: log})
	go l.Run(ctx)
	ids := &gateway.IDs{}
	a := &accept.Acceptor{Ledger: ledgerAt{l, &j}, Log: log}
	s := &smtpd.Server{Current: func() *gateway.Snapshot { return snapshot(&j, hops) }, Deliver: deliverAt{a, &j}, Journal: noJournal{}, IDs: ids, Log: log}
	bodies := &spool.Bodies{}
	s.NewBody = func() gateway.BodyWriter { return bodyAt{bodies.New(), &j} }
	if j.Spool {
		q, err := spool.OpenQueue(spool.QueueOptions{Dir: filepath.Join(j.Dir, "spool"), Reserve: 1 << 20, ReserveInodes: 1, Log: log,
			Tuning:  spool.Tuning{Schedule: []time.Duration{100 * time.Millisecond}},
			NextHop: func() gateway.NextHop { return hopAt{hops, &j, ofSpool} }, Known: func(string) bool { return true }})
		if err != nil {
			return err
		}
		l.Restore(func(since time.Time, tell func(time.Time, string, []string)) { // as the daemon does
			q.Recent(1000, since, func(c gateway.Custody, to []gateway.Address) { tell(c.Arrived, c.Message, []string{to[0].Key()}) })
		})
		go q.Run(ctx)
		a.Spool, s.Spool = spoolAt{q, &j}, q
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return s.Serve(ctx, listener, "smtp")
}

// snapshot is a policy that lets all pass.
func snapshot(j *job, hops *relay.Relay) *gateway.Snapshot {
	domain := &gateway.Domain{Name: "example.org", Route: "main", Subject: "full"}
	pl, checks := &gateway.Pipeline{}, map[string]gateway.CheckPolicy{}
	for stage, step := range map[gateway.Stage]string{gateway.Mail: afterMail, gateway.Rcpt: afterRcpt, gateway.Data: afterDot} {
		name := step
		if stage == gateway.Rcpt {
			name = gateway.RcptCheck
		}
		checks[name] = gateway.CheckPolicy{Action: gateway.ActionReject}
		pl.Rows[stage] = []gateway.Row{{Checks: []gateway.Check{{Name: name, Stage: stage, Run: func(context.Context, *gateway.Input) gateway.Finding {
			j.at(step)
			return gateway.Passed().Show("next hop", "asked")
		}}}}}
	}
	return &gateway.Snapshot{Hostname: "mx.example.org", Pipeline: pl, NextHop: hopAt{hops, j, ""}, Spools: map[string]bool{"main": j.Spool},
		Policy: &gateway.Policy{Version: "test", Domains: map[string]*gateway.Domain{"example.org": domain}, Postmaster: domain, Checks: checks},
		Offers: gateway.Offers{Pipelining: true, Size: true},
		Limits: gateway.Limits{Connections: 100, PerClient: 100, PerClientKnown: 100, PerClientBad: 100, PerNetwork: 100, PerWideNetwork: 100, CommandLine: 2048, HeaderSize: 1 << 16, Hops: 50,
			Recipients: 100, RecipientsKnown: 100, Transactions: 100, MessageSize: 1 << 24, Errors: 15, SlowAfter: 10, UnknownCommands: 10, JunkCommands: 100,
			CommandTimeout: time.Minute, SessionTime: 10 * time.Minute, DataTimeout: time.Minute, DataTime: time.Minute, DataSizeRate: 1 << 10,
			HandshakeTimeout: time.Minute, WriteTimeout: time.Minute, VerdictTime: time.Minute, ReplyTime: 2 * time.Minute}}
}

type noJournal struct{}

func (noJournal) Write(*gateway.Event) {}

func (noJournal) Early(client netip.Addr, why gateway.Reason) {}

// deliverAt is killed between the acceptor and the edge, and when the client's next command came.
type deliverAt struct {
	*accept.Acceptor
	j *job
}

func (d deliverAt) Deliver(ctx context.Context, e *gateway.Envelope, v *gateway.Verdict) accept.Result {
	r := d.Acceptor.Deliver(ctx, e, v)
	d.j.at(beforeOurs)
	if r.Claim != nil {
		r.Claim = claimAt{r.Claim, d.j}
	}
	return r
}

type ledgerAt struct {
	*ledger.Ledger
	j *job
}

func (l ledgerAt) Begin(ctx context.Context, message [32]byte, rcpts []string) (gateway.Claim, error) {
	c, err := l.Ledger.Begin(ctx, message, rcpts)
	l.j.at(claimed)
	return claimAt{c, l.j}, err
}

type claimAt struct {
	gateway.Claim
	j *job
}

func (c claimAt) End(delivered []bool) {
	c.j.at(beforeLedger)
	c.Claim.End(delivered)
	c.j.at(afterLedger)
}

func (c claimAt) Heard(read bool) {
	c.j.at(heardOurs)
	c.Claim.Heard(read)
}

// hopAt is killed while a message is handed over.
type hopAt struct {
	gateway.NextHop
	j   *job
	who string // ofSpool of the spool
}

func (h hopAt) Relay(ctx context.Context, d *gateway.Delivery) gateway.Relayed {
	copied := *d
	parts := []io.Reader{stepAt{h.j, h.who + afterHopRcpt}}
	for i, p := range d.Content.Parts {
		if i == len(d.Content.Parts)-1 {
			p = io.MultiReader(io.LimitReader(p, 1000), stepAt{h.j, h.who + inHopBody}, p)
		}
		parts = append(parts, p)
	}
	copied.Content.Parts = append(parts, stepAt{h.j, h.who + beforeHopDot})
	copied.Content.Clean, copied.Content.Dots = false, nil
	r := h.NextHop.Relay(ctx, &copied)
	if r.Result == gateway.Delivered {
		h.j.at(h.who + afterHop250)
	}
	return r
}

// stepAt is killed when it is read, and holds nothing.
type stepAt struct {
	j    *job
	step string
}

func (s stepAt) Read([]byte) (int, error) {
	s.j.at(s.step)
	return 0, io.EOF
}

type bodyAt struct {
	gateway.BodyWriter
	j *job
}

func (b bodyAt) Write(p []byte) (int, error) {
	b.j.at(inData)
	return b.BodyWriter.Write(p)
}

type spoolAt struct {
	gateway.Spool
	j *job
}

func (s spoolAt) Put(ctx context.Context, d *gateway.Delivery, c gateway.Custody) error {
	s.j.at(beforeSpool)
	err := s.Spool.Put(ctx, d, c)
	s.j.at(afterSpool)
	return err
}
