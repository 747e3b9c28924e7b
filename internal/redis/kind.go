package redis

import (
	"context"
	"errors"
	"net"

	goredis "github.com/redis/go-redis/v9"
)

// Kind says what ails Redis.
type Kind uint8

const (
	// Fine: it answers.
	Fine Kind = iota
	// Away: nobody listens, or the connection broke.
	Away
	// Slow: no answer within the time of a call, or no connection of the pool came free in it.
	Slow
	// Starting: it answers, but not yet: it loads its data, follows no master, or has too many clients.
	Starting
	// ReadOnly: what was reached is a replica, as during a failover.
	ReadOnly
	// Full: it is out of memory and keeps nothing new.
	Full
	// Denied: the password is wrong, or the user may not do this.
	Denied
	// Odd: an error that is about this call and not about Redis, or an answer that makes no sense.
	Odd
	// Held: the breaker is open and Redis was not asked.
	Held
)

// String is a word for logs, metrics and status.
func (k Kind) String() string {
	switch k {
	case Fine:
		return "fine"
	case Away:
		return "away"
	case Slow:
		return "slow"
	case Starting:
		return "starting"
	case ReadOnly:
		return "read-only"
	case Full:
		return "out of memory"
	case Denied:
		return "denied"
	case Odd:
		return "odd answer"
	case Held:
		return "not asked"
	}
	return "unknown"
}

// sick says whether further calls would fare no better, so that the breaker opens.
func (k Kind) sick() bool { return k != Fine && k != Odd && k != Held }

// Error is what every failed call returns, but for one whose caller went away: that returns the error of its context.
type Error struct {
	Kind Kind
	Err  error // what go-redis says; it names addresses, never a password
}

func (e *Error) Error() string { return "redis: " + e.Kind.String() + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of an error that this package returned; Fine for nil, and Odd for one that it does not know.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return Fine
	case errors.As(err, &e):
		return e.Kind
	}
	return Odd
}

// classify gives an error of go-redis its kind. What a server says itself stands before what happened to the connection.
func classify(err error) Kind {
	var timeout net.Error
	switch {
	case err == nil, errors.Is(err, goredis.Nil):
		return Fine
	case goredis.IsReadOnlyError(err):
		return ReadOnly
	case goredis.IsOOMError(err), goredis.HasErrorPrefix(err, "MISCONF"):
		return Full // MISCONF: it cannot write its snapshot and therefore takes nothing
	case goredis.IsAuthError(err), goredis.IsPermissionError(err), goredis.HasErrorPrefix(err, "WRONGPASS"), goredis.HasErrorPrefix(err, "NOAUTH"):
		return Denied
	case goredis.IsLoadingError(err), goredis.IsMasterDownError(err), goredis.IsClusterDownError(err), goredis.IsTryAgainError(err),
		goredis.IsMaxClientsError(err), goredis.IsNoReplicasError(err), goredis.HasErrorPrefix(err, "BUSY"):
		return Starting
	case serverSaid(err), errors.Is(err, errAnswer):
		return Odd
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, goredis.ErrPoolTimeout), errors.Is(err, goredis.ErrPoolExhausted),
		errors.As(err, &timeout) && timeout.Timeout():
		return Slow
	}
	return Away
}

// serverSaid says whether the error is an answer of the server.
func serverSaid(err error) bool {
	var e goredis.Error
	return errors.As(err, &e)
}
