package accept

import (
	"bytes"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// mappedDomains is a policy in which old.example and an IDN stand for new.example, in headers too, and plain.example in the
// envelope alone.
func mappedDomains() *gateway.Policy {
	d := &gateway.Domain{Name: "new.example", Route: "in"}
	p := &gateway.Policy{Domains: map[string]*gateway.Domain{}, Routing: &gateway.Routing{Maps: map[string]gateway.Mapping{
		"old.example":           {Domain: "new.example", Header: "new.example"},
		"xn--bcher-kva.example": {Domain: "new.example", Header: "new.example"},
		"s.ex":                  {Domain: "new.example", Header: "new.example"},
		"plain.example":         {Domain: "new.example"}},
		Aliases: map[string]*gateway.Way{"sales@old.example": {To: []gateway.Address{{Text: "b@new.example", Local: "b", Domain: "new.example"}}, Route: "in"}}}}
	for _, name := range []string{"new.example", "old.example", "plain.example", "xn--bcher-kva.example", "s.ex"} {
		p.Domains[name] = d
	}
	return p
}

// rewritten is a message as it goes out, without the fields that we add, for recipients of the domains.
func rewritten(t testing.TB, in string, domains ...string) (string, Fields) {
	e := envelope(nil, in)
	p := mappedDomains()
	e.Session.Snapshot.Policy, e.Rcpts = p, nil
	for _, d := range domains {
		r := gateway.Recipient{Address: gateway.Address{Text: "ann@" + d, Local: "ann", Domain: d}, Reply: gateway.Reply{Code: 250}}
		r.To = p.Destination(r.Address).To
		e.Rcpts = append(e.Rcpts, r)
	}
	f := Compose(e, &gateway.Verdict{}, time.Unix(0, 0))
	c := f.Content(e)
	out, err := io.ReadAll(io.MultiReader(c.Parts...))
	if err != nil || int64(len(out)) != c.Size {
		t.Fatalf("%d octets, said %d, %v", len(out), c.Size, err)
	}
	if head := f.header(e.Header); !bytes.HasPrefix(out, head) {
		t.Fatalf("what is sealed is not what goes out:\n%q\n%q", head, out)
	}
	return string(out[len(f.Added):]), f
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ name, in, want, edits string }{
		{"alone", "To: ann@old.example\r\n", "To: ann@new.example\r\n", "To: old.example to new.example"},
		{"angle", "cc:Ann <ann@OLD.example>\r\n", "cc:Ann <ann@new.example>\r\n", "cc: old.example to new.example"},
		{"many, folded", "To: Ann <ann@old.example>,\r\n\tbob@other.example,\r\n <carl@old.example>\r\n", "To: Ann <ann@new.example>,\r\n\tbob@other.example,\r\n <carl@new.example>\r\n", "To: old.example to new.example"},
		{"display name that is an address", "To: \"ann@old.example\" <ann@old.example>, bob@old.example <x@other.example>\r\n", "To: \"ann@old.example\" <ann@new.example>, bob@old.example <x@other.example>\r\n", "To: old.example to new.example"},
		{"comments", "To: (a@old.example (b@old.example \\) )) ann@old.example (c@old.example)\r\n", "To: (a@old.example (b@old.example \\) )) ann@new.example (c@old.example)\r\n", "To: old.example to new.example"},
		{"quoted local part", "To: \"a \\\"b, c@old.example\"@old.example\r\n", "To: \"a \\\"b, c@old.example\"@new.example\r\n", "To: old.example to new.example"},
		{"group", "To: all@old.example: ann@old.example, <bob@old.example>;, x@old.example\r\n", "To: all@old.example: ann@new.example, <bob@new.example>;, x@new.example\r\n", "To: old.example to new.example"},
		{"source route", "To: <@a.example,@old.example:ann@old.example>\r\n", "To: <@a.example,@old.example:ann@new.example>\r\n", "To: old.example to new.example"},
		{"encoded word", "To: =?utf-8?Q?a@old.example?= <a@old.example>, =?utf-8?q?b@old.example?=\r\n", "To: =?utf-8?Q?a@old.example?= <a@new.example>, =?utf-8?q?b@old.example?=\r\n", "To: old.example to new.example"},
		{"U-label", "To: ann@Bücher.example\r\n", "To: ann@new.example\r\n", "To: xn--bcher-kva.example to new.example"},
		{"alias", "To: sales@old.example, Sales@old.example\r\n", "", ""},
		{"envelope only", "To: ann@plain.example\r\n", "", ""},
		{"below", "To: ann@mail.old.example, ann@old.example.org, ann@xold.example\r\n", "", ""},
		{"From and others", "From: ann@old.example\r\nReply-To: ann@old.example\r\nSender: ann@old.example\r\nBcc: ann@old.example\r\nX-To: ann@old.example\r\nResent-To: ann@old.example\r\n", "", ""},
		{"no address", "To: @old.example, ann@ old.example, ann @old.example, a@b@old.example, \"a\"b@old.example\r\n", "", ""},
		{"no end", "To: ann@old.example, (bob@old.example\r\n", "", ""},
		{"no quote", "To: ann@old.example, \"bob@old.example\r\n", "", ""},
		{"angle that stays open", "To: <ann@old.example\r\n", "", ""},
		{"literal", "To: ann@[old.example], ann@[192.0.2.1]\r\n", "", ""},
		{"long line", "To: " + strings.Repeat("a", 985) + "@s.ex\r\n", "", "To not rewritten: a line would become too long"},
		{"line that was too long", "To: " + strings.Repeat("a", 1000) + "@old.example\r\n", "To: " + strings.Repeat("a", 1000) + "@new.example\r\n", "To: old.example to new.example"},
		{"malformed field", "To ann@old.example\r\n", "", ""},
		{"behind a removed field", "X-Spam-Flag: NO\r\nTo: ann@old.example\r\nSubject: x\r\n", "To: ann@new.example\r\nSubject: x\r\n", "To: old.example to new.example"},
		{"8 bit", "To: \xff\xe4 <ann@old.example>\r\n", "To: \xff\xe4 <ann@new.example>\r\n", "To: old.example to new.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.in
			}
			body := "\r\nTo: ann@old.example\r\n"
			got, f := rewritten(t, c.in+body, "old.example", "xn--bcher-kva.example", "plain.example", "new.example", "s.ex")
			if got != c.want+body || strings.Join(f.Edits, "; ") != c.edits {
				t.Errorf("got  %q %q\nwant %q %q", got, f.Edits, c.want+body, c.edits)
			}
		})
	}
}

// TestRewriteOnlyForThoseWhoCame shows that a message is left alone whose recipients did not come by the domain.
func TestRewriteOnlyForThoseWhoCame(t *testing.T) {
	in := "To: ann@old.example\r\nCc: bob@xn--bcher-kva.example\r\n\r\n"
	for domains, want := range map[string]string{"new.example plain.example": in, "": in,
		"old.example":           strings.Replace(in, "old", "new", 1),
		"xn--bcher-kva.example": strings.Replace(in, "xn--bcher-kva", "new", 1)} {
		if got, f := rewritten(t, in, strings.Fields(domains)...); got != want || (len(f.Edits) > 0) != (got != in) {
			t.Errorf("%s: %q, %q", domains, got, f.Edits)
		}
	}
}

// TestRewriteIsBounded shows that a message of very many fields and addresses costs no more than its size.
func TestRewriteIsBounded(t *testing.T) {
	got, f := rewritten(t, strings.Repeat("To: a@old.example\r\n", 9000)+"\r\n", "old.example")
	if n := strings.Count(got, "a@new.example"); n != maxRewritten || f.Edits[len(f.Edits)-1] != "more To and Cc than are rewritten" {
		t.Errorf("%d are rewritten, %q", n, f.Edits[len(f.Edits)-1])
	}
	got, f = rewritten(t, "To: "+strings.Repeat("a@old.example,\r\n ", 12000)+"a@old.example\r\n\r\n", "old.example")
	if n := strings.Count(got, "a@new.example"); n != 12001 || len(f.Edits) != 1 || len(f.kept) > 3 {
		t.Errorf("%d are rewritten, %q, in %d pieces", n, f.Edits, len(f.kept))
	}
}

// FuzzReplaceDomains holds any list against net/mail: what it can read reads the same behind us, but for the domain, and
// every octet outside of the domains is where it was.
func FuzzReplaceDomains(f *testing.F) {
	for _, seed := range []string{" Ann <ann@old.example>, b@old.example", " g: a@old.example, <b@old.example>;", " \"a@old.example\" <x@old.example>", "(c@old.example) a@old.example",
		" <@a,@b:c@old.example>", " \"q\\\"\"@old.example", " =?utf-8?q?a@old.example?= <b@old.example>", " a@old.example <b@other.example>", "a@[old.example]", " \xff <a@old.example>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		other := func(_, domain string) (string, string) {
			if strings.EqualFold(domain, "old.example") {
				return "old.example", "<NEW>"
			}
			return "", ""
		}
		out, told := replaceDomains([]byte(in), other)
		if len(told) == 0 {
			if out != "" {
				t.Fatalf("%q is changed, and nothing told", out)
			}
			return
		}
		parts := strings.Split(out, "<NEW>")
		rest := in
		for i, part := range parts {
			after, ok := strings.CutPrefix(rest, part)
			if !ok && !strings.Contains(in, "<NEW>") {
				t.Fatalf("%q became %q", in, out)
			}
			if rest = after; i < len(parts)-1 {
				rest = rest[min(len("old.example"), len(rest)):]
			}
		}
		before, err := mail.ParseAddressList(in)
		if err != nil {
			return
		}
		after, err := mail.ParseAddressList(strings.ReplaceAll(out, "<NEW>", "new.example"))
		if err != nil || len(after) != len(before) {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		changed := 0
		for i := range before {
			local, domain, _ := cutLast(before[i].Address)
			if strings.EqualFold(domain, "old.example") && after[i].Address == local+"@new.example" {
				changed++
			} else if after[i].Address != before[i].Address {
				t.Fatalf("%q became %q: %v", in, out, after[i])
			}
			if after[i].Name != before[i].Name {
				t.Fatalf("%q became %q: the name %q", in, out, after[i].Name)
			}
		}
		if changed == 0 {
			t.Fatalf("%q became %q, and no address is another", in, out)
		}
	})
}

func cutLast(address string) (local, domain string, ok bool) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return "", address, false
	}
	return address[:i], address[i+1:], true
}

// BenchmarkRewrite is what the rewriting costs a message beside none.
func BenchmarkRewrite(b *testing.B) {
	in := "From: a@b.example\r\nTo: Ann <ann@old.example>, bob@other.example\r\nSubject: x\r\nDate: x\r\n\r\nbody"
	for _, domain := range []string{"new.example", "old.example"} {
		b.Run(fmt.Sprint(domain), func(b *testing.B) {
			e := envelope(nil, in)
			p := mappedDomains()
			e.Session.Snapshot.Policy = p
			e.Rcpts = slices.Clone(e.Rcpts[:1])
			e.Rcpts[0].Address = gateway.Address{Text: "ann@" + domain, Local: "ann", Domain: domain}
			e.Rcpts[0].To = p.Destination(e.Rcpts[0].Address).To
			b.ReportAllocs()
			for b.Loop() {
				Compose(e, &gateway.Verdict{}, time.Time{})
			}
		})
	}
}
