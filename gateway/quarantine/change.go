package quarantine

import (
	"maps"
	"sync"
	"time"

	"gatepost/gateway"
)

// What is something that happened to a message, or to the vault.
type What string

// What can happen. Those from Viewed to Reported are a person's doing.
const (
	Stored    What = "stored"    // it lies in quarantine
	Refused   What = "refused"   // a release did not come about
	Expired   What = "expired"   // its time was over, and it was erased
	Evicted   What = "evicted"   // the vault was full, and it was the oldest of the mildest
	Broken    What = "damaged"   // its file is not what was written
	Viewed    What = "viewed"    //
	LetGo     What = "released"  // a next hop took it, or the spool
	Erased    What = "deleted"   //
	Forwarded What = "forwarded" // to somebody who looks at it
	Told      What = "reported"  // as spam, or as what is none
	Learned   What = "learned"   // engines were told what it is
	Unlearned What = "unlearned" // they could not be told
	Latched   What = "latched"   // the vault was shut for new messages since its disk failed
	Unlatched What = "unlatched" //
)

// Change is something that happened.
type Change struct {
	What   What
	ID     gateway.ID
	From   string
	Rcpts  []string // those that it is about
	Class  Class
	By     string     // who did it
	Said   string     // why, or how
	Next   time.Time  // of Stored: when its time is over
	Hop    string     // host:port that took it, or refused
	Ref    gateway.ID // of what went out under another reference
	Octets int64
}

// counts counts changes. The zero value is ready for use.
type counts struct {
	mu sync.Mutex
	n  map[What]int
	o  map[What]int64
}

func (v *Vault) tell(c *Change) {
	v.counts.mu.Lock()
	if v.counts.n == nil {
		v.counts.n, v.counts.o = make(map[What]int), make(map[What]int64)
	}
	v.counts.n[c.What]++
	v.counts.o[c.What] += c.Octets
	v.counts.mu.Unlock()
	if v.opts.Told != nil {
		v.opts.Told(c)
	}
}

// Counts are how often each thing happened since the start.
func (v *Vault) Counts() map[What]int {
	v.counts.mu.Lock()
	defer v.counts.mu.Unlock()
	return maps.Clone(v.counts.n)
}

// Status is how the vault is.
type Status struct {
	Messages int             `json:"messages"`
	Octets   int64           `json:"octets"` // of all files
	Most     int64           `json:"most"`   // that they may have
	Pending  int             `json:"pending"`
	Unknown  int             `json:"unknown"` // files that the index is still to be told of
	Damaged  int             `json:"damaged"`
	Lessons  int             `json:"lessons,omitempty"` // that engines are still to be told of
	Latched  string          `json:"latched,omitempty"` // why it is shut
	NoRoom   bool            `json:"no_room,omitempty"` // the disk has none
	Classes  map[string]Sums `json:"classes,omitempty"`
	Oldest   time.Time       `json:"oldest,omitzero"`
}
