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
		"mail.txt":       Render(mailEvent(), RenderOptions{Connection: late, Again: &again, AgainPolicy: "4f2a91c0"}),
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
