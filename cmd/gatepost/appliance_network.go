package main

import (
	leaf "gatepost/appliance/network"
	"gatepost/cmd/gatepost/network"
	"gatepost/internal/control"
)

// networkOperations are those about the network of the appliance.
func (d *daemon) networkOperations() []control.Operation {
	return (&network.Desk{Socket: leaf.Socket}).Operations()
}
