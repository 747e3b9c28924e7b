package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
	"gatepost/internal/lab"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// place is one parcel for one recipient.
type place struct {
	number int
	to     string
}

// judge compares what was sent with what arrived, one by one, and prints the figures.
func (c *campaign) judge(ctx context.Context, t *testing.T, last time.Time) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	octets := 0
	for _, p := range c.parcels {
		octets += len(p.message)
	}
	for _, b := range c.broken {
		t.Errorf("arrived and cannot be told: %s", b)
	}
	for _, r := range c.courier.refused {
		t.Errorf("the courier was refused: %s", r)
	}
	count := map[string]int{}
	arrived := make(map[place][]delivered)
	for _, d := range c.copies {
		if d.wrong != "" {
			count[d.wrong]++
			t.Errorf("parcel %d of %v for %s: %s", d.number, d.trace, d.to, d.wrong)
		}
		arrived[place{d.number, d.to}] = append(arrived[place{d.number, d.to}], d)
	}
	unknown := c.unknownAttempts(t)
	unsure := 0
	for _, n := range unknown {
		unsure += n
	}
	places, twice := 0, 0
	for _, p := range c.parcels {
		traces := make(map[gateway.ID]bool)
		for _, to := range p.to {
			places++
			at := place{p.number, to}
			if len(arrived[at]) == 0 {
				count["lost"]++
				t.Errorf("parcel %d for %s is lost", p.number, to)
			}
			count["duplicates"] += max(0, len(arrived[at])-1)
			for _, d := range arrived[at] {
				traces[d.trace] = true
			}
			if wrong := c.explain(arrived[at], unknown[p.number]); wrong != "" {
				t.Error(wrong)
			}
			delete(arrived, at)
		}
		twice += max(0, len(traces)-1)
	}
	for at := range arrived {
		t.Errorf("parcel %d arrived for %s, whom it was not sent to", at.number, at.to)
	}
	found, of := c.logged(ctx, t, last)
	busy := 0
	byAim := map[string]int{}
	for _, k := range c.kills {
		byAim[k.aim]++
		if k.sessions > 0 {
			busy++
		}
	}
	took := time.Since(c.began).Round(time.Second)
	t.Logf("kill campaign: %d mails (%d places, %d MB), %d kills in %v", len(c.parcels), places, octets>>20, len(c.kills), took)
	t.Logf("  kills with a transaction of our client under way %d; in DATA %d, in BDAT %d, after the dot %d, taken over %d, in a reload %d, random %d",
		busy, byAim["in DATA"], byAim["in BDAT"], byAim["after the dot"], byAim["taken over"], byAim["reload"], byAim[""])
	t.Logf("  lost %d, truncated %d, mixed %d, duplicates %d of %d mails, each after one of %d lost replies", count["lost"], count["truncated"], count["mixed"], count["duplicates"], twice, unsure)
	t.Logf("  the message log has %d of %d transactions; all since the last kill", found, of)
	if len(c.kills) != *campaignKills || busy == 0 {
		t.Errorf("%d kills, %d of them with a transaction under way", len(c.kills), busy)
	}
}

// explain says what is wrong with several copies of a parcel for one recipient: each but the first must be due to a kill
// after its transaction began and before the next one did, and its sender must have seen the connection end after the
// last octet, before a reply.
func (c *campaign) explain(copies []delivered, unknown int) string {
	if len(copies) < 2 {
		return ""
	}
	slices.SortFunc(copies, func(a, b delivered) int { return a.trace.Time().Compare(b.trace.Time()) })
	first := copies[0]
	if len(copies)-1 > unknown {
		return fmt.Sprintf("parcel %d came %d times for %s, and its sender lost %d replies", first.number, len(copies), first.to, unknown)
	}
	for i, d := range copies[1:] {
		from, to := copies[i].trace.Time(), d.trace.Time()
		if !slices.ContainsFunc(c.kills, func(k kill) bool { return !k.at.Before(from) && k.at.Before(to) }) {
			return fmt.Sprintf("parcel %d came for %s at %v and %v, and no kill was between", d.number, d.to, from, to)
		}
		if d.sum != first.sum {
			return fmt.Sprintf("parcel %d came twice for %s, and not the same", d.number, d.to)
		}
	}
	return ""
}

// TestCampaignJudges: the campaign tells a copy that is cut, changed or one too many from those that are well.
func TestCampaignJudges(t *testing.T) {
	c := &campaign{parcels: []*parcel{makeParcel(1, 0), makeParcel(1, 1)}}
	above := "Received: x\r\nX-Gatepost-Trace: " + gateway.ID(1<<60).String() + "\r\n"
	copied := func(message string) delivered {
		t.Helper()
		d, err := readDelivered("anna@lab.test", []byte(above+message), c.parcels)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	whole, other := string(c.parcels[0].message), string(c.parcels[1].message)
	for message, want := range map[string]string{
		whole: "", strings.ReplaceAll(whole, "\r\n", "\n"): "", whole[:len(whole)-2]: "truncated", whole + "x\r\n": "mixed",
		campaignField + "0\r\n" + other[len(campaignField)+3:]: "mixed", whole[:500] + "x" + whole[501:]: "mixed",
	} {
		if got := copied(message).wrong; got != want {
			t.Errorf("%q, not %q, of %.80q", got, want, message)
		}
	}
	at := func(ms int64) gateway.ID { return gateway.ID(ms << 20) }
	c.kills = []kill{{at: time.UnixMilli(5000)}}
	for _, tt := range []struct {
		copies  []delivered
		unknown int
		well    bool
	}{
		{[]delivered{{trace: at(1)}}, 0, true},
		{[]delivered{{trace: at(6000)}, {trace: at(4000)}}, 1, true},
		{[]delivered{{trace: at(4000)}, {trace: at(6000)}}, 0, false},
		{[]delivered{{trace: at(6000)}, {trace: at(7000)}}, 1, false},
		{[]delivered{{trace: at(4000)}, {trace: at(6000), sum: [32]byte{1}}}, 1, false},
	} {
		if got := c.explain(tt.copies, tt.unknown); (got == "") != tt.well {
			t.Errorf("%v, %d: %q", tt.copies, tt.unknown, got)
		}
	}
}

// Of the sending Postfix's log: a message is queued; a delivery failed after the dot.
var (
	postfixQueued  = regexp.MustCompile(`cleanup\[\d+\]: ([0-9A-F]+): message-id=<campaign\.[0-9a-f]+\.(\d+)@`)
	postfixUnsure  = regexp.MustCompile(`smtp\[\d+\]: ([0-9A-F]+): (?:to=<([^>]+)>.*)?lost connection with [^ ]+ while sending end of data -- message may be sent more than once`)
	postfixBounced = regexp.MustCompile(`(?m)^.*status=bounced.*$`)
)

// unknownAttempts counts for each parcel the transactions that ended after the last octet and before the sender had a reply.
func (c *campaign) unknownAttempts(t *testing.T) map[int]int {
	t.Helper()
	all := make(map[int]int)
	for number, n := range c.courier.unknown {
		all[number] += n
	}
	log := readFile(t, c.out.MailLog())
	parcels := make(map[string]int)
	for _, m := range postfixQueued.FindAllSubmatch(log, -1) {
		number, err := strconv.Atoi(string(m[2]))
		if err != nil {
			t.Fatal(err)
		}
		parcels[string(m[1])] = number
	}
	// Postfix tells it of each recipient, or once of the message where it tries again at once.
	lines := make(map[place]int)
	for _, m := range postfixUnsure.FindAllSubmatch(log, -1) {
		lines[place{parcels[string(m[1])], string(m[2])}]++
	}
	most := make(map[int]int)
	for at, n := range lines {
		if at.to == "" {
			all[at.number] += n
		} else {
			most[at.number] = max(most[at.number], n)
		}
	}
	for number, n := range most {
		all[number] += n
	}
	if bounced := postfixBounced.FindAll(log, 5); len(bounced) > 0 {
		t.Errorf("the sending Postfix was refused:\n%s", bytes.Join(bounced, []byte("\n")))
	}
	return all
}

// logged looks for each transaction that brought mail in the message log. One that the daemon had no time to write before
// it was killed is not there; all others are, and no file is damaged.
func (c *campaign) logged(ctx context.Context, t *testing.T, last time.Time) (found, of int) {
	t.Helper()
	rows := c.w.search(ctx, t, "--from", sender, "--verdict", "accept", "--since", c.began.Add(-time.Minute).UTC().Format(time.RFC3339), "--limit", "100000")
	traces := make(map[gateway.ID]int)
	for _, d := range c.copies {
		traces[d.trace] = d.number
	}
	since := 0
	for id, number := range traces {
		if rows[id.String()] {
			found++
		}
		if id.Time().Before(last) {
			continue
		}
		since++
		if !rows[id.String()] {
			t.Errorf("the log has no event %v of parcel %d, long after the last kill", id, number)
		}
	}
	if since == 0 {
		t.Error("no mail passed after the last kill")
	}
	for _, pattern := range []string{"log/*damaged*", "tmp/*"} {
		left, err := filepath.Glob(filepath.Join(lab.StateDir(c.w.dir), pattern))
		if err != nil || len(left) > 0 {
			t.Errorf("left in the state folder: %q, %v", left, err)
		}
	}
	return found, len(traces)
}
