// Package controltest is how tests of nouns ask their operations: as an actor, with the answer in its own type.
//
// It knows no noun, and nothing but tests imports it. No RFC applies.
package controltest

import (
	"context"
	"errors"

	"gatepost/internal/access"
	"gatepost/internal/control"
)

// Ask calls an operation as an actor. Out is what the operation returns: a pointer, for most.
func Ask[Out any](ctx context.Context, s *control.Surface, who access.Actor, name string, in any) (Out, error) {
	out, err := s.Call(access.With(ctx, who), name, in)
	if err != nil {
		var none Out
		return none, err
	}
	return out.(Out), nil
}

// Status is that of HTTP with which an operation refused; 0 for any other error, and for none.
func Status(err error) int {
	if f, ok := errors.AsType[*control.Fault](err); ok {
		return f.Status
	}
	return 0
}
