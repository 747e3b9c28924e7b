package shaping

import (
	"context"
	"time"

	"gatepost/internal/reputation"
)

// Histories are what this process keeps of what came of mail: what internal/memory has.
type Histories interface {
	reputation.Store
	// Told takes over what a store that is shared said of a subject.
	Told(s reputation.Subject, h reputation.History)
	// Each calls a function with each history, in no order.
	Each(do func(s reputation.Subject, h reputation.History))
}

// Reputation is what came of mail before. Its methods are safe for concurrent use.
type Reputation struct{ own Histories }

// NewReputation makes it of what this process keeps.
func NewReputation(own Histories) *Reputation { return &Reputation{own: own} }

// Waits reports whether Look waits for somebody else, so that it is worth to be begun early.
func (r *Reputation) Waits() bool { return false }

// Look returns the histories of subjects.
func (r *Reputation) Look(ctx context.Context, subjects []reputation.Subject) ([]reputation.History, error) {
	return r.own.Look(ctx, subjects, time.Time{})
}

// Own returns what this process knows of a subject. It never waits.
func (r *Reputation) Own(s reputation.Subject) reputation.History {
	h, err := r.own.Look(context.Background(), []reputation.Subject{s}, time.Time{})
	if err != nil { // nobody
		return reputation.History{}
	}
	return h[0]
}

// Learn takes what a message taught. It never waits.
func (r *Reputation) Learn(lessons []reputation.Lesson) {
	if len(lessons) > 0 {
		_, _ = r.own.Learn(context.Background(), lessons, time.Time{}) // what is no lesson teaches nothing
	}
}

// Each calls a function with each history that this process keeps, in no order.
func (r *Reputation) Each(do func(s reputation.Subject, h reputation.History)) { r.own.Each(do) }

// Forget forgets a subject, and reports whether something was known.
func (r *Reputation) Forget(ctx context.Context, s reputation.Subject) (bool, error) {
	return r.own.Forget(ctx, s)
}
