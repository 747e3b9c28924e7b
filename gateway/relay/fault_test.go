package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
)

// Every fault at every step: what came of it, what the sender is told, and that the next hop never has a whole message
// unless the outcome says that it may.
func TestFaults(t *testing.T) {
	ca := newAuthority(t)
	key := ca.issue("inner.example", time.Now().Add(time.Hour), ca)
	secure := append([]string{"STARTTLS"}, everything...)
	for name, offers := range map[string][]string{"pipelined": everything, "lock-step": {"SIZE"}, "TLS": secure} {
		for step := range good {
			for _, fl := range faults() {
				if fl.name == good[step] {
					continue
				}
				t.Run(strings.Join([]string{name, step, fl.name}, "/"), func(t *testing.T) {
					t.Parallel()
					f := newFake(t, offers...)
					f.tls = &tls.Config{Certificates: []tls.Certificate{key}}
					f.set(step, fl.act)
					r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: map[string]Mode{"TLS": Opportunistic, "pipelined": None, "lock-step": None}[name], Timeouts: long()})
					got := checkFault(t, f, r, step)
					result, reply := expect(step, fl.name)
					if got.Result != result || !strings.HasPrefix(got.Reply.String(), reply) {
						t.Errorf("got %s, %q (%s); want %s, %q", got.Result, got.Reply, got.Said, result, reply)
					}
					inStepAfter(t, f, r, step)
				})
			}
		}
	}
}

// inStepAfter mends the next hop and relays another message: it arrives, and as itself, whatever the fault had left on the
// connection.
func inStepAfter(t *testing.T, f *fake, r *Relay, step string) {
	t.Helper()
	f.set(step, nil)
	before, _, _ := f.seen()
	const second = "Subject: the second\r\n\r\nmessage\r\n"
	got := r.Relay(t.Context(), delivery(second))
	after, _, _ := f.seen()
	if got.Result != gateway.Delivered || len(after) != len(before)+1 || after[len(after)-1] != second {
		t.Errorf("the next message: %+v, %d messages arrived", got, len(after)-len(before))
	}
	if h := r.Health()[0]; h.InUse != 0 || h.Idle != 1 {
		t.Errorf("health after it: %+v", h)
	}
}

type fault struct {
	name string
	act  act
}

// faults are what a next hop can do in place of a reply, at once.
func faults() []fault {
	return []fault{
		{"421", then(say("421 4.3.2 inner.example closing"), closes)},
		{"450", say("450 4.2.0 Later")},
		{"451 bare", say("451 later")},
		{"550", say("550 5.7.1 Never")},
		{"554 bare", say("554-No\r\n554 never")},
		{"503", say("503 5.5.1 Bad sequence")},
		{"530", say("530 5.7.0 Authenticate first")},
		{"555", say("555 5.5.4 No such parameter")},
		{"220", say("220 2.0.0 Hello")},
		{"250", say("250 2.0.0 Ok")},
		{"252", say("252 2.0.0 Perhaps")},
		{"299", say("299 2.0.0 Odd")},
		{"334", say("334 Go on")},
		{"354", say("354 Go on")},
		{"close", closes},
		{"half a line", then(raw("250 2.0"), closes)},
		{"half a reply", then(raw("250-2.0.0 first\r\n"), closes)},
		{"garbage", say("\x00\xff\x16\x03\x01 nonsense")},
		{"199", say("199 What")},
		{"999", say("999 What")},
		{"no code", say("Ok")},
		{"two codes", raw("250-2.0.0 a\r\n550 5.0.0 b\r\n")},
		{"bare LF", raw("250 2.0.0 Ok\n")},
		{"endless line", endless("250 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0)},
		{"endless lines", endless("250-2.0.0 Ok and on\r\n", 0)},
		{"resets", resets},
		{"a NUL within", raw("250 2.0.0 O\x00k\r\n")},
		{"a CR within", raw("250 2.0.0 O\rk\r\n")},
	}
}

// The code that each step expects, and its name.
var (
	good   = map[string]string{"banner": "220", "EHLO": "250", "MAIL": "250", "RCPT": "250", "DATA": "354", "DOT": "250"}
	stepAt = map[string]string{"banner": "dial", "EHLO": "ehlo", "MAIL": "mail", "RCPT": "rcpt", "DATA": "data", "DOT": "dot"}
)

// checkFault relays a message and checks what holds after every fault.
func checkFault(t *testing.T, f *fake, r *Relay, step string) gateway.Relayed {
	t.Helper()
	got := r.Relay(t.Context(), delivery(small))
	if strings.Contains(got.Reply.Text, "inner.example") || got.Said == "" || got.At != stepAt[step] {
		t.Errorf("told %q, said %q at %s", got.Reply.Text, got.Said, got.At)
	}
	if messages, _, _ := f.seen(); step != "DOT" && len(messages) > 0 {
		t.Errorf("the next hop has a message after a fault at %s", step)
	}
	if h := r.Health()[0]; h.InUse != 0 {
		t.Errorf("%d connections are still in use", h.InUse)
	}
	return got
}

// A next hop that says nothing, or never enough, is given up when the time of the step is over, not later.
func TestSlowFaults(t *testing.T) {
	key := newAuthority(t).issue("inner.example", time.Now().Add(time.Hour), nil)
	for name, slow := range map[string]act{
		"hang":           hang,
		"trickle":        endless("2", 5*time.Second),
		"trickled lines": endless("250-Ok\r\n", 5*time.Second),
	} {
		for _, mode := range []Mode{None, Opportunistic} {
			for step := range good {
				t.Run(name+"/"+mode.String()+"/"+step, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						f := quietFake(append([]string{"STARTTLS"}, everything...)...)
						f.tls = &tls.Config{Certificates: []tls.Certificate{key}}
						f.set(step, slow)
						r, err := New(NewPools(f.pipe, nil), []Route{{Name: "inner", Hostname: "mx", Hops: []Hop{{Host: "a.example"}}, TLS: mode}})
						if err != nil {
							t.Fatal(err)
						}
						defer close(f.done)
						defer r.Close()
						got := checkFault(t, f, r, step)
						want, within := gateway.NotDelivered, 60*time.Second
						if step == "DOT" {
							want, within = gateway.OutcomeUnknown, 300*time.Second
						}
						if got.Result != want || got.Reply.Code != 451 || got.Took != within ||
							(got.TLS != "") != (mode == Opportunistic && step != "banner" && step != "EHLO") {
							t.Errorf("%s, %q after %s (%s)", got.Result, got.Reply, got.Took, got.Said)
						}
					})
				})
			}
		}
	}
}

// expect is the rule of the table: a refusal that is about the mail is told, everything else is 451.
func expect(step, fault string) (gateway.RelayResult, string) {
	opening := step == "banner" || step == "EHLO"
	switch {
	case fault == "421" && !opening:
		return gateway.DeferredByHop, "451 4.4.1"
	case fault == "450" && !opening:
		return gateway.DeferredByHop, "450 4.2.0 Later"
	case fault == "451 bare" && !opening:
		return gateway.DeferredByHop, "451 4.0.0 later"
	case fault == "550" && !opening:
		return gateway.RefusedByHop, "550 5.7.1 Never"
	case fault == "554 bare" && !opening:
		return gateway.RefusedByHop, "554 5.0.0 No never"
	case step == "DOT" && (fault == "503" || fault == "530" || fault == "555"):
		return gateway.NotDelivered, "451 4.3.0"
	case step == "DOT":
		return gateway.OutcomeUnknown, "451 4."
	case opening:
		return gateway.NotDelivered, "451 4.4.1"
	}
	return gateway.NotDelivered, "451 4."
}

// While the body is on its way: the next hop answers, closes or stops reading. The message is far greater than what the
// socket buffers hold.
func TestBodyFaults(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 400_000)
	reads := func(n int64) act {
		return func(s *fakeSession) bool { _, err := io.CopyN(io.Discard, s.in, n); return err == nil }
	}
	for _, tt := range []struct {
		name   string
		body   act
		want   gateway.RelayResult
		told   string
		stalls bool
	}{
		{"552 early", then(reads(100_000), say("552 5.2.2 Mailbox full"), hang), gateway.RefusedByHop, "552 5.2.2 Mailbox full", false},
		{"452 early", then(reads(100_000), say("452 4.3.1 Disk full"), hang), gateway.DeferredByHop, "452 4.3.1 Disk full", false},
		{"452 and no more reading", then(reads(100_000), say("452 4.3.1 Disk full"), func(s *fakeSession) bool { <-s.f.done; return false }),
			gateway.DeferredByHop, "452 4.3.1 Disk full", true},
		{"250 early", then(reads(100_000), say("250 2.0.0 Queued"), hang), gateway.NotDelivered, "451 4.3.0", false},
		{"closes", then(reads(100_000), closes), gateway.NotDelivered, "451 4.4.2", false},
		{"stops reading", func(s *fakeSession) bool { <-s.f.done; return false }, gateway.NotDelivered, "451 4.4.2", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, lies := range []string{"stream", "clean memory", "clean file", "chunk"} {
				chunking := lies == "chunk"
				f := newFake(t, append([]string{"CHUNKING"}, everything...)...)
				if chunking {
					f.set("BDAT-body", tt.body)
				} else {
					f.set("BODY", tt.body)
				}
				times := long()
				if tt.stalls {
					times.Write, times.Command = 300*time.Millisecond, 2*time.Second
				}
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: times, Chunking: chunking})
				d := delivery(big)
				switch lies {
				case "clean memory":
					d.Content.Parts, d.Content.Clean = []io.Reader{bytes.NewReader([]byte(big))}, true
				case "clean file":
					d.Content.Parts, d.Content.Clean = []io.Reader{inFile(t, big)}, true
				}
				got := r.Relay(t.Context(), d)
				if got.Result != tt.want || !strings.HasPrefix(got.Reply.String(), tt.told) || got.At != "body" {
					t.Errorf("%s: got %s, %q at %s (%s)", lies, got.Result, got.Reply, got.At, got.Said)
				}
				if messages, _, _ := f.seen(); len(messages) > 0 {
					t.Error("the next hop has a message")
				}
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A message that cannot be read whole is never ended, and nothing is said after its beginning.
func TestUnreadableMessage(t *testing.T) {
	for name, content := range map[string]gateway.Content{
		"error":   {Parts: []io.Reader{strings.NewReader("A: b\r\n"), failing{errors.New("disk")}}, Size: 100},
		"short":   {Parts: []io.Reader{strings.NewReader("A: b\r\n\r\nhello\r\n")}, Size: 100},
		"long":    {Parts: []io.Reader{strings.NewReader("A: b\r\n\r\nhello\r\n"), strings.NewReader("more\r\n")}, Size: 15},
		"stalled": {Parts: []io.Reader{strings.NewReader("A: b\r\n"), failing{nil}}, Size: 100},
	} {
		for _, chunking := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				f := newFake(t, append([]string{"CHUNKING"}, everything...)...)
				r := newRelay(t, Route{Hops: []Hop{f.hop()}, TLS: None, Timeouts: long(), Chunking: chunking})
				d := delivery("")
				d.Content = content
				d.Content.Parts = nil
				for _, p := range content.Parts {
					if s, ok := p.(*strings.Reader); ok {
						_, _ = s.Seek(0, io.SeekStart)
					}
					d.Content.Parts = append(d.Content.Parts, p)
				}
				got := r.Relay(t.Context(), d)
				if got.Result != gateway.NotDelivered || got.Reply.Code != 451 || got.At != "body" {
					t.Errorf("got %+v", got)
				}
				if h := r.Health()[0]; h.Failures > 0 || h.Idle > 0 {
					t.Errorf("health %+v", h)
				}
				messages, commands, _ := f.seen()
				if last := commands[len(commands)-1]; len(messages) > 0 || strings.HasPrefix(last, "QUIT") || strings.HasPrefix(last, "RSET") {
					t.Errorf("messages %q, last command %q", messages, last)
				}
			})
		}
	}
}

// Bare CR, LF and NUL never reach the next hop, whoever let them in.
func TestUncleanMessage(t *testing.T) {
	for _, body := range []string{"a\nb\r\n", "a\rb\r\n", "a\x00b\r\n", "a\r\n.\rb\r\n", "a\n.\nMAIL FROM:<x@y>\r\n"} {
		f := newFake(t, everything...)
		got := relayTo(t, f).Relay(t.Context(), delivery(body))
		if messages, _, _ := f.seen(); got.Result != gateway.NotDelivered || got.Reply.Code != 451 || len(messages) > 0 {
			t.Errorf("%q: %+v, the next hop got %q", body, got, messages)
		}
	}
}

// A reply that comes before the message was ended is no answer to it.
func TestAnswersInAdvance(t *testing.T) {
	for name, step := range map[string]string{"with the 354": "DATA", "with the recipient": "RCPT", "with MAIL": "MAIL"} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, everything...)
			text := map[string]string{"DATA": "354 Go on", "RCPT": "250 2.1.5 Ok", "MAIL": "250 2.1.0 Ok"}[step]
			f.set(step, raw(text+"\r\n250 2.0.0 Queued\r\n250 2.0.0 Queued\r\n"))
			got := relayTo(t, f).Relay(t.Context(), delivery(small))
			if messages, _, _ := f.seen(); got.Result == gateway.Delivered || len(messages) > 0 {
				t.Errorf("got %+v, messages %q", got, messages)
			}
		})
	}
}
