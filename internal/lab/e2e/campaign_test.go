package e2e

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/dnslab"
	"gatepost/internal/lab/labtest"
)

// The campaign's size and seed; scripts/soak has the full form.
var (
	campaignMails = flag.Int("campaign-mails", 100, "how many mails TestKillCampaign sends")
	campaignKills = flag.Int("campaign-kills", 8, "how often it kills the daemon meanwhile")
	campaignSeed  = flag.Uint64("campaign-seed", 0, "its seed; 0: one of the clock")
)

// aims are the moments that kills are placed at, in turn. The rest are random.
var aims = []string{"", "in DATA", "after the dot", "taken over", "reload", "in BDAT", "taken over", ""}

// campaign is a daemon that is killed again and again while mail passes, from a real Postfix and a client of our own, to a
// real Postfix and a next hop that records.
type campaign struct {
	w       *world
	inside  *lab.Postfix
	out     *lab.Postfix
	courier *courier
	seed    uint64
	random  *rand.Rand
	moments chan string
	parcels []*parcel
	kills   []kill
	began   time.Time

	mu     sync.Mutex
	copies []delivered // at the recording next hop; those in the real one's mailboxes come at the end
	broken []string
}

// kill is one end of the daemon.
type kill struct {
	at       time.Time
	aim      string
	sessions int64 // transactions of the courier under way
}

// TestKillCampaign: however often the daemon is killed while mail passes, each mail arrives whole, as it was sent, for
// each of its recipients. A copy more than one is there only where a kill fell between the next hop's 250 and ours, so
// that the sender could not know (RFC 5321 section 6.1, RFC 1047).
func TestKillCampaign(t *testing.T) {
	t.Parallel()
	c := newCampaign(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute+time.Duration(*campaignMails+10**campaignKills)*time.Second/2)
	defer cancel()
	parcels := make(chan *parcel, *campaignMails)
	var carriers, posting sync.WaitGroup
	for range 4 {
		carriers.Go(func() { c.courier.carry(ctx, parcels) })
	}
	// A last share of the mail passes undisturbed.
	share := *campaignMails / (*campaignKills + 1)
	next := 0
	post := func(n int) {
		all := c.parcels[next:min(next+n, len(c.parcels))]
		next += len(all)
		posting.Wait()
		posting.Go(func() { c.post(ctx, t, all, parcels) })
	}
	for i := range *campaignKills {
		post(share)
		c.kill(ctx, t, aims[i%len(aims)])
	}
	last := time.Now()
	post(len(c.parcels))
	posting.Wait()
	close(parcels)
	carriers.Wait()
	if ctx.Err() != nil {
		t.Fatalf("the courier is not done; it was told %q\n%s", c.courier.said, c.w.daemon.Log())
	}
	drains(ctx, t, c.out)
	if err := c.inside.AwaitEmptyQueue(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.w.daemon.Stop(); err != nil {
		t.Error(err)
	}
	c.w.races(t)
	c.collect(t)
	c.judge(ctx, t, last)
}

func newCampaign(t *testing.T) *campaign {
	t.Helper()
	c := &campaign{seed: *campaignSeed, moments: make(chan string), began: time.Now()}
	if c.seed == 0 {
		c.seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-campaign-seed %d", c.seed)
	c.random = rand.New(rand.NewPCG(c.seed, 1<<41))
	var boxes []string
	for _, name := range campaignMailboxes {
		boxes = append(boxes, name+"@"+campaignDomains[0])
	}
	c.inside = labtest.Postfix(t, lab.PostfixOptions{Name: "inside.lab.test", Mailboxes: boxes})
	hop := labtest.NextHop(t, lab.NextHopOptions{Taken: c.taken})
	port := keptPort(t)
	c.w = newWorld(t, setup{
		clamav: "off", spamd: "off", dns: dnslab.New(t, realZones).Addr(), offers: "-", trusted: `"127.0.0.0/8"`,
		bootstrap: "[[listener]]\nname = \"again\"\naddresses = [\"" + port.Addr() + "\"]\n",
		body:      "memory = \"64K\"", // so that most are files
		limits:    noWaits + "transactions = 10000\n",
		routes: []route{
			{name: "real", domains: campaignDomains[:1], addr: c.inside.Addr},
			{name: "recorded", domains: campaignDomains[1:], addr: hop.Addr()},
		},
	})
	c.launch(t)
	c.out = labtest.Postfix(t, lab.PostfixOptions{
		Name: "mta.sender.test", Mailboxes: []string{sender}, Relay: port.Addr(),
		// Mail that waits is tried again each second, and goes out as it is.
		Settings: []string{
			"queue_run_delay = 1s", "minimal_backoff_time = 1s", "maximal_backoff_time = 2s",
			"disable_mime_output_conversion = yes", "smtp_line_length_limit = 0", "smtp_destination_concurrency_failed_cohort_limit = 10",
		},
	})
	c.courier = &courier{addr: port.Addr(), seed: c.seed, moments: c.moments, unknown: map[int]int{}, refused: map[int]string{}}
	for n := range *campaignMails {
		c.parcels = append(c.parcels, makeParcel(c.seed, n))
	}
	return c
}

// launch starts the daemon, without waiting for what it will offer: senders do not wait for that either.
func (c *campaign) launch(t *testing.T) {
	t.Helper()
	c.w.daemon = labtest.Gatepost(t, c.w.dir, lab.GatepostOptions{Config: c.w.config, Policy: c.w.policy})
}

// taken notes what the recording next hop takes over.
func (c *campaign) taken(r lab.Received) {
	if !r.Accepted {
		return
	}
	moment(c.moments, "taken over")
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rcpt := range r.Rcpts {
		c.add(strings.Trim(pathIn(rcpt), "<>"), r.Body)
	}
}

// pathIn is the path of a command.
func pathIn(command string) string {
	_, path, _ := strings.Cut(command, ":")
	path, _, _ = strings.Cut(path, " ")
	return path
}

// add is called with the lock held.
func (c *campaign) add(to string, message []byte) {
	d, err := readDelivered(to, message, c.parcels)
	if err != nil {
		c.broken = append(c.broken, err.Error())
		return
	}
	c.copies = append(c.copies, d)
}

// post hands mail to its senders.
func (c *campaign) post(ctx context.Context, t *testing.T, all []*parcel, parcels chan<- *parcel) {
	for _, p := range all {
		if p.courier {
			parcels <- p
		} else if err := c.out.Send(ctx, sender, p.to, p.message); err != nil {
			t.Error(err)
		}
	}
}

// kill ends the daemon at the next moment of a kind, or at a random one, and starts it again at once.
func (c *campaign) kill(ctx context.Context, t *testing.T, aim string) {
	t.Helper()
	if aim == "" || aim == "reload" {
		time.Sleep(time.Duration(50+c.random.IntN(700)) * time.Millisecond)
	} else {
		aim = c.awaitMoment(aim)
	}
	if aim == "reload" {
		if err := c.w.daemon.Reload("", fmt.Sprintf("# %d\n%s", c.random.Uint32(), c.w.policy)); err != nil {
			t.Fatal(err)
		}
	}
	if aim != "" {
		time.Sleep(time.Duration(c.random.IntN(4000)) * time.Microsecond)
	}
	k := kill{aim: aim, sessions: c.courier.open.Load()}
	if err := c.w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	k.at = time.Now()
	c.kills = append(c.kills, k)
	c.launch(t)
}

// awaitMoment waits until something is so. What does not happen in a while is not waited for: the kill is a random one.
func (c *campaign) awaitMoment(aim string) string {
	late := time.After(3 * time.Second)
	for {
		select {
		case now := <-c.moments:
			if now == aim {
				return aim
			}
		case <-late:
			return ""
		}
	}
}

// collect reads what arrived in the mailboxes of the real next hop.
func (c *campaign) collect(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range campaignMailboxes {
		address := name + "@" + campaignDomains[0]
		files, err := filepath.Glob(filepath.Join(c.inside.Maildir(address).Path(), "new", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			c.add(address, readFile(t, file))
		}
	}
}
