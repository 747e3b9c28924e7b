package limit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/lab/limittest"
	"gatepost/internal/limit"
)

// TestMemory runs what every Store must do.
func TestMemory(t *testing.T) {
	for _, c := range limittest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := limit.NewMemory(0)
				c.Run(t, limittest.World{Store: m, Now: time.Now, Pass: time.Sleep, Held: m.Held})
			})
		})
	}
}
