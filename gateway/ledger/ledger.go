package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
)

// Key stands for one message, or for one of its recipients: 128 bits of an HMAC-SHA256.
type Key = [16]byte

// How long a delivery is remembered.
const (
	// Unheard is for how long where the sender may not have read that its message was taken: as long as senders try.
	Unheard = 5 * 24 * time.Hour
	// Unsaid is for how long while that is not known yet. No session lasts as long.
	Unsaid = time.Hour
)

// mostLater is how much of what is known after replies may wait for Shared. What finds no room ends there by itself.
const mostLater = 1024

// defaultMost is the number of deliveries that are remembered at once: 16 MiB of memory when all are.
const defaultMost = 1 << 18

// Store is what several nodes remember together. It may fail, and then nothing of it is known; it must not wait for long.
type Store interface {
	// Delivered says of each recipient of a message whether any node delivered to it.
	Delivered(ctx context.Context, message Key, rcpts []Key) ([]bool, error)
	// Keep remembers deliveries, or forgets them, in one round trip.
	Keep(ctx context.Context, all []Entry) error
}

// Entry is what Store is to remember of one message.
type Entry struct {
	Message Key
	Rcpts   []Key
	Holds   time.Duration // 0: it is to be forgotten
}

// Options are what a ledger is made of. The zero value remembers in memory alone.
type Options struct {
	File string // "": what was delivered is forgotten with the process
	Key  []byte // of the installation, or of all its nodes
	Most int    // deliveries that are remembered at once, the oldest are forgotten; 0 is 262,144
	// Shared is what other nodes know as well; nil for none.
	Shared Store
	Log    *slog.Logger // of the file's faults; nil for none
}

// Ledger is a gateway.Ledger. Its methods are safe for concurrent use.
type Ledger struct {
	hashes sync.Pool
	shared Store
	log    *slog.Logger
	file   *file      // nil: none
	later  chan Entry // for shared, of what is known after the reply

	mu      sync.Mutex
	flights map[Key]*claim
	known   table
	pending []byte // records that are not written yet
	copied  bool   // the file is being written anew, and tail is what it lacks
	tail    []byte

	told map[Key]struct{} // what the file says that its sender heard of, until Restore
	last uint32           // the time of its last record

	joined, again, forgotten, faults atomic.Uint64
}

// New makes a ledger with what its file holds. It never fails: without a file that can be used it remembers in memory, and
// says so to the log and in Health.
func New(o Options) *Ledger {
	most := o.Most
	if most <= 0 {
		most = defaultMost
	}
	l := &Ledger{shared: o.Shared, log: o.Log, flights: make(map[Key]*claim), known: newTable(most), later: make(chan Entry, mostLater)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.hashes.New = func() any { return hmac.New(sha256.New, o.Key) }
	if o.File != "" {
		l.file = l.open(o.File)
	}
	return l
}

// Begin claims a message for recipients; see gateway.Ledger. Its only error is that of ctx.
func (l *Ledger) Begin(ctx context.Context, message [32]byte, rcpts []string) (gateway.Claim, error) {
	c := &claim{l: l}
	c.keys, c.done = c.few[:0], c.fewDone[:0]
	mac := l.hashes.Get().(hash.Hash)
	for _, r := range rcpts {
		c.keys = append(c.keys, c.hash(mac, message[:], r))
		c.done = append(c.done, false)
	}
	if l.shared != nil {
		c.message = c.hash(mac, message[:], "")
	}
	l.hashes.Put(mac)
	for waited := false; ; waited = true {
		first := l.claim(c)
		if first == nil {
			break
		}
		if !waited {
			l.joined.Add(1)
		}
		select {
		case <-first:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if l.shared != nil {
		c.ask(ctx)
	}
	if c.all() {
		l.again.Add(1)
	}
	return c, nil
}

// claim takes all that nobody else has and that is not done, or returns what is closed once somebody else has ended.
func (l *Ledger) claim(c *claim) (wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range c.keys {
		if first := l.flights[k]; first != nil {
			if first.waited == nil {
				first.waited = make(chan struct{})
			}
			return first.waited
		}
	}
	now := seconds(time.Now())
	for i, k := range c.keys {
		if c.done[i] = l.known.has(k, now); !c.done[i] {
			l.flights[k] = c
		}
	}
	return nil
}

// Knows says of each recipient of a message, by its name of Begin in hexadecimal, whether it is known to have it. It claims
// nothing, and asks no other node.
func (l *Ledger) Knows(message string, rcpts []string) []bool {
	out := make([]bool, len(rcpts))
	name, err := hex.DecodeString(message)
	if err != nil || len(name) != sha256.Size {
		return out
	}
	mac := l.hashes.Get().(hash.Hash)
	defer l.hashes.Put(mac)
	var c claim
	l.mu.Lock()
	defer l.mu.Unlock()
	now := seconds(time.Now())
	for i, r := range rcpts {
		out[i] = l.known.has(c.hash(mac, name, r), now)
	}
	return out
}

// beforeCrash is how long before the last record of the file a message may have been taken that is not in it: as long as a
// message may be between the spool and the ledger.
const beforeCrash = time.Minute

// Restore learns of messages that were taken though a crash kept the ledger from knowing; each tells of all that arrived since
// a time, with the time of each, its name of Begin in hexadecimal, and its recipients. What its sender heard of is left out,
// and what came long before the crash: the ledger knew of that.
func (l *Ledger) Restore(each func(since time.Time, tell func(arrived time.Time, message string, rcpts []string))) {
	since := time.Unix(int64(l.last), 0).Add(-beforeCrash)
	mac := l.hashes.Get().(hash.Hash)
	defer l.hashes.Put(mac)
	var c claim
	now := time.Now()
	each(since, func(arrived time.Time, message string, rcpts []string) {
		name, err := hex.DecodeString(message)
		if err != nil || len(name) != sha256.Size || arrived.Before(since) {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, r := range rcpts {
			k := c.hash(mac, name, r)
			if _, told := l.told[k]; !told && !l.known.has(k, seconds(now)) {
				l.known.put(k, seconds(now), seconds(now.Add(Unheard)))
				l.note(k, seconds(now), delivery)
			}
		}
	})
	l.told = nil
}

// Stats count since the start, but for Entries and InFlight, which are of the moment.
type Stats struct {
	Entries   int    // deliveries that are remembered
	InFlight  int    // recipients whose message is on its way
	Joined    uint64 // attempts that waited for another at the same message
	Again     uint64 // attempts at what was delivered to all before
	Forgotten uint64 // deliveries that were forgotten before their time, for want of room
	Faults    uint64 // of the file and of what is shared
}

// Stats returns the counts.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{Entries: l.known.len(), InFlight: len(l.flights), Joined: l.joined.Load(), Again: l.again.Load(),
		Forgotten: l.forgotten.Load(), Faults: l.faults.Load()}
}

// seconds is a time as records have it.
func seconds(t time.Time) uint32 { return uint32(t.Unix()) }
