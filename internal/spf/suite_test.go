package spf

import (
	"reflect"
	"testing"
)

// TestSuite plays the public suite of RFC 7208. Where it allows several results ours is the one that it prefers.
func TestSuite(t *testing.T) {
	n := 0
	for _, s := range loadSuite(t).Scenarios {
		for name, c := range s.Tests {
			n++
			t.Run(name, func(t *testing.T) {
				w := suiteWorld(t, s.ZoneData)
				q := queryOf(c.Host, c.Helo, c.MailFrom)
				o := Check(t.Context(), w, q)
				if got := o.Result.String(); got != c.Result[0] {
					t.Errorf("section %s: %s, want %v: %+v", c.Spec, got, c.Result, o)
				}
				if c.Explanation != nil {
					want := *c.Explanation
					if want == "DEFAULT" { // of whoever reports it
						want = ""
					}
					if o.Explanation != want {
						t.Errorf("section %s: explanation %q, want %q", c.Spec, o.Explanation, want)
					}
				}
				if (o.Problem != "") != (o.Result == PermError || o.Result == TempError) {
					t.Errorf("%s with the problem %q", o.Result, o.Problem)
				}
				if alone := check(t.Context(), w, q, 0); !reflect.DeepEqual(alone, o) {
					t.Errorf("one after another: %+v\nahead: %+v", alone, o)
				}
			})
		}
	}
	if n != 203 {
		t.Errorf("%d cases", n)
	}
}
