package main

import (
	"gatepost/appliance/update"
	"gatepost/cmd/gatepost/updates"
	"gatepost/internal/control"
)

// updateOperations are those about the version of the appliance.
func (d *daemon) updateOperations() []control.Operation {
	return (&updates.Desk{Socket: update.Socket}).Operations()
}
