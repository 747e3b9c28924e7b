package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestExamine shows that groups keep their order, and that one that hangs or panics tells what it had and then that it was not
// done, while the others are heard.
func TestExamine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan bool)
		late := make(chan bool)
		groups := []Group{
			{"slow", func(ctx context.Context, r *Report) {
				<-ctx.Done()
				r.at(0).unknown("slow.a", "", "its time was over")
			}},
			{"hung", func(_ context.Context, r *Report) {
				r.at(0).ok("hung.a", "", "seen")
				<-hung
				r.at(0).ok("hung.b", "", "too late")
				close(late)
			}},
			{"panics", func(_ context.Context, r *Report) {
				r.at(0).warn("panics.a", "", "seen")
				panic("no\nsuch thing")
			}},
			{"quick", func(_ context.Context, r *Report) {
				r.at(2).ok("quick.c", "", "")
				r.at(0).ok("quick.a", "", "")
				r.at(1).fail("quick.b", "x", "is \x1b[31mred\r\nand long", "do: this")
			}},
		}
		began := time.Now()
		found := Examine(t.Context(), groups, Bound)
		if took := time.Since(began); took > Bound+grace {
			t.Errorf("took %s", took)
		}
		close(hung)
		<-late
		want := []string{"slow ? slow.a  its time was over", "hung ok hung.a  seen", "hung ? hung.unfinished  was not done after 20s",
			"panics warn panics.a  seen", "panics ? panics.unfinished  a fault of the doctor's own: no?such thing",
			"quick ok quick.a  ", "quick FAIL quick.b x is ?[31mred??and long do: this", "quick ok quick.c  "}
		if got := flat(found); !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func flat(found []Findings) (out []string) {
	for _, g := range found {
		for _, l := range g.Lines {
			out = append(out, strings.Join(append([]string{g.Group, l.Verdict.String(), l.ID, l.About, l.Saw}, l.Fix...), " "))
		}
	}
	return out
}

// TestMany shows that whoever publishes many records cannot make a page endless.
func TestMany(t *testing.T) {
	found := Examine(t.Context(), []Group{{"g", func(_ context.Context, r *Report) {
		for i := range 2 * mostLines {
			r.at(i).warn("g.a", "", strings.Repeat("x", 1000))
		}
	}}}, time.Minute)
	if n := len(found[0].Lines); n != mostLines {
		t.Errorf("%d lines", n)
	}
	if n := len(found[0].Lines[0].Saw); n > 410 {
		t.Errorf("a line of %d octets", n)
	}
}

// TestWell shows what is well: what cannot be told is not.
func TestWell(t *testing.T) {
	for v, want := range map[Verdict]bool{OK: true, Warn: true, Fail: false, Unknown: false} {
		if got := Well([]Findings{{"a", []Line{{Verdict: OK}}}, {"b", []Line{{Verdict: v}}}}); got != want {
			t.Errorf("%v: %v", v, got)
		}
	}
	if !Well(nil) {
		t.Error("nothing is not well")
	}
}

// TestJSON shows a line as programs read it.
func TestJSON(t *testing.T) {
	for _, c := range []struct {
		line Line
		want string
	}{
		{Line{ID: "domain.mx", Saw: "s"}, `{"id":"domain.mx","verdict":"unknown","saw":"s"}`},
		{Line{"domain.mx", Fail, "example.org", "s", []string{"f"}}, `{"id":"domain.mx","verdict":"fail","about":"example.org","saw":"s","fix":["f"]}`},
	} {
		if got, err := json.Marshal(c.line); err != nil || string(got) != c.want {
			t.Errorf("got %s %v, want %s", got, err, c.want)
		}
	}
}

// TestReverseName compares with what the standard of both families says.
func TestReverseName(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.255": "255.2.0.192.in-addr.arpa",
		"10.0.0.1":    "1.0.0.10.in-addr.arpa",
		"2001:db8::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		if got := reverseName(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// manyDNS has the same answer for every name.
type manyDNS struct{ answer Answer }

func (m manyDNS) Lookup(context.Context, string, Kind) Answer { return m.answer }
func (m manyDNS) Reverse(context.Context, netip.Addr) Answer  { return m.answer }

// TestManyDomains shows that domains beyond the bound are told as not looked at.
func TestManyDomains(t *testing.T) {
	w := &World{Hostname: "mx.example.org", DNS: manyDNS{}, Now: time.Now, STSRecord: func([]string) (string, error) { return "", nil }}
	for i := range mostDomains + 5 {
		w.Domains = append(w.Domains, Domain{Name: fmt.Sprintf("d%d.example", i)})
	}
	found := Examine(t.Context(), []Group{{"domain", w.domains}}, time.Minute)
	last := found[0].Lines[len(found[0].Lines)-1]
	if last.ID != "domain.rest" || last.Verdict != Unknown || last.Saw != "5 more domains were not looked at" {
		t.Errorf("the last line is %+v", last)
	}
}

// TestPublicResolvers shows that each address of the list is one, and is found.
func TestPublicResolvers(t *testing.T) {
	for _, text := range publicResolvers() {
		a, err := netip.ParseAddr(text)
		if err != nil || a.String() != text {
			t.Errorf("%s is written %s: %v", text, a, err)
			continue
		}
		s := Server{Address: netip.AddrPortFrom(a, 53).String(), DNS: manyDNS{Answer{Status: Found}}}
		r := &Report{}
		new(World).public(t.Context(), r.at(0), &s)
		if lines := r.close(); len(lines) != 1 || lines[0].Verdict != Warn {
			t.Errorf("%s: %+v", text, lines)
		}
	}
}
