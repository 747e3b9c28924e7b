package main

import (
	"gatepost/appliance/update"
	"gatepost/cmd/gatepost/resets"
	"gatepost/cmd/gatepost/updates"
	"gatepost/internal/control"
)

// updateOperations are those about the version of the appliance, and the one that erases it.
func (d *daemon) updateOperations() []control.Operation {
	return append((&updates.Desk{Socket: update.Socket}).Operations(), (&resets.Desk{State: resets.State, Socket: update.Socket, Log: d.log}).Operations()...)
}
