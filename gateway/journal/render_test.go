package journal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"gatepost/gateway"
)

func TestRender(t *testing.T) {
	late := mailEvent()
	late.Session.Transactions, late.Session.Accepted, late.Session.End = 1, 1, gateway.EndQuit
	conn := refusedEvent()
	conn.Session.Transactions, conn.Session.Accepted = 2, 1
	deferred := mailEvent()
	deferred.Relayed = &gateway.Relayed{Result: gateway.NotDelivered, At: "dial"}
	deferred.Reply = gateway.Reply{Code: 451, Enhanced: "4.4.1", Text: "The mail server behind this host cannot be reached right now; try again later. Reference " + deferred.Record.ID.String()}
	norcpt := mailEvent()
	norcpt.Record.Stage, norcpt.Relayed, norcpt.Record.Rcpts, norcpt.Replies = gateway.Rcpt, nil, norcpt.Record.Rcpts[1:], norcpt.Replies[1:]
	again := testPolicy().Judge(mailEvent().Record)
	p := testPolicy()
	p.Thresholds.Tag, p.Version = 4, "draft"
	other := p.Judge(mailEvent().Record)
	for name, s := range map[string]string{
		"mail.txt":       Render(mailEvent(), RenderOptions{Connection: late, Node: "mx1", Again: &again, AgainPolicy: "4f2a91c0"}),
		"virus.txt":      Render(virusEvent(), RenderOptions{Again: &other, AgainPolicy: "draft"}),
		"narrow.txt":     Render(virusEvent(), RenderOptions{Width: 60}),
		"color.txt":      Render(virusEvent(), RenderOptions{Color: true}),
		"connection.txt": Render(conn, RenderOptions{Transactions: []*gateway.Event{mailEvent(), virusEvent()}}),
		"deferred.txt":   Render(deferred, RenderOptions{}),
		"norcpt.txt":     Render(norcpt, RenderOptions{}),
		"hostile.txt":    Render(hostile(mailEvent(), "\x1b[2J\u202e\x00\xff\r\nä"), RenderOptions{}),
	} {
		golden(t, name, []byte(s))
	}
}

func TestRenderKeepsItsWidth(t *testing.T) {
	for _, w := range []int{60, 80, 100} {
		for _, e := range []*gateway.Event{mailEvent(), virusEvent(), refusedEvent(), hostile(mailEvent(), strings.Repeat("long ", 500)), hostile(mailEvent(), strings.Repeat("ä", 3000))} {
			for _, line := range strings.Split(Render(e, RenderOptions{Width: w}), "\n") {
				if n := utf8.RuneCountInString(line); n > w+26 { // names of checks and evidence are not cut
					t.Errorf("width %d: %d columns: %.200s", w, n, line)
					break
				}
			}
		}
	}
}

// TestWhy shows that each outcome has a sentence.
func TestWhy(t *testing.T) {
	for o := gateway.Accept; o <= gateway.Drop; o++ {
		for _, r := range append(gateway.Reasons(), "") {
			e := mailEvent()
			e.Verdict = gateway.Verdict{Decision: gateway.Decision{Outcome: o, Reason: r, Check: "x"}}
			if s := Why(e); !strings.HasPrefix(s, doneWord(o)) || !strings.HasSuffix(s, ".") || strings.Contains(s, "%!") {
				t.Errorf("%s %s: %s", o, r, s)
			}
		}
	}
	for res := gateway.NotDelivered; res <= gateway.OutcomeUnknown; res++ {
		e := mailEvent()
		e.Relayed.Result = res
		if s := Why(e); strings.Contains(s, ", and delivered to") != (res == gateway.Delivered) || !strings.HasSuffix(s, ".") {
			t.Errorf("%s: %s", res, s)
		}
	}
	for end := range endings {
		e := refusedEvent()
		e.Session.End = end
		if s := Why(e); !strings.HasSuffix(s, ".") {
			t.Errorf("%s: %s", end, s)
		}
	}
}

// TestNotRelayed shows how a message is told of that was not relayed, and yet was taken; and one that some have.
func TestNotRelayed(t *testing.T) {
	spooled, again, some := mailEvent(), mailEvent(), mailEvent()
	spooled.Relayed = &gateway.Relayed{Result: gateway.NotDelivered, At: gateway.AtDial}
	spooled.Spooled = "dial: connection refused"
	again.Relayed, again.Again = nil, true
	some.Relayed = &gateway.Relayed{Result: gateway.MixedByHop, At: gateway.AtDot, To: []gateway.Address{{Text: "one@final.example"}, {Text: "two@final.example"}},
		Rcpts: []gateway.Reply{{Code: 250}, {Code: 552, Enhanced: "5.2.2", Text: "full"}}}
	for _, tt := range []struct {
		e       *gateway.Event
		why     string
		line    string
		page    string
		outcome gateway.Outcome
	}{
		{spooled, "in the spool, which hands it on later: dial: connection refused.", `"spooled":"dial: connection refused"`, "dial: connection refused", spooled.Verdict.Outcome},
		{again, "The next hop had it from an earlier attempt", `"again":true`, "earlier attempt", again.Verdict.Outcome},
		{some, "Delivered to some", `"relay":"mixed"`, "<two@final.example>: 552 5.2.2 full", gateway.Defer},
	} {
		if s := Why(tt.e); !strings.Contains(s, tt.why) {
			t.Errorf("%s, want %s", s, tt.why)
		}
		if l := newLine(tt.e); !strings.Contains(string(l.JSON), tt.line) {
			t.Errorf("%s, want %s", l.JSON, tt.line)
		}
		if p := string(Render(tt.e, RenderOptions{})); !strings.Contains(p, tt.page) {
			t.Errorf("%s\nwant %s", p, tt.page)
		}
		if o := tt.e.Outcome(); o != tt.outcome {
			t.Errorf("outcome %s, want %s", o, tt.outcome)
		}
		b, err := JSON(tt.e)
		if err != nil {
			t.Fatal(err)
		}
		var s Story
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		if back, err := s.Event(); err != nil || Why(back) != Why(tt.e) {
			t.Errorf("%v: %s", err, b)
		}
	}
}

// TestStory shows that what --json tells leads back to the same text.
func TestStory(t *testing.T) {
	for _, e := range []*gateway.Event{mailEvent(), virusEvent(), refusedEvent()} {
		b, err := JSON(e)
		if err != nil || bytes.Count(b, []byte("\n")) != 1 {
			t.Fatalf("%v %s", err, b)
		}
		var s Story
		if err := json.Unmarshal(b, &s); err != nil {
			t.Fatal(err)
		}
		back, err := s.Event()
		if err != nil || Render(back, RenderOptions{}) != Render(e, RenderOptions{}) {
			t.Errorf("%v\n%s", err, Render(back, RenderOptions{}))
		}
	}
	if _, err := new(Story).Event(); err == nil {
		t.Error("an empty story became an event")
	}
}
