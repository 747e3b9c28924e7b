package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/internal/lab"
)

// hopFault is one thing that a next hop does at one step, and what the sender must be told.
type hopFault struct {
	step, name string
	action     lab.Action
	told       string // how the last reply to the sender begins
	relay      string // how the journal names the end of the relay; "-": the message never got there
	unclear    bool   // the next hop may have taken the message over, and did not say so
	big        bool   // the message does not fit into buffers
	pooled     bool   // on the connection that is there already
}

// shortest are times that are over soon, and are enough on a busy machine. The last two cannot be shorter.
const shortest = "timeouts = { connect = \"3s\", command = \"3s\", data = \"10s\", final = \"10s\" }\n"

// hopFaults are all combinations of a step and a misbehaviour.
func hopFaults() []hopFault {
	var all []hopFault
	usual := map[string]string{"CONNECT": "220 x", "EHLO": "250 x", "MAIL": "250 x", "RCPT": "250 x", "DATA": "354 x", "DOT": "250 x"}
	for _, step := range []string{"CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"} {
		add := func(name string, a lab.Action, told, relay string) {
			all = append(all, hopFault{step: step, name: name, action: a, told: told, relay: relay})
		}
		early := step == "CONNECT" || step == "EHLO"
		lost := "not delivered"
		if step == "DOT" {
			lost = "unknown"
		}
		// Refusals are told faithfully, where they are about the mail.
		if early {
			add("450", lab.Reply("450 4.2.0 inner words"), "451 4.4.1 The mail server behind", "not delivered")
			add("550", lab.Reply("550 5.7.1 inner words"), "451 4.4.1 The mail server behind", "not delivered")
			add("421", lab.ReplyThenClose("421 4.3.2 inner words"), "451 4.4.1 The mail server behind", "not delivered")
		} else {
			add("450", lab.Reply("450 4.2.0 later please"), "450 4.2.0 later please", "deferred")
			add("550", lab.Reply("550 5.7.1 not wanted"), "550 5.7.1 not wanted", "refused")
			add("421", lab.ReplyThenClose("421 4.3.2 inner words"), "451 4.4.1 The mail server behind", "deferred")
			add("503", lab.Reply("503 5.5.1 inner words"), "451 4.3.0 The mail server behind", "not delivered")
			add("530", lab.Reply("530 5.7.0 inner words"), "451 4.3.0 The mail server behind", "not delivered")
		}
		// Only the exact code is a success.
		for _, code := range []string{"220", "221", "250", "251", "252", "354", "199", "600", "999"} {
			if code == usual[step][:3] || step == "RCPT" && code == "251" {
				continue
			}
			add(code, lab.Reply(code+" inner words"), "451 4.", lost)
		}
		add("hangs", lab.Silence(), "451 4.4.", lost)
		add("closes", lab.Gone(), "451 4.4.", lost)
		add("resets", lab.Action{Bytes: []byte{}, Then: lab.Reset}, "451 4.4.", lost)
		add("garbage", lab.Reply("inner words"), "451 4.", lost)
		add("binary", lab.Raw("\x00\xff\x00\xfe\r\n\r\n"), "451 4.", lost)
		add("endless line", lab.Endless(usual[step][:4]+strings.Repeat("inner words ", 500)), "451 4.", lost)
		add("endless lines", lab.Endless(strings.Repeat(usual[step][:3]+"-inner words\r\n", 500)), "451 4.", lost)
		add("trickles", lab.Trickle(usual[step]+strings.Repeat("x", 400)+"\r\n", 40*time.Millisecond), "451 4.4.", lost)
		add("trickles in time", lab.Trickle(usual[step]+"\r\n", 20*time.Millisecond), "250 2.0.0", "delivered")
		add("two codes", lab.Reply(usual[step][:3]+"-x\r\n550 5.7.1 x"), "451 4.", lost)
		all = append(all, hopFault{step: step, name: "half a line, then closes", told: "451 4.4.", relay: lost, unclear: true,
			action: lab.Action{Bytes: []byte(usual[step]), Then: lab.Close}})
		all = append(all, hopFault{step: step, name: "half a reply, then closes", told: "451 4.4.", relay: lost, unclear: true,
			action: lab.Action{Bytes: []byte(usual[step][:3] + "-x\r\n"), Then: lab.Close}})
	}
	// These begin with 250, and are none.
	for i := range all {
		switch all[i].name {
		case "trickles", "endless line", "endless lines", "two codes":
			all[i].unclear = all[i].step == "DOT"
		}
	}
	return append(all, bodyFaults()...)
}

// bodyFaults happen while the body is on its way, and around pooled connections.
func bodyFaults() []hopFault {
	return []hopFault{
		{step: "BODY", name: "closes at once", action: lab.Gone(), told: "451 4.4.", relay: "not delivered", big: true},
		{step: "BODY", name: "closes within", action: lab.Action{After: 100_000, Bytes: []byte{}, Then: lab.Close}, told: "451 4.4.", relay: "not delivered", big: true},
		{step: "BODY", name: "resets within", action: lab.Action{After: 100_000, Bytes: []byte{}, Then: lab.Reset}, told: "451 4.4.", relay: "not delivered", big: true},
		{step: "BODY", name: "hangs within", action: lab.Action{After: 100_000, Bytes: []byte{}, Then: lab.Hang}, told: "451 4.4.", relay: "not delivered", big: true},
		{step: "BODY", name: "552 within", action: lab.Action{After: 100_000, Bytes: []byte("552 5.3.4 too big for me\r\n"), Then: lab.Close}, told: "552 5.3.4 too big for me", relay: "refused", big: true},
		{step: "BODY", name: "452 within", action: lab.Action{After: 100_000, Bytes: []byte("452 4.3.1 disk full\r\n"), Then: lab.Close}, told: "452 4.3.1 disk full", relay: "deferred", big: true},
		{step: "BODY", name: "250 within", action: lab.Action{After: 100_000, Bytes: []byte("250 2.0.0 have it\r\n"), Then: lab.Close}, told: "451 4.", relay: "not delivered", big: true},
		{step: "BODY", name: "250 within, then hangs", action: lab.Action{After: 100_000, Bytes: []byte("250 2.0.0 have it\r\n"), Then: lab.Hang}, told: "451 4.", relay: "not delivered", big: true},
		{step: "DATA", name: "354 and 250 at once", action: lab.Raw("354 go\r\n250 2.0.0 have it\r\n"), told: "451 4.", relay: "not delivered"},
		{step: "MAIL", name: "all replies at once", action: lab.Raw("250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 have it\r\n"), told: "451 4.", relay: "not delivered"},
		{step: "RCPT", name: "two replies", action: lab.Raw("250 ok\r\n250 ok\r\n"), told: "451 4.", relay: "not delivered"},
		{step: "DATA", name: "354 twice", action: lab.Raw("354 go\r\n354 go\r\n"), told: "451 4.", relay: "not delivered"},
		{step: "DOT", name: "two replies", action: lab.Raw("250 2.0.0 have it\r\n250 2.0.0 have it\r\n"), told: "250 2.0.0", relay: "delivered"},
		{step: "DOT", name: "250 without text", action: lab.Raw("250\r\n"), told: "250 2.0.0", relay: "delivered"},
		{step: "DOT", name: "250, then closes", action: lab.ReplyThenClose("250 2.0.0 have it"), told: "250 2.0.0", relay: "delivered"},
		{step: "RCPT", name: "251", action: lab.Reply("251 2.1.5 will forward"), told: "250 2.0.0", relay: "delivered"},
		{step: "DOT", name: "slow", action: lab.ReplyAfter(3*time.Second, ""), told: "250 2.0.0", relay: "delivered"},
		{step: "MAIL", name: "usual", pooled: true, told: "250 2.0.0", relay: "delivered"},
		{step: "DOT", name: "resets a pooled connection", pooled: true, action: lab.Action{Bytes: []byte{}, Then: lab.Reset}, told: "451 4.4.2", relay: "unknown", unclear: true},
	}
}

// TestNextHopFaults breaks the next hop at each step of a relay, and for a question about a recipient at each step of
// that, all of them at the same time at one daemon. Whatever it does, the sender has a 250 if and only if the next hop has
// the whole message and said 250.
func TestNextHopFaults(t *testing.T) {
	t.Parallel()
	faults := hopFaults()
	s := setup{offers: "-", clamav: "off", spamd: "off", limits: noWaits + "connections_per_client = 500\nmessage_size = \"50M\"\n"}
	for i, f := range faults {
		s.routes = append(s.routes, route{name: fmt.Sprintf("relay%d", i), lines: "recipients = \"none\"\n" + shortest})
		if asks(f) {
			s.routes = append(s.routes, route{name: fmt.Sprintf("ask%d", i), lines: shortest})
		}
	}
	w := begin(t, s)
	for i, f := range faults {
		t.Run("relay/"+f.step+" "+f.name, func(t *testing.T) {
			t.Parallel()
			w.relayFault(t, f, fmt.Sprintf("relay%d", i))
		})
		if asks(f) {
			t.Run("ask/"+f.step+" "+f.name, func(t *testing.T) {
				t.Parallel()
				w.askFault(t, f, fmt.Sprintf("ask%d", i))
			})
		}
	}
}

// asks reports whether the fault can meet a question about a recipient.
func asks(f hopFault) bool {
	return !f.big && f.step != "DATA" && f.step != "DOT" && f.name != "all replies at once" && f.name != "two replies"
}

// arm sets the fault, once the daemon has learned what the next hop offers.
func (w *world) arm(t *testing.T, hop *lab.NextHop, f hopFault) {
	t.Helper()
	for deadline := time.Now().Add(clientTime); len(hop.Commands()) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the daemon did not ask what the next hop offers")
		}
	}
	if !f.pooled {
		hop.Forget()
	}
	hop.On(f.step, f.action)
}

// relayVerbs are all that a next hop is ever told; NOOP asks an idle connection whether it lives.
var relayVerbs = []string{"EHLO", "HELO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"}

func (w *world) relayFault(t *testing.T, f hopFault, route string) {
	hop := w.hops[route]
	w.arm(t, hop, f)
	text := "text"
	if f.big {
		text = strings.Repeat(strings.Repeat("x", 98)+"\r\n", 200_000)
	}
	c := w.hello(t)
	said := c.deliver("bob@"+route+".test", text)
	if !strings.HasPrefix(said.dot, f.told) || strings.Contains(said.dot, "inner words") {
		t.Errorf("the sender was told %q, not %q", said.last(), f.told)
	}
	// The session goes on, and ends as usual.
	c.want("250", "NOOP")
	c.want("221", "QUIT")
	e := w.awaitEvent(t, "transaction", "rcpts=bob@"+route+".test")
	if err := e.check([]string{"relay=" + f.relay, "reply^" + f.told}); err != nil {
		t.Errorf("%v, in\n%s", err, show([]event{e}))
	}
	// Whatever it answered, nothing of the message was said to it as a command.
	for _, line := range hop.Commands() {
		if verb, _, _ := strings.Cut(line, " "); !slices.Contains(relayVerbs, verb) {
			t.Errorf("the next hop heard the command %.100q", line)
		}
	}
	whole := hop.Accepted()
	switch {
	case said.accepted() && (len(whole) != 1 || !whole[0].Complete):
		t.Errorf("acknowledged and lost: the next hop has %+v", hop.Messages())
	case !said.accepted() && len(whole) > 0 && !f.unclear:
		t.Errorf("the next hop took over what the sender was told %q for", said.dot)
	}
	if said.accepted() {
		if a, err := readArrival(whole[0]); err != nil || a.content != head+text+"\r\n" {
			t.Errorf("the next hop got another message: %v %.300q", err, a.content)
		}
	}
}

// askFault meets the fault at RCPT already.
func (w *world) askFault(t *testing.T, f hopFault, route string) {
	hop := w.hops[route]
	w.arm(t, hop, f)
	want := f.told
	if strings.HasPrefix(want, "250") {
		want = "250 2.1.5"
	} else if strings.HasPrefix(want, "451") {
		want = "451 4."
	}
	c := w.hello(t)
	c.want("250", "MAIL FROM:<alice@example.org>")
	if r := c.say("RCPT TO:<bob@" + route + ".test>"); !strings.HasPrefix(r, want) || strings.Contains(r, "inner words") {
		t.Errorf("the sender was told %q, not %q", r, want)
	}
	c.want("221", "QUIT")
	if want[:3] != "250" {
		w.awaitEvent(t, "transaction", "rcpts=bob@"+route+".test", "relay=", "findings~rcpt,")
	}
	if all := hop.Messages(); len(all) > 0 {
		t.Errorf("the next hop got a message: %+v", all)
	}
}
