package gateway

import (
	"strings"
	"time"
)

// Fate is one thing that became of a message after its sender was told 250 for it: what happens to mail in the spool, and in
// quarantine.
type Fate struct {
	ID      ID        `json:"id"` // the message's
	Time    time.Time `json:"time"`
	What    FateWord  `json:"what"`
	Route   string    `json:"route,omitempty"`
	From    string    `json:"from"`            // its reverse-path; "" for the null one
	Rcpts   []string  `json:"rcpts,omitempty"` // whom it is about
	Attempt int       `json:"attempt,omitempty"`
	NextHop string    `json:"next_hop,omitempty"` // host:port that answered
	Said    string    `json:"said,omitempty"`     // its answer, or why, cleaned
	Next    time.Time `json:"next,omitzero"`      // when it is tried again
	Notice  ID        `json:"notice,omitempty"`   // the notice about it, or of a notice the message that it is about; of mail let go, under which reference it is in the spool
	By      string    `json:"by,omitempty"`       // the operator who did it
}

// FateWord is what became of a message. The list is closed.
type FateWord string

// The words for what becomes of a message in the spool. The last six are what an operator does.
const (
	FateQueued    FateWord = "queued"
	FateDelivered FateWord = "delivered" // a next hop took it
	FateDeferred  FateWord = "deferred"  // a try failed for now
	FateFailed    FateWord = "failed"    // for good
	FateNotified  FateWord = "notified"  // its sender is told so
	FateDead      FateWord = "dead"      // failed for good, and nobody is told: a dead letter
	FateDamaged   FateWord = "damaged"   // its file is not what was written, and was set aside
	FateHeld      FateWord = "held"
	FateReleased  FateWord = "released"
	FateRetried   FateWord = "retried"
	FateBounced   FateWord = "bounced"
	FateDeleted   FateWord = "deleted"
	FateRerouted  FateWord = "rerouted"
)

// The words for what becomes of a message in quarantine. From FateKeptViewed on they are what a person does.
const (
	FateKept          FateWord = "quarantine_stored"  // it lies there, until Next
	FateKeptExpired   FateWord = "quarantine_expired" // erased, since its time was over
	FateKeptEvicted   FateWord = "quarantine_evicted" // erased, since there was no more room
	FateKeptDamaged   FateWord = "quarantine_damaged" // its file is not what was written
	FateKeptViewed    FateWord = "quarantine_viewed"
	FateKeptReleased  FateWord = "quarantine_released" // a next hop took it, or the spool
	FateKeptRefused   FateWord = "quarantine_refused"  // a release did not come about
	FateKeptDeleted   FateWord = "quarantine_deleted"
	FateKeptForwarded FateWord = "quarantine_forwarded" // to somebody who looks at it
	FateKeptReported  FateWord = "quarantine_reported"  // as spam, or as none

	FateKeptLearned   FateWord = "quarantine_learned"   // engines were told what it is
	FateKeptUnlearned FateWord = "quarantine_unlearned" // they could not be told
)

// InQuarantine reports whether it is about mail in quarantine.
func (w FateWord) InQuarantine() bool { return strings.HasPrefix(string(w), "quarantine_") }

// ByOperator reports whether it is what a person does.
func (w FateWord) ByOperator() bool {
	switch w {
	case FateHeld, FateReleased, FateRetried, FateBounced, FateDeleted, FateRerouted,
		FateKeptViewed, FateKeptReleased, FateKeptRefused, FateKeptDeleted, FateKeptForwarded, FateKeptReported:
		return true
	}
	return false
}
