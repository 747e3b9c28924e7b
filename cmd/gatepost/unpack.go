package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"gatepost/gateway/journal"
	"gatepost/internal/cli"
	"gatepost/internal/config"
	"gatepost/internal/filetype"
	"gatepost/internal/sandbox"
	"gatepost/internal/unpack"
	"gatepost/internal/unpack/archive"
	"gatepost/internal/unpack/image"
	"gatepost/internal/unpack/office"
	"gatepost/internal/unpack/pdf"
	"gatepost/internal/unpack/received"
	"gatepost/internal/unpack/tnef"
	"gatepost/internal/unpack/web"
)

// Arguments of the process that looks into one message: nobody types them.
const (
	unpackJob   = "--job"
	unpackRead  = "reports" // read reports about domains of ours, and open what packs them
	unpackLoose = "loose"   // go on where the kernel has no system call filter: by sandbox = "off"
)

// ratioFrom is what may come out of anything, however small it is.
const ratioFrom = 10 << 20

// shownOctets is how much of what other scanners cannot open is shown to them, of one message.
const shownOctets = 16 << 20

// formats are all that is looked into, in the order in which they are asked: those that are archives by their looks only
// come before these.
func formats() []unpack.Format {
	return slices.Concat(office.Formats(), pdf.Formats(), tnef.Formats(), web.Formats(), image.Formats(), archive.Formats())
}

// newUnpack makes a client of the processes, which are told more where more says so. It starts none.
func newUnpack(b *config.Bootstrap, more ...string) *unpack.Client {
	u := &b.Unpack
	args := append([]string{"unpack", unpackJob, strconv.FormatInt(int64(u.Memory), 10), strconv.FormatInt(int64(u.Time/time.Second), 10)}, more...)
	if b.Sandbox == config.SandboxOff {
		args = append(args, unpackLoose)
	}
	return unpack.NewClient(unpack.Config{Args: args, Memory: int64(u.Memory), Time: u.Time, Processes: u.Processes,
		Limits: unpack.Limits{Entries: u.Entries, Depth: u.Depth, Octets: int64(u.Octets), Object: int64(u.Object), Held: int64(u.Memory) / 4, Ratio: int64(u.Ratio), RatioFrom: ratioFrom, Show: shownOctets}})
}

// serveUnpack is that process, from its first moment to its end: memory and seconds of processor time that it may use, and
// whether it does without a lock.
func serveUnpack(args []string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "gatepost unpack:", err)
		return cli.Found
	}
	if len(args) < 2 {
		return fail(errors.New("this is for the gateway"))
	}
	memory, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return fail(err)
	}
	seconds, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return fail(err)
	}
	loose := slices.Contains(args[2:], unpackLoose)
	opens := formats()
	if slices.Contains(args[2:], unpackRead) {
		opens = slices.Concat(received.Formats(), archive.Formats())
	}
	s := unpack.Server{Formats: opens, TypeOf: filetype.ByContent, Confine: func() (unpack.Hello, error) {
		l := sandbox.Lock(sandbox.Bounds{Memory: detectorTakes * memory, CPU: time.Duration(seconds+2) * time.Second})
		if l.Err != nil && !loose {
			return unpack.Hello{}, l.Err
		}
		return unpack.Hello{Confined: l.OK(), How: l.String()}, nil
	}}
	out := bufio.NewWriter(os.Stdout)
	if err := errors.Join(s.Serve(os.Stdin, flushed{out}), out.Flush()); err != nil {
		return fail(err)
	}
	return cli.Done
}

// flushed passes on at once: what is said first is waited for.
type flushed struct{ *bufio.Writer }

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err != nil || n < 5 { // the head of a frame
		return n, err
	}
	return n, f.Flush()
}

// tryUnpack starts one process without a job, so that whether it can be started and confined is known before there is mail.
func (p *parts) tryUnpack(ctx context.Context) {
	_, _ = p.unpack.Unpack(ctx, nil) // what is the matter is in its numbers
}

// unpackHealth is the part "unpack" of health.
func (p *parts) unpackHealth() (bool, string) {
	h, ok := p.unpack.Hello()
	switch s := p.unpack.Stats(); {
	case ok:
		return h.Confined, h.How
	case s.Failed[unpack.NotStarted] > 0:
		return false, "it cannot be started or confined: mail with attachments is deferred. " + s.LastFailure
	}
	return true, "not known yet"
}

// unpackLive is the line of check --live.
func unpackLive(ctx context.Context, c *unpack.Client) []answer {
	began := time.Now()
	_, err := c.Unpack(ctx, nil)
	h, _ := c.Hello()
	return []answer{{What: "unpack", Server: "gatepost unpack", Err: err, Said: h.How, Warn: !h.Confined, Took: time.Since(began)}}
}

// unpackInstruments shows what becomes of the processes.
func (p *parts) unpackInstruments(m *journal.Metrics) {
	m.Gauge("unpack_running", "Processes that look into attachments now.", func() float64 { return float64(p.unpack.Stats().Running) })
	m.Gauge("unpack_confined", "1 while they are confined as they should be.", func() float64 {
		if h, ok := p.unpack.Hello(); ok && h.Confined {
			return 1
		}
		return 0
	})
	m.Counter("unpack_processes_total", "Processes that looked into attachments.", func() float64 { return float64(p.unpack.Stats().Started) })
	m.Counter("unpack_seconds_total", "How long they took, by the clock.", func() float64 { return p.unpack.Stats().Took.Seconds() })
	m.Counters("unpack_failures_total", "Messages whose attachments could not be looked into, by why.", []string{"kind"}, func() (out []journal.Series) {
		s := p.unpack.Stats()
		for _, k := range unpack.FailureKinds() {
			out = append(out, journal.Series{Labels: []string{string(k)}, Value: float64(s.Failed[k])})
		}
		return out
	})
	m.Counters("unpack_limits_total", "Messages whose attachments were not looked into whole, by the limit that was met.", []string{"limit"}, func() (out []journal.Series) {
		s := p.unpack.Stats()
		for _, l := range unpack.AllLimits() {
			out = append(out, journal.Series{Labels: []string{string(l)}, Value: float64(s.Limits[l])})
		}
		return out
	})
}
