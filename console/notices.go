package console

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// What stands on every page is asked for at most this often, and a page waits so long for it at most; then it shows what was known
// before, and from a certain age on since when.
const (
	noticesAge  = 3 * time.Second
	noticesWait = 250 * time.Millisecond
	noticesTime = 10 * time.Second // that asking may take
	noticesOld  = 30 * time.Second
)

// notices are what every page tells: what is wrong, and which checks are left out.
type notices struct {
	At       time.Time // when it was so; zero: it is not known
	Old      bool      // it could not be asked for since
	Alarms   int       // that stand, and that nobody said to know of
	Known    int       // that stand, and that somebody knows of
	Worst    string    // of Alarms; "" for none
	More     bool      // there are more alarms than were counted
	Bypasses []api.Bypass
}

// Class is how the bell looks.
func (n *notices) Class() string {
	switch n.Worst {
	case "critical":
		return " err"
	case "warning":
		return " warn"
	}
	return ""
}

// Label says it for those who do not see the bell.
func (n *notices) Label() string {
	switch {
	case n.At.IsZero():
		return "Alarms: not known"
	case n.Alarms > 0:
		return "Alarms: " + n.Count() + ", the worst " + n.Worst
	case n.Known > 0:
		return "Alarms: none but what is known of"
	}
	return "Alarms: none"
}

// Count is how many alarms nobody knows of.
func (n *notices) Count() string {
	if n.More {
		return countText(n.Alarms) + "+"
	}
	return countText(n.Alarms)
}

// board keeps the notices between pages.
type board struct {
	mu      sync.Mutex
	kept    notices
	fresh   time.Time     // when kept was asked for; zero: it is to be asked for again
	loading chan struct{} // closed when who asks has an answer; nil: nobody asks
	turn    int           // of forget
}

// forget has the next page ask again: something was changed.
func (b *board) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fresh = time.Time{}
	b.turn++
}

// notices are those for whoever asks. Asking is done once for all pages, and beside them: a store that hangs holds up no page.
func (c *Console) notices(actor *access.Actor) notices {
	if !actor.May(access.AlarmsRead) && !actor.May(access.StatusRead) {
		return notices{}
	}
	b := &c.board
	b.mu.Lock()
	if b.loading == nil && time.Since(b.fresh) > noticesAge {
		b.loading = make(chan struct{})
		go c.askNotices(b.loading, b.turn)
	}
	wait := b.loading
	b.mu.Unlock()
	if wait != nil {
		t := time.NewTimer(noticesWait)
		select {
		case <-wait:
		case <-t.C:
		}
		t.Stop()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.kept
	out.Old = !out.At.IsZero() && time.Since(out.At) > noticesOld
	if !actor.May(access.StatusRead) {
		out.Bypasses = nil
	}
	out.Bypasses = slices.DeleteFunc(slices.Clone(out.Bypasses), func(x api.Bypass) bool { return time.Now().After(x.Until) })
	return out
}

// askNotices asks the operations, as the daemon itself: who sees what of it is decided for each page.
func (c *Console) askNotices(done chan struct{}, turn int) {
	defer close(done)
	ctx, cancel := context.WithTimeout(access.With(context.Background(), access.Actor{Name: "console", Role: access.Owner, Via: access.BySelf}), noticesTime)
	defer cancel()
	n, ok := c.gather(ctx)
	b := &c.board
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loading = nil
	if b.turn == turn {
		b.fresh = time.Now() // also where it failed: the next page but one may ask again
	}
	if ok {
		b.kept = n
	}
}

// gather asks what there is to ask; ok is false where that could not be told.
func (c *Console) gather(ctx context.Context) (n notices, ok bool) {
	n.At = time.Now()
	if c.offers("alarm list") {
		got, err := c.Surface.Ask(ctx, "alarm list", url.Values{"limit": {"200"}})
		list, is := got.(*api.Alarms)
		if err != nil || !is {
			return n, false
		}
		n.count(list)
	}
	if c.offers("bypass list") {
		got, err := c.Surface.Ask(ctx, "bypass list", nil)
		list, is := got.(*api.Bypasses)
		if err != nil || !is {
			return n, false
		}
		n.Bypasses = list.Bypasses
	}
	return n, true
}

// count counts the alarms that stand.
func (n *notices) count(list *api.Alarms) {
	for i := range list.Alarms {
		a := &list.Alarms[i]
		switch {
		case !a.Standing():
		case a.Ack != nil && (a.Ack.Until.IsZero() || a.Ack.Until.After(n.At)):
			n.Known++
		default:
			n.Alarms++
			if severity := string(a.Severity); severityRank(severity) > severityRank(n.Worst) {
				n.Worst = severity
			}
		}
	}
	n.More = list.Next != ""
}

// severityRank orders severities, the mildest first; none is milder.
func severityRank(s string) int { return slices.Index([]string{"info", "warning", "critical"}, s) }
