package store

import (
	"fmt"
	"time"

	"gatepost/gateway"
)

// batch is what goes into one file in one transaction: events as they are stored, and counts.
type batch struct {
	day       day
	events    int
	low, high int64  // ids
	rows      []byte // columns of each, behind room for a checksum
	stories   []byte
	judging   judgingBlock
	early     []earlyRow
	fates     []fateRow
	fated     int64 // octets of them
	counts    map[count]int
	barrier   chan struct{} // or this: closed when what came before it is written
}

type earlyRow struct {
	minute int64
	net    string
	reason string
	n      int
}

// The metrics of the table minute.
const (
	metricConnection  = "connection"  // begun, the banner sent
	metricRefused     = "refused"     // of these: refused, or gone without a transaction
	metricTransaction = "transaction" //
	metricEarly       = "early"       // refused before the banner
)

type count struct {
	minute int64
	metric string
}

// maxStory is more than any event comes to: ten thousand recipients of the longest names, which is the most that limits may be
// set to, each with findings of its own, are 17 MiB.
const maxStory = 24 << 20

// reset makes a batch that was used before an empty one of a day.
func (b *batch) reset(d day) {
	b.day, b.events, b.low, b.high, b.stories = d, 0, 0, 0, b.stories[:0]
	b.rows = append(b.rows[:0], 0, 0, 0, 0)
	b.judging.reset()
	b.early = b.early[:0]
	clear(b.fates)
	b.fates, b.fated = b.fates[:0], 0
	if b.counts == nil {
		b.counts = make(map[count]int)
	}
	clear(b.counts)
}

// octets is what it holds, roughly.
func (b *batch) octets() int64 {
	return int64(len(b.rows)+len(b.stories)+64*len(b.early)) + b.judging.octets() + b.fated
}

// add stores an event in the batch. An event that cannot be stored leaves it as it was.
func (b *batch) add(n *encoder, e *gateway.Event, to *[]rcptColumns) error {
	at := len(b.stories)
	var err error
	if b.stories, err = n.append(b.stories, e); err == nil && len(b.stories)-at > maxStory {
		err = fmt.Errorf("log: story of %d octets, at most %d are kept", len(b.stories)-at, maxStory)
	}
	if err != nil {
		b.stories = b.stories[:at]
		return err
	}
	c := columnsOf(e, int64(at), *to)
	*to = c.to
	b.rows = c.append(b.rows)
	if b.events == 0 {
		b.low, b.high = c.id, c.id
	}
	b.low, b.high = min(b.low, c.id), max(b.high, c.id)
	b.events++
	minute := e.Record.Time.Unix() / 60
	if e.Kind == gateway.TransactionEvent {
		b.judging.add(e)
		b.counts[count{minute, metricTransaction}]++
		return nil
	}
	b.counts[count{minute, metricConnection}]++
	if e.Verdict.Outcome.Refuses() || e.Session.Transactions == 0 {
		b.counts[count{minute, metricRefused}]++
	}
	return nil
}

func (b *batch) addEarly(r earlyRow) {
	b.early = append(b.early, r)
	b.counts[count{r.minute, metricEarly}] += r.n
}

// days names the UTC days of moments without spelling the same one out again and again.
type days struct {
	number int64 // since 1970
	name   day
}

const dayLength = int64(24 * time.Hour / time.Millisecond)

// of returns the day of a moment in milliseconds since 1970.
func (c *days) of(ms int64) day {
	if n := ms / dayLength; n != c.number || c.name == "" {
		c.number, c.name = n, dayOf(time.UnixMilli(ms))
	}
	return c.name
}

// file is the day in whose file an event is: that of its id, so that a reference leads to one file; today's, when a clock
// went so wrong that retention would take the file at once or never.
func (c *days) file(id gateway.ID, now time.Time) day {
	at, ms := int64(id>>20), now.UnixMilli()
	if d, today := at/dayLength, ms/dayLength; d < today-2 || d > today+1 {
		at = ms
	}
	return c.of(at)
}
