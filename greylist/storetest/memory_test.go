package storetest

import (
	"testing"

	"gatepost/greylist"
)

func TestMemory(t *testing.T) {
	Run(t, func(testing.TB) greylist.Store { return greylist.NewMemory(1 << 20) })
}
