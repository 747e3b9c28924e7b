package ledger

import (
	"context"
	"hash"
	"slices"
	"time"
)

// fewRcpts is how many recipients a claim has room for at once.
const fewRcpts = 4

// claim is one attempt; see gateway.Claim.
type claim struct {
	l       *Ledger
	message Key // only where there is something shared
	keys    []Key
	done    []bool
	waited  chan struct{} // closed at the end; nil while nobody waits. Guarded by the ledger's lock
	ended   bool
	told    bool // to whoever comes again
	few     [fewRcpts]Key
	fewDone [fewRcpts]bool
	words   [128]byte // scratch for hash
	sum     [32]byte  // likewise
}

// hash is the key of a recipient of a message; of the message itself where there is none.
func (c *claim) hash(mac hash.Hash, message []byte, rcpt string) (k Key) {
	mac.Reset()
	mac.Write(append(append(c.words[:0], message...), rcpt...))
	copy(k[:], mac.Sum(c.sum[:0]))
	return k
}

// ask takes in what other nodes know. While they cannot be asked, nothing is known of them.
func (c *claim) ask(ctx context.Context) {
	if c.all() {
		return
	}
	done, err := c.l.shared.Delivered(ctx, c.message, c.keys)
	if err != nil || len(done) != len(c.done) {
		c.l.faults.Add(1)
		return
	}
	for i := range c.done {
		c.done[i] = c.done[i] || done[i]
	}
}

func (c *claim) all() bool { return !slices.Contains(c.done, false) }

// Done says to whom the message was delivered before.
func (c *claim) Done() []bool { return c.done }

// End remembers to whom it was delivered, on disk before it returns, and lets those go on that wait.
func (c *claim) End(delivered []bool) {
	l := c.l
	now := time.Now()
	at, fresh := seconds(now), false
	l.mu.Lock()
	if c.ended {
		l.mu.Unlock()
		return
	}
	c.ended = true
	for i, k := range c.keys {
		if l.flights[k] == c {
			delete(l.flights, k)
		}
		if c.done[i] = i < len(delivered) && delivered[i]; !c.done[i] || l.known.has(k, at) {
			continue
		}
		fresh = true
		if l.known.put(k, at, seconds(now.Add(Unsaid))) {
			l.forgotten.Add(1)
		}
		l.note(k, at, delivery)
	}
	if c.waited != nil {
		close(c.waited)
	}
	l.mu.Unlock()
	if slices.Contains(c.done, true) {
		l.flush()
	}
	if fresh && l.shared != nil {
		if err := l.shared.Keep(context.Background(), []Entry{{c.message, c.delivered(), Unsaid}}); err != nil {
			l.faults.Add(1)
		}
	}
}

func (c *claim) delivered() []Key {
	if c.all() {
		return c.keys
	}
	var out []Key
	for i, k := range c.keys {
		if c.done[i] {
			out = append(out, k)
		}
	}
	return out
}

// Heard forgets what will not come again, and remembers the rest for longer.
func (c *claim) Heard(read bool) {
	l := c.l
	now := time.Now()
	l.mu.Lock()
	if !c.ended || c.told {
		l.mu.Unlock()
		return
	}
	c.told = true
	for i, k := range c.keys {
		switch {
		case !c.done[i]:
		case !read:
			l.known.extend(k, seconds(now.Add(Unheard)))
		case l.known.remove(k):
			l.note(k, seconds(now), heard) // written with what comes next
		}
	}
	l.mu.Unlock()
	if l.shared != nil && slices.Contains(c.done, true) {
		e := Entry{Message: c.message, Rcpts: c.delivered()}
		if !read {
			e.Holds = Unheard
		}
		select {
		case l.later <- e:
		default:
			l.faults.Add(1)
		}
	}
}
