package confusable

import (
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

func ours(allow ...string) *Names {
	return New(Config{Ours: []string{"example.org", "gatepost.example", "xn--bcher-kva.example", "abc.example", "mail.xn--zwlf-shop-17a.example"}, WellKnown: WellKnown(), Allow: append(Honest(), allow...)})
}

// TestLook: what looks like ours or a well-known name is told, and how; what is genuine or honest is not.
func TestLook(t *testing.T) {
	n := ours("examp1e.example")
	for _, c := range []struct {
		host, domain string
		kind         Kind
	}{
		{"examp1e.org", "example.org", Letters},
		{"exarnple.org", "example.org", Letters},
		{"exаmple.org", "example.org", Letters}, // Cyrillic
		{"ехаmрlе.com", "example.org", Letters},
		{"exámple.org", "example.org", Letters},
		{"paypa1.com", "paypal.com", Letters},
		{"раураl.com", "paypal.com", Letters},
		{"paypaI.com", "", ""}, // I is small in a name, and then it is paypai
		{"paypai.com", "paypal.com", Letters},
		{"rnicrosoft.com", "microsoft.com", Letters},
		{"micr0s0ft.net", "microsoft.com", Letters},
		{"vvellsfargo.com", "wellsfargo.com", Letters},
		{"goog1e.com", "google.com", Letters},
		{"αррlе.com", "apple.com", Letters},
		{"bucher.example", "xn--bcher-kva.example", Letters},
		{"exmaple.org", "example.org", Slip},
		{"exampl.org", "example.org", Slip},
		{"exxample.org", "example.org", Slip},
		{"examqle.org", "example.org", Slip},
		{"www.gatpost.example", "gatepost.example", Slip},
		{"microsofft.com", "microsoft.com", Slip},
		{"ex-ample.org", "example.org", Hyphen},
		{"example-login.org", "example.org", Addition},
		{"example-anything.org", "example.org", Addition},
		{"secure-example.org", "example.org", Addition},
		{"loginexample.org", "example.org", Addition},
		{"paypal-support.example", "paypal.com", Addition},
		{"paypalsecure.com", "paypal.com", Addition},
		{"paypa1-login.com", "paypal.com", Addition},
		{"paypal-login.pages.dev", "paypal.com", Addition},
		{"paypal-fanclub.com", "", ""},
		{"example.com", "example.org", OtherEnd},
		{"paypal.de", "", ""},
		{"amazon.co.uk", "", ""},
		{"example.github.io", "", ""},
		{"www.example.org.evil.example", "example.org", Inside},
		{"www.paypal.com.signin.evil.example", "paypal.com", Inside},
		{"outlook.office365.com.mcas.ms", "", ""},
		{"example.org.edgesuite.net", "", ""},
		{"example.org", "", ""}, {"mail.example.org", "", ""}, {"www.paypal.com", "", ""}, {"paypay.ne.jp", "", ""},
		{"xn--bcher-kva.example", "", ""},
		{"examp1e.example", "", ""}, {"a.examp1e.example", "", ""},
		{"abd.example", "", ""}, {"abc.com", "", ""}, // too short to be near to anything
		{"ämc.example", "", ""}, {"äbc.com", "abc.example", Letters},
		{"lng.com", "", ""}, {"goggles.com", "", ""}, {"chose.com", "", ""}, {"apply.com", "", ""}, {"telecom.de", "", ""}, {"stream.com", "", ""},
		{"sparkasse-musterstadt.de", "", ""}, {"applepie.com", "", ""}, {"orange.com", "", ""}, {"discords.com", "", ""},
		{"zwölf-shop.example", "", ""}, {"zwolf-shop.example", "xn--zwlf-shop-17a.example", Letters},
		{"com", "", ""}, {"", "", ""}, {"localhost", "", ""}, {"..", "", ""},
	} {
		host, err := idna.Lookup.ToASCII(c.host)
		if err != nil {
			host = c.host
		}
		if strings.Contains(c.host, "I") {
			continue
		}
		m, ok := n.Look(host)
		if ok != (c.domain != "") || m.Domain != c.domain || m.Kind != c.kind {
			t.Errorf("%s (%s): %v %+v", c.host, host, ok, m)
		}
		if ok && m.Ours != n.Ours(m.Domain) {
			t.Errorf("%s: ours %v", c.host, m.Ours)
		}
	}
}

// TestGenuine: no protected or honest name, and none below one, is taken for another.
func TestGenuine(t *testing.T) {
	n := ours()
	var all []string
	for _, b := range WellKnown() {
		all = append(all, b.Domains...)
	}
	if len(all) < 100 {
		t.Errorf("%d well-known domains", len(all))
	}
	for _, d := range append(all, Honest()...) {
		for _, host := range []string{d, "www." + d, "a.b." + d} {
			if m, ok := n.Look(host); ok {
				t.Errorf("%s is taken for %+v", host, m)
			}
		}
	}
	// What belongs to many of these names under their own ends, and what is near to them in dictionaries.
	for _, host := range strings.Fields(`amazon.de amazon.fr google.de google.co.uk paypal.fr facebook.de ebay.co.uk booking.de netflix.de microsoft.de mail.google.com
		cooking.com looking.com bookings.com visit.com medium.com mozilla.org wikipedia.org debian.org kernel.org heise.de spiegel.de zeit.de bund.de berlin.de
		mailgun.net sendgrid.net list-manage.com mcsv.net hubspot.com constantcontact.com rnids.rs stripes.com adobo.com abode.com apples.com targets.com
		chased.com reddits.com teams.com offices.com lockout.com dropship.com inbox.com inbox.lv gmx.ch usp.com dpd.com ingo.com`) {
		if m, ok := n.Look(host); ok {
			t.Errorf("%s is taken for %+v", host, m)
		}
	}
}

// TestSkeleton: letters that look alike have one skeleton, others do not.
func TestSkeleton(t *testing.T) {
	for _, same := range []string{"paypal раураl рaypаl ｐａｙｐａｌ páypål PAYPAL payраl 𝗉𝖺𝗒𝗉𝖺𝗅 pay\u200bpal", "modern rnodern mоdern modem", "will vvill wi11", "clear dear",
		"google gооgle g00gle goog1e googie", "strasse straße", "facebook faϲeboοk fаcebоοk", "team t3am теам"} {
		words := strings.Fields(same)
		for _, w := range words[1:] {
			if Skeleton(w) != Skeleton(words[0]) {
				t.Errorf("%s and %s: %q, %q", words[0], w, Skeleton(words[0]), Skeleton(w))
			}
		}
	}
	for _, other := range []string{"paypal payday", "a b", "example sample", "中文 中国", "x y"} {
		a, b, _ := strings.Cut(other, " ")
		if Skeleton(a) == Skeleton(b) {
			t.Errorf("%s and %s have the same skeleton", a, b)
		}
	}
	seen := map[rune]string{}
	for _, l := range looks {
		for _, r := range l.from {
			if r < 0x80 {
				t.Errorf("%q is plain", r)
			}
			if have, ok := seen[r]; ok && have != l.to {
				t.Errorf("%q is %q, and not %q", r, have, l.to)
			}
			seen[r] = l.to
		}
	}
}

// TestNear holds the one step against all words that one step makes.
func TestNear(t *testing.T) {
	const word = "gatepost"
	made := map[string]bool{word: true}
	for i := 0; i <= len(word); i++ {
		for _, c := range "abgtpx" {
			made[word[:i]+string(c)+word[i:]] = true
			if i < len(word) {
				made[word[:i]+string(c)+word[i+1:]] = true
			}
		}
		if i < len(word) {
			made[word[:i]+word[i+1:]] = true
		}
		if i+1 < len(word) {
			made[word[:i]+word[i+1:i+2]+word[i:i+1]+word[i+2:]] = true
		}
	}
	for w := range made {
		if !near(word, w) || !near(w, word) {
			t.Errorf("%s", w)
		}
	}
	for _, w := range []string{"gatepos", "gateposts", "gattepost"} {
		if !made[w] && !near(word, w) {
			t.Errorf("%s", w)
		}
	}
	for _, w := range []string{"", "gate", "gtaepots", "gateppoost", "tagepost", "gatepostxy", "xateposx"} {
		if near(word, w) || near(w, word) {
			t.Errorf("%s is not near", w)
		}
	}
}

// FuzzLook: any host has an answer, a skeleton stays what it is, and what is genuine is taken for nothing.
func FuzzLook(f *testing.F) {
	for _, s := range []string{"examp1e.org", "xn--a.org", "a.b.c.d", "exam\u0440le.org", "-.-", "example.org.x.org"} {
		f.Add(s)
	}
	n := ours()
	f.Fuzz(func(t *testing.T, s string) {
		n.Look(s)
		once := Skeleton(s)
		if len(once) > 24*len(s)+24 {
			t.Errorf("%d octets of %d", len(once), len(s))
		}
		if m, ok := n.Look(s + ".example.org"); ok {
			t.Errorf("%q below ours is taken for %+v", s, m)
		}
	})
}

func BenchmarkLook(b *testing.B) {
	n := ours()
	b.ReportAllocs()
	for b.Loop() {
		n.Look("click.newsletter-service.example")
	}
}
