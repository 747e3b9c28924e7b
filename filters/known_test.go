package filters

import (
	"testing"
	"time"

	"gatepost/gateway"
)

// TestNothingKnown: without a memory nobody waits, and no way is doubted.
func TestNothingKnown(t *testing.T) {
	d := &Deps{}
	if k := d.knownDomain("bank.example"); k.Held(time.Now()) {
		t.Errorf("held: %+v", k)
	}
	p := gateway.Path{Host: "lists.example", Told: "list:x.lists.example"}
	if k := d.knownPath(p); k.Path != p || k.Standing(time.Now()) != gateway.PathYoung {
		t.Errorf("%+v", k)
	}
}
