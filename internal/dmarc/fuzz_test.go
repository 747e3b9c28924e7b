package dmarc

import (
	"context"
	"strings"
	"testing"
)

// FuzzRecord shows that no text is too odd: what is read stays in its bounds, means the same without blanks at the ends,
// and is a record for both methods or for none.
func FuzzRecord(f *testing.F) {
	for _, seed := range []string{"v=DMARC1; p=reject; sp=none; np=quarantine; adkim=s; aspf=s; psd=y; t=y; pct=5; fo=1:d; rua=mailto:a@b.example!10m,x:y; ruf=mailto:c@d.example",
		"v=DMARC1", " v = DMARC1 ;;;p=;p", "v=DMARC1; p=reject\x00", "v=DMARC1; rua=" + strings.Repeat(",", 100), "v=spf1 -all", "v=DMARC1; PCT=100; P=NONE"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range []Method{TreeWalk, PSL} {
			r := Parse(text, m)
			if (r != nil) != IsRecord(text) {
				t.Fatalf("%q: %v", text, r)
			}
			if r == nil {
				continue
			}
			if r.Percent < 0 || r.Percent > 100 || len(r.Aggregate) > maxURIs || len(r.Failure) > maxURIs || r.Text != text {
				t.Errorf("%q: %+v", text, r)
			}
			if r.Broken == "" && r.Policy == Unsaid || r.Broken != "" && r.Policy > None {
				t.Errorf("%q: policy %s, broken %q", text, r.Policy, r.Broken)
			}
			if m == PSL && (r.Testing || r.PSD != PSDUnsaid || r.Nonexistent != Unsaid) || m == TreeWalk && r.Percent != 100 {
				t.Errorf("%q, %s: %+v", text, m, r)
			}
			if again := Parse(" "+text+" ", m); again == nil || len(text) < maxText-1 && short(again) != short(r) {
				t.Errorf("%q: %s, with blanks around it %s", text, short(r), short(again))
			}
		}
	})
}

// endless answers every question with the same texts.
type endless []string

func (e endless) LookupTXT(context.Context, string) ([]string, error) { return e, nil }
func (e endless) Exists(context.Context, string) (bool, error)        { return true, nil }

// FuzzCheck shows that names and records of any kind end in a result, and never in a pass without an identifier that is
// below a common name with the author that somebody may own.
func FuzzCheck(f *testing.F) {
	f.Add("a.example.com", "b.example.com", "v=DMARC1; p=reject", "v=DMARC1; p=none; psd=y")
	f.Add("com", "example.com", "v=DMARC1; p=reject; psd=n", "")
	f.Add(strings.Repeat("a.", 126)+"b", "b", "v=DMARC1", "v=DMARC1")
	f.Add("a..b", ".", "v=DMARC1; p=reject; adkim=s", "x")
	f.Add("example.com\x00.evil.example", "evil.example", "v=DMARC1; p=reject", "")
	f.Fuzz(func(t *testing.T, author, domain, one, other string) {
		in := &Input{Identifiers: []Identifier{{Method: "dkim", Domain: domain}, {Method: "spf", Domain: author, Unsure: true}}}
		for _, m := range []Method{TreeWalk, PSL} {
			for _, dns := range []endless{{one}, {one, other}} {
				out := Check(t.Context(), dns, author, in, m)
				switch out.Result {
				case Pass:
					a, d := clean(author), clean(domain)
					if a == "" || d == "" || a != d && isSuffix(common(a, d)) && !strings.Contains(strings.ToLower(one+other), "psd") {
						t.Errorf("%q passes by %q", author, domain)
					}
				case NoRecord, Fail, TempError, PermError:
				default:
					t.Errorf("result %q", out.Result)
				}
			}
		}
	})
}
