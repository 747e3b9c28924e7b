package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
	"time"

	"gatepost/internal/control"
)

// How long the texts of an entry may be, in octets; what is longer is cut.
const (
	maxName = 256
	maxText = 8 << 10
)

// Entry is what was done, or refused.
type Entry struct {
	Number    int64     `json:"number"` // in the chain, from 1 without gaps; 0 before it is appended
	Time      time.Time `json:"time"`   // UTC, whole microseconds
	Node      string    `json:"node"`   // that noted it
	Actor     string    `json:"actor"`
	Role      string    `json:"role,omitempty"`
	Via       string    `json:"via"`
	Address   string    `json:"address,omitempty"` // of the client; "" by the socket
	Operation string    `json:"operation"`
	Object    string    `json:"object,omitempty"`
	Domain    string    `json:"domain,omitempty"`
	Asked     string    `json:"asked,omitempty"` // JSON, without what is secret
	Before    string    `json:"before,omitempty"`
	After     string    `json:"after,omitempty"`
	Error     string    `json:"error,omitempty"` // "" where it was done
	Source    string    `json:"source"`          // its own name: told twice, it is appended once
	Erased    bool      `json:"erased,omitempty"`
}

// Hash is a SHA-256.
type Hash = [sha256.Size]byte

// Row is an entry in its place in the chain.
type Row struct {
	Entry
	Digest Hash `json:"-"` // of the entry's text, also after that went by age
	Hash   Hash `json:"-"` // of the hash before, the number, and the digest
}

// texts are all that the digest is over, but for the time.
func (e *Entry) texts() []*string {
	return []*string{&e.Node, &e.Actor, &e.Role, &e.Via, &e.Address, &e.Operation, &e.Object, &e.Domain, &e.Asked, &e.Before, &e.After, &e.Error, &e.Source}
}

// Digest is the hash of what the entry says: its time in microseconds, then each text with its length before it, so that no two
// entries are written alike.
func (e *Entry) Digest() Hash {
	b := binary.BigEndian.AppendUint64([]byte("gatepost audit 1\n"), uint64(e.Time.UnixMicro()))
	for _, t := range e.texts() {
		b = binary.BigEndian.AppendUint32(b, uint32(len(*t)))
		b = append(b, *t...)
	}
	return sha256.Sum256(b)
}

// Chain is the hash of an entry in its place: over the hash before it, its number, and its digest.
func Chain(before Hash, number int64, digest Hash) Hash {
	b := binary.BigEndian.AppendUint64(before[:], uint64(number))
	return sha256.Sum256(append(b, digest[:]...))
}

// clean makes an entry what each store can hold: valid text without NUL, of bounded length, a time that reads back the same.
func (e *Entry) clean() {
	e.Number, e.Erased = 0, false
	e.Time = e.Time.UTC().Truncate(time.Microsecond)
	for _, t := range e.texts() {
		most := maxName
		if t == &e.Asked || t == &e.Before || t == &e.After || t == &e.Error {
			most = maxText
		}
		*t = cut(strings.ReplaceAll(strings.ToValidUTF8(*t, "?"), "\x00", "?"), most)
	}
	if e.Source == "" {
		e.Source = rand.Text()
	}
}

// cut shortens a text, at a whole character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-3], "") + "..."
}

// Audit notes a call of an operation; it is a Surface's Audit.
func (l *Log) Audit(ctx context.Context, c control.Entry) { l.Note(ctx, Of(c)) }

// Of is the entry of a call of an operation, at this time.
func Of(c control.Entry) Entry {
	e := Entry{Time: time.Now(), Actor: c.Actor.Name, Role: string(c.Actor.Role), Via: string(c.Actor.Via), Operation: c.Operation,
		Object: c.Change.Object, Domain: c.Change.Domain, Asked: text(c.In), Before: text(c.Change.Before), After: text(c.Change.After), Error: c.Error}
	if e.Domain == "" && len(c.Actor.Domains) == 1 {
		e.Domain = c.Actor.Domains[0] // whatever he did, it was of that one
	}
	if c.Actor.Address.IsValid() {
		e.Address = c.Actor.Address.String()
	}
	e.clean()
	return e
}

// text is a value as JSON; "" for none.
func text(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "cannot be written: " + err.Error()
	}
	if s := string(b); s != "{}" && s != "null" {
		return s
	}
	return ""
}
