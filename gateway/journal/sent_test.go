package journal

import (
	"fmt"
	"strings"
	"testing"

	"gatepost/gateway"
)

// TestSent shows that line and story tell whom mail was sent on to, bounded, each once, and nothing where it was nobody else.
func TestSent(t *testing.T) {
	sent := func(n int) (out []gateway.Address) {
		for i := range n {
			local := fmt.Sprint("u", i)
			out = append(out, gateway.Address{Text: local + "@one.example", Local: local, Domain: "one.example"})
		}
		return out
	}
	for _, c := range []struct {
		first, second []gateway.Address
		line          string
		more          string
		story         string
	}{
		{nil, nil, "", "", "<bob@one.example>, route"},
		{sent(2), nil, `"sent":["u0@one.example","u1@one.example"]`, "", "<bob@one.example> -> <u0@one.example>, <u1@one.example>, route"},
		{nil, sent(3), "", "", "<nobody@one.example> -> <u0@one.example>, <u1@one.example>, <u2@one.example>, route main: 550"}, // refused
		{sent(2), sent(3), `"sent":["u0@one.example","u1@one.example"]`, "", "<nobody@one.example> -> <u0@one.example>, <u1@one.example>, <u2@one.example>"},
		{sent(maxRcpts + 7), nil, `"sent":["u0@one.example"`, `"sent_more":7`, ""},
	} {
		e := mailEvent()
		e.Record.Rcpts[0].Sent, e.Record.Rcpts[1].Sent = c.first, c.second
		line := string(newLine(e).JSON)
		checkLine(t, []byte(line))
		if strings.Contains(line, `"sent"`) != (c.line != "") || !strings.Contains(line, c.line) || strings.Contains(line, `"sent_more"`) != (c.more != "") || !strings.Contains(line, c.more) {
			t.Errorf("want %s %s in %s", c.line, c.more, line)
		}
		if story := strings.Join(strings.Fields(Render(e, RenderOptions{})), " "); !strings.Contains(story, c.story) {
			t.Errorf("want %s in %s", c.story, story)
		}
	}
}
