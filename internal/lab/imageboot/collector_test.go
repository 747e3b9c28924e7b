package main

import (
	"net"
	"testing"
	"time"
)

// TestCollector: what came is known by the program that said it, and not by a machine of that name or a word in a message.
func TestCollector(t *testing.T) {
	c, err := newCollector()
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	to, err := net.Dial("tcp", c.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	for _, step := range []struct{ line, program string }{
		{"48 <6>1 - gatepost kernel - - - a gatepost 42 - - b", "kernel -"},
		{"34 <30>1 - gatepost gatepost 42 - - a", `gatepost \d+`},
	} {
		if c.lacks(step.program) == nil {
			t.Errorf("%q is known before it came", step.program)
		}
		if _, err := to.Write([]byte(step.line)); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); c.lacks(step.program) != nil; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q has not come", step.program)
			}
		}
	}
}
