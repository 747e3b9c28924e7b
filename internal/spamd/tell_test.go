package spamd

import (
	"errors"
	"strings"
	"testing"
)

// The real spamd learns, knows what it learned, and forgets.
func TestRealTell(t *testing.T) {
	c := client(t, need(t).unix)
	const pills = "cheap pills casino lottery winner prize claim urgent transfer million dollars\r\n"
	for i, step := range []struct {
		lesson Lesson
		did    bool
	}{{Spam, true}, {Spam, false}, {Forget, true}, {Forget, false}, {Ham, true}, {Spam, true}} {
		did, err := c.Tell(t.Context(), request(pills), step.lesson)
		if err != nil || did != step.did {
			t.Fatalf("step %d: %v, %v, want %v", i, did, err, step.did)
		}
	}
	if r, err := c.Check(t.Context(), request(pills)); err != nil || r.Spam {
		t.Errorf("it checks no more: %+v, %v", r, err)
	}
}

func TestTellFaults(t *testing.T) {
	for name, text := range map[string]string{
		"closes":     "",
		"garbage":    "HTTP/1.1 200 OK\r\n\r\n",
		"half":       "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n",
		"pong":       "SPAMD/1.5 0 PONG\r\n\r\n",
		"many lines": "SPAMD/1.1 0 EX_OK\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n",
		"huge":       "SPAMD/1.1 0 EX_OK\r\n\r\n" + strings.Repeat("x", maxBody+1),
	} {
		did, err := client(t, fake(t, "tcp", after(text))).Tell(t.Context(), request("x\r\n"), Spam)
		if err == nil || did {
			t.Errorf("%s: %v, %v", name, did, err)
		}
	}
	_, err := client(t, fake(t, "tcp", after("SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled, set the --allow-tell switch.\r\n"))).Tell(t.Context(), request("x\r\n"), Ham)
	var code *CodeError
	if !errors.As(err, &code) || code.Code != CodeUnavailable {
		t.Errorf("not allowed: %v", err)
	}
}
