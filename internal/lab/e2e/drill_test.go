package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"gatepost/internal/lab"
)

// The outage drill's size; scripts/soak has the full form.
var (
	drillMails  = flag.Int("drill-mails", 200, "how many mails TestOutageDrill sends")
	drillOutage = flag.Duration("drill-outage", 3*time.Second, "how long its next hop is away")
	drillPlot   = flag.String("drill-plot", "", "the `file` that it draws arrivals, deliveries and what waits into (SVG)")
)

// drillPool is how many connections the route may have to its next hop.
const drillPool = 8

// drillBoxes are the recipients; the daemon knows that they exist before the outage.
var drillBoxes = []string{"anna@served.test", "berta@served.test", "carla@served.test"}

// drill is a next hop that is away for a while, mail that comes all the time, and what becomes of it.
type drill struct {
	w       *world
	port    *lab.Port
	hop     *lab.NextHop // nil while it is away
	most    int          // connections to it at the same time
	parcels []*parcel
	sending sync.WaitGroup
	slots   chan struct{} // connections of all senders together

	mu       sync.Mutex
	began    time.Time
	back     time.Duration   // when the next hop was there again
	arrived  []time.Duration // when each mail came to its sender's server
	accepted []time.Duration // when that server heard 250
	taken    []time.Duration // when it was at the next hop; 0: not yet
	again    int             // copies more than one
	cut      int             // of those, whose first one was at the next hop before it went: its answer may have been cut off
	gone     time.Duration   // when it had gone; 0: not yet
	refused  []string
	tries    int
	broken   []string
	order    []int // the mails as they came to the next hop
}

// TestOutageDrill: a next hop is away while mail comes. However the route answers meanwhile, each mail arrives once and
// whole, and the next hop that comes back never has more connections than the route allows.
func TestOutageDrill(t *testing.T) {
	t.Parallel()
	runs := map[string]*drill{}
	for _, mode := range drillModes {
		runs[mode] = nil
	}
	t.Run("group", func(t *testing.T) {
		var mu sync.Mutex
		for _, mode := range drillModes {
			t.Run(mode, func(t *testing.T) {
				t.Parallel()
				d := newDrill(t, mode)
				d.play(t)
				d.judge(t, mode)
				mu.Lock()
				defer mu.Unlock()
				runs[mode] = d
			})
		}
	})
	if *drillPlot == "" || t.Failed() {
		return
	}
	if err := os.WriteFile(*drillPlot, drillChart(runs), 0o644); err != nil {
		t.Fatal(err)
	}
}

func newDrill(t *testing.T, mode string) *drill {
	t.Helper()
	n := *drillMails
	d := &drill{
		port: keptPort(t), slots: make(chan struct{}, 20),
		arrived: make([]time.Duration, n), accepted: make([]time.Duration, n), taken: make([]time.Duration, n),
	}
	for i := range n {
		d.parcels = append(d.parcels, drillParcel(i))
	}
	d.start(t)
	d.w = newWorld(t, setup{
		clamav: "off", spamd: "off", trusted: `"127.0.0.0/8"`, limits: noWaits + "transactions = 10000\n",
		bootstrap: "[spool]\nreserve = \"16M\"\n",
		routes: []route{{
			name: "internal", domains: []string{"served.test"}, addr: d.port.Addr(),
			lines: fmt.Sprintf("when_down = %q\npool = %d\n", mode, drillPool),
		}},
	})
	d.w.start(t)
	return d
}

// drillParcel is a small mail to one of the recipients.
func drillParcel(n int) *parcel {
	to := drillBoxes[n%len(drillBoxes)]
	message := fmt.Sprintf("%s%d\r\nFrom: Anna Berg <%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: Drill %d\r\nMessage-ID: <drill.%d@example.org>\r\n\r\n",
		campaignField, n, drillSender, to, time.Now().Format(time.RFC1123Z), n, n)
	message += strings.Repeat(fmt.Sprintf("%d .and a line\r\n.\r\n", n), 100)
	return &parcel{number: n, to: []string{to}, message: []byte(message)}
}

const drillSender = "alice@example.org"

// start lets the next hop come.
func (d *drill) start(t testing.TB) {
	t.Helper()
	hop, err := lab.StartNextHop(lab.NextHopOptions{Port: d.port, Taken: d.take})
	if err != nil {
		t.Fatal(err)
	}
	d.hop = hop
	t.Cleanup(hop.Close)
}

// stop lets it go away.
func (d *drill) stop() {
	d.hop.Close()
	d.most = max(d.most, d.hop.Most())
	d.hop = nil
}

// take notes what arrived.
func (d *drill) take(r lab.Received) {
	if !r.Accepted {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	got, err := readDelivered(strings.Trim(pathIn(r.Rcpts[0]), "<>"), r.Body, d.parcels)
	switch {
	case err != nil:
		d.broken = append(d.broken, err.Error())
	case got.wrong != "" || got.to != d.parcels[got.number].to[0] || len(r.Rcpts) != 1:
		d.broken = append(d.broken, fmt.Sprintf("mail %d arrived %s for %q", got.number, got.wrong, r.Rcpts))
	case d.taken[got.number] != 0 && d.gone != 0 && d.taken[got.number] <= d.gone:
		d.cut++
	case d.taken[got.number] != 0:
		d.again++
	default:
		d.taken[got.number] = time.Since(d.began)
		d.order = append(d.order, got.number)
	}
}

// play sends mail at an even pace, from before the outage to after it, and waits until all has arrived.
func (d *drill) play(t *testing.T) {
	t.Helper()
	c := d.w.hello(t)
	c.want("250", "MAIL FROM:<"+drillSender+">")
	for _, to := range drillBoxes {
		c.want("250", "RCPT TO:<"+to+">")
	}
	c.conn.Close()
	// It may take a few of the senders' waits, each longer than the one before.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute+6**drillOutage)
	defer cancel()
	before := *drillOutage / 10
	over := before + *drillOutage + before
	d.began = time.Now()
	for i, p := range d.parcels {
		at := over * time.Duration(i) / time.Duration(len(d.parcels))
		d.sending.Go(func() { d.send(ctx, p, at) })
	}
	time.Sleep(before)
	d.stop()
	d.mu.Lock()
	d.gone = time.Since(d.began)
	d.mu.Unlock()
	time.Sleep(*drillOutage)
	d.start(t)
	d.back = time.Since(d.began)
	d.sending.Wait()
	err := eventually(ctx, func() (string, bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		missing := 0
		for _, at := range d.taken {
			if at == 0 {
				missing++
			}
		}
		return fmt.Sprintf("%d mails not there", missing), missing == 0
	})
	if err != nil {
		t.Errorf("%v\n%s", err, d.w.daemon.Log())
	}
	// A second copy may come behind the last first one.
	time.Sleep(time.Second)
	d.most = max(d.most, d.hop.Most())
}

// send is a sender's mail server with one mail: it tries at once, and then as Postfix does, after as long as the mail has
// waited already, but not before minimal_backoff_time (half of the outage, as 300 s are of ten minutes) and not after
// maximal_backoff_time.
func (d *drill) send(ctx context.Context, p *parcel, at time.Duration) {
	least, most := *drillOutage/2, 7**drillOutage
	if !pause(ctx, time.Until(d.began.Add(at))) {
		return
	}
	d.mu.Lock()
	d.arrived[p.number] = time.Since(d.began)
	d.mu.Unlock()
	for ctx.Err() == nil {
		d.slots <- struct{}{}
		_, err := lab.GoSMTPSend{From: drillSender, To: p.to, Body: p.message}.Send(ctx, d.w.addr())
		<-d.slots
		now := time.Since(d.began)
		d.mu.Lock()
		d.tries++
		var refusal *smtp.SMTPError
		if err == nil {
			d.accepted[p.number] = now
		} else if errors.As(err, &refusal) && refusal.Code >= 500 {
			d.refused = append(d.refused, fmt.Sprintf("mail %d: %v", p.number, err))
		}
		d.mu.Unlock()
		if err == nil || refusal != nil && refusal.Code >= 500 {
			return
		}
		pause(ctx, min(max(now-at, least), most))
	}
}

// pause waits; false at the context's end.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// judge counts, and tells the times that nothing is asserted of.
func (d *drill) judge(t *testing.T, mode string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, what := range slices.Concat(d.broken, d.refused) {
		t.Error(what)
	}
	if d.again > 0 {
		t.Errorf("%d mails came again", d.again)
	}
	// RFC 1047: each connection that is cut may lose one answer.
	if d.cut > drillPool {
		t.Errorf("%d mails came again whose answers may have been cut off, over %d connections", d.cut, drillPool)
	}
	// One that the daemon has closed counts until the next hop reads its end, which a busy machine may delay.
	if d.most > 2*drillPool {
		t.Errorf("the next hop had %d connections at the same time, and the route allows %d", d.most, drillPool)
	}
	held := 0 // mails that came while the next hop was away, and how far others overtook them
	var waits []time.Duration
	for i, at := range d.arrived {
		if wait := d.taken[i] - at; at > *drillOutage/10 && at < d.back {
			held++
			waits = append(waits, wait)
		}
	}
	if held == 0 {
		t.Error("no mail came during the outage")
		return
	}
	slices.Sort(waits)
	last := slices.Max(d.taken)
	t.Logf("%s: %d mails, %d of them during an outage of %v; %d tries of their senders", mode, len(d.parcels), held, *drillOutage, d.tries)
	t.Logf("  at the next hop: %d once, %d again, %d whose answer was cut off, 0 lost; at most %d connections at the same time of %d allowed", len(d.order), d.again, d.cut, d.most, drillPool)
	t.Logf("  from arrival to delivery: median %v, last %v; all delivered %v after the next hop was back", waits[len(waits)/2].Round(time.Millisecond),
		waits[len(waits)-1].Round(time.Millisecond), (last - d.back).Round(time.Millisecond))
	t.Logf("  busiest second at the next hop %d mails; out of order by at most %d places", d.busiest(), d.displaced())
}

// busiest is how many mails the next hop got in its busiest second.
func (d *drill) busiest() (most int) {
	sorted := slices.Sorted(slices.Values(d.taken))
	first := 0
	for i, at := range sorted {
		for at-sorted[first] >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// displaced is by how many places a mail came later than by the order in which the senders heard 250.
func (d *drill) displaced() (most int) {
	order := slices.Clone(d.order)
	slices.SortStableFunc(order, func(a, b int) int { return int(d.accepted[a] - d.accepted[b]) })
	place := map[int]int{}
	for i, number := range order {
		place[number] = i
	}
	for i, number := range d.order {
		most = max(most, i-place[number])
	}
	return most
}
