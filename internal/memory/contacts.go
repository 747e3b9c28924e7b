package memory

import (
	"encoding/hex"
	"hash/maphash"
	"time"
)

// contactKey is a digest of who wrote to which domain; the zero key is the beginning of the memory.
type contactKey = [16]byte

// contact is when mail of one was first and last delivered, in Unix seconds.
type contact struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	Start bool  `json:"start,omitempty"` // of the zero key: First is when the memory began
}

// contactTime is how long a contact is remembered of which nothing is seen.
const contactTime = 365 * day

// DefaultContacts is how many contacts are remembered at most, about 16 MiB.
const DefaultContacts = 1 << 17

// contactsTable makes the table of contacts.
func contactsTable(o KnownOptions) table[contactKey, contact] {
	seed := maphash.MakeSeed()
	return table[contactKey, contact]{name: "memory of contacts", loses: "those that are missing are new again",
		most: orElse(o.Contacts, DefaultContacts), hash: func(k contactKey) uint64 { return maphash.Bytes(seed, k[:]) },
		rank: (*contact).rank, ended: (*contact).ended, merge: (*contact).merge, log: o.Log, forgets: true}
}

// keptContacts is the kind of a Keeper that keeps them.
func keptContacts(store Keeper) keptRows[contactKey, contact] {
	return keptRows[contactKey, contact]{store, "contact", func(k contactKey) string { return hex.EncodeToString(k[:]) }, func(name string) (k contactKey) {
		_, _ = hex.Decode(k[:], []byte(name[:min(len(name), 2*len(k))])) // a name that is none reads as another, and is not ours
		return k
	}, (*contact).sane}
}

// Met reports whether a contact is remembered.
func (k *Known) Met(c [16]byte) bool { return k.contacts.get(c).Last != 0 }

// Since is when contacts began to be remembered; zero: not yet.
func (k *Known) Since() time.Time { return moment(k.contacts.get(contactKey{}).First) }

// LearnContacts takes in contacts of a message that was delivered.
func (k *Known) LearnContacts(contacts [][16]byte) {
	now := time.Now().Unix()
	if len(contacts) > 0 && k.contacts.get(contactKey{}).First == 0 {
		k.contacts.update(contactKey{}, func(c *contact, known bool) change {
			if known {
				return same
			}
			*c = contact{First: now, Last: now, Start: true}
			return major
		})
	}
	for _, key := range contacts {
		k.contacts.update(key, func(c *contact, known bool) change {
			if !known {
				*c = contact{First: now, Last: now}
				return major
			}
			was := c.Last
			c.Last = now
			if was/day == now/day {
				return same
			}
			return minor
		})
	}
}

// rank: the beginning goes last.
func (c *contact) rank() int64 {
	if c.Start {
		return 1 << 60
	}
	return seenOn(c.First, c.Last)
}

func (c *contact) ended(now int64) bool { return !c.Start && now-c.Last > contactTime }

func (c *contact) merge(old *contact) {
	c.First, c.Last, c.Start = min(c.First, old.First), max(c.Last, old.Last), c.Start || old.Start
}

func (c *contact) sane(now int64) bool {
	notBehind(now, &c.First, &c.Last)
	return c.First > 0 && c.Last >= c.First
}
