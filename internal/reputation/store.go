package reputation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Most is how many subjects a call may have.
const Most = 32

// ErrSubject says that a call is not one: its caller is wrong, and nothing was asked or learned.
var ErrSubject = errors.New("reputation: not a subject")

// Store keeps histories. Its methods are safe for concurrent use; storetest holds each Store against History.Learn. A zero
// now means the store's own clock, which all nodes share if they share the store.
//
// An error (of the caller, or because the store is away) says nothing about anybody, and whether something was learned is
// then not known.
type Store interface {
	// Learn adds what was seen of subjects, each in one step, and returns their histories as they now are. A subject that
	// stands in it twice is learned twice.
	Learn(ctx context.Context, lessons []Lesson, now time.Time) ([]History, error)
	// Look returns the histories of subjects as they were kept; the zero History for one of whom nothing is known, and for
	// one that is over.
	Look(ctx context.Context, subjects []Subject, now time.Time) ([]History, error)
	// Forget forgets a subject, and reports whether something was known.
	Forget(ctx context.Context, s Subject) (bool, error)
}

// Check says what is wrong with the subjects of a call. Each Store asks it first.
func Check(subjects []Subject) error {
	if len(subjects) > Most {
		return fmt.Errorf("%w: %d of them, at most %d", ErrSubject, len(subjects), Most)
	}
	for _, s := range subjects {
		if !s.Valid() {
			return fmt.Errorf("%w: %s of %d octets", ErrSubject, s.Kind, len(s.Name))
		}
	}
	return nil
}

// SubjectsOf returns whom lessons are of.
func SubjectsOf(lessons []Lesson) []Subject {
	out := make([]Subject, len(lessons))
	for i := range lessons {
		out[i] = lessons[i].Subject
	}
	return out
}
