package accounts

import (
	"errors"
	"fmt"
	"time"
)

// Kind says why something was refused.
type Kind int

// The kinds.
const (
	Bad       Kind = iota // what was given cannot be used
	Wrong                 // name, password, code or token is not right, or no longer
	Wait                  // too many tries; Refusal.Wait says how long
	Busy                  // too many at once; Refusal.Wait says when to come again
	Forbidden             // it is not for whoever asks
	Prove                 // password or code is asked again first: Prove
	Missing               // there is none
	Conflict              // there is one already, or the last owner would go
	Stale                 // it was changed since whoever asks looked
)

// Refusal is an error that whoever asked may read as it is.
type Refusal struct {
	Kind    Kind
	Message string
	Hint    string        // what to do
	Field   string        // that is wrong, of those given
	Wait    time.Duration // until the next try is looked at; of Wrong, 0 where it is at once
}

func (r *Refusal) Error() string {
	if r.Hint != "" {
		return r.Message + "; " + r.Hint
	}
	return r.Message
}

// Is reports whether an error is a Refusal of a kind.
func Is(err error, k Kind) bool {
	r, ok := errors.AsType[*Refusal](err)
	return ok && r.Kind == k
}

// ErrNone says that the store has no such thing.
var ErrNone = errors.New("accounts: there is none")

func bad(field, format string, args ...any) error {
	return &Refusal{Kind: Bad, Field: field, Message: fmt.Sprintf(format, args...)}
}

// wrong is the one answer to an unknown name, a wrong password and an account that is disabled.
func wrong(wait time.Duration) error {
	return &Refusal{Kind: Wrong, Message: "name or password is wrong", Wait: wait}
}

func wrongCode(wait time.Duration) error {
	return &Refusal{Kind: Wrong, Message: "the code is wrong, was used, or is over", Field: "code", Wait: wait}
}

// ended is the answer to a session or a login that is not known, or no longer.
func ended() error {
	return &Refusal{Kind: Wrong, Message: "the session is over", Hint: "log in again"}
}

func waiting(d time.Duration) error {
	d = max(d.Round(time.Second), time.Second)
	return &Refusal{Kind: Wait, Message: fmt.Sprintf("too many tries; the next is looked at in %s", d), Wait: d}
}
