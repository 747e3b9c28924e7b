package user

import (
	"errors"
	"net/http"

	"gatepost/internal/accounts"
	"gatepost/internal/control"
)

// ProofField is the field of the fault that asks for a password or a code again.
const ProofField = "proof"

// fault words an error for whoever asks.
func (d *Desk) fault(err error) error {
	if err == nil {
		return nil
	}
	if f := Fault(err); f != nil {
		return f
	}
	if d.Away != nil {
		return d.Away(err)
	}
	return err
}

// Fault is a refusal of accounts as the API tells it; nil of any other error.
func Fault(err error) *control.Fault {
	r, ok := errors.AsType[*accounts.Refusal](err)
	if !ok {
		return nil
	}
	status := map[accounts.Kind]int{accounts.Bad: http.StatusBadRequest, accounts.Wrong: http.StatusUnauthorized, accounts.Wait: http.StatusTooManyRequests,
		accounts.Busy: http.StatusServiceUnavailable, accounts.Forbidden: http.StatusForbidden, accounts.Prove: http.StatusForbidden, accounts.Missing: http.StatusNotFound,
		accounts.Conflict: http.StatusConflict, accounts.Stale: http.StatusPreconditionFailed}[r.Kind]
	return &control.Fault{Status: status, Message: r.Message, Hint: r.Hint, Field: r.Field, Retry: r.Wait}
}
