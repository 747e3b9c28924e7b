package accept

import (
	"io"
	"mime"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// compose returns what goes out of a message under a tag, without our other fields.
func compose(t *testing.T, in string, tag gateway.SubjectTag, o gateway.Outcome) (out string, f Fields) {
	t.Helper()
	e := envelope(nil, in)
	e.Session.Snapshot.Tag = tag
	f = Compose(e, &gateway.Verdict{Decision: gateway.Decision{Outcome: o}}, time.Unix(0, 0))
	c := f.Content(e)
	b, err := io.ReadAll(io.MultiReader(c.Parts...))
	if err != nil || int64(len(b)) != c.Size {
		t.Fatalf("%d octets, said %d, %v", len(b), c.Size, err)
	}
	_, kept, _ := strings.Cut(string(b), "X-Spam-Status: ")
	at := strings.Index(kept, "Received: ")
	kept = kept[at:]
	_, kept, _ = strings.Cut(kept, "\r\n\tThu, 01 Jan 1970 ")
	_, kept, _ = strings.Cut(kept, "\r\n")
	return kept, f
}

func TestTagSubject(t *testing.T) {
	long := strings.Repeat("very ", 20) + "long"
	tests := []struct{ name, tag, in, want string }{
		{"plain", "[SPAM] ", "Subject: hello\r\n", "Subject: [SPAM] hello\r\n"},
		{"without a space behind the tag", "[SPAM]", "Subject: hello\r\n", "Subject: [SPAM] hello\r\n"},
		{"without a space behind the colon", "[SPAM] ", "Subject:hello\r\n", "Subject: [SPAM] hello\r\n"},
		{"odd case, space before the colon", "[SPAM] ", "sUBJECT : hello\r\n", "sUBJECT : [SPAM] hello\r\n"},
		{"among others", "[SPAM] ", "From: a\r\nSubject: hello\r\nTo: b\r\n", "From: a\r\nSubject: [SPAM] hello\r\nTo: b\r\n"},
		{"folded", "[SPAM] ", "Subject: hello\r\n  and more\r\n", "Subject: [SPAM] hello\r\n  and more\r\n"},
		{"folded at once", "[SPAM] ", "Subject:\r\n hello\r\n", "Subject: [SPAM]\r\n hello\r\n"},
		{"long", "[SPAM] ", "Subject: " + long + "\r\n", "Subject: [SPAM]\r\n  " + long + "\r\n"},
		{"empty", "[SPAM] ", "Subject:\r\n", "Subject: [SPAM]\r\n"},
		{"empty with a space", "[SPAM] ", "Subject: \r\n", "Subject: [SPAM] \r\n"},
		{"encoded word", "[SPAM] ", "Subject: =?utf-8?Q?h=C3=A4?=\r\n", "Subject: [SPAM] =?utf-8?Q?h=C3=A4?=\r\n"},
		{"8 bit", "[SPAM] ", "Subject: h\xe4llo \xff\r\n", "Subject: [SPAM] h\xe4llo \xff\r\n"},
		{"tagged before", "[SPAM] ", "Subject: [SPAM] hello\r\n", "Subject: [SPAM] hello\r\n"},
		{"two", "[SPAM] ", "Subject: one\r\nX: y\r\nSubject: two\r\n", "Subject: [SPAM] one\r\nX: y\r\nSubject: [SPAM] two\r\n"},
		{"behind a removed field", "[SPAM] ", "X-Spam-Flag: NO\r\nSubject: hello\r\n", "Subject: [SPAM] hello\r\n"},
		{"tag beyond US-ASCII", "[Müll] ", "Subject: hello\r\n", "Subject: =?utf-8?b?W03DvGxsXQ==?= hello\r\n"},
		{"and an encoded word behind it", "[Müll] ", "Subject: =?utf-8?Q?h=C3=A4?=\r\n", "Subject: =?utf-8?b?W03DvGxsXSA=?= =?utf-8?Q?h=C3=A4?=\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := "\r\nSubject: of the body\r\n"
			got, f := compose(t, tt.in+body, gateway.SubjectTag{Text: tt.tag}, gateway.Tag)
			if got != tt.want+body {
				t.Errorf("got  %q\nwant %q", got, tt.want+body)
			}
			if changed := strings.Contains(strings.Join(f.Edits, ","), "subject"); changed != (tt.name != "tagged before") {
				t.Errorf("told as %q", f.Edits)
			}
		})
	}
}

// TestTagIsShown reads the subject as a mail client does.
func TestTagIsShown(t *testing.T) {
	for tag, want := range map[string]string{"[SPAM] ": "[SPAM] hä", "[Müll] ": "[Müll] hä", "【迷惑】": "【迷惑】 hä"} {
		out, _ := compose(t, "Subject: =?utf-8?Q?h=C3=A4?=\r\n\r\n", gateway.SubjectTag{Text: tag}, gateway.Tag)
		h := gateway.ParseHeader([]byte(out))
		got, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		if err != nil || got != want {
			t.Errorf("%q reads as %q, %v", h.Get("Subject"), got, err)
		}
	}
}

func TestMissingSubjectIsAdded(t *testing.T) {
	_, f := compose(t, "From: a\r\n\r\n", gateway.SubjectTag{Text: "[SPAM] "}, gateway.Quarantine)
	if h := gateway.ParseHeader(f.Added); h.Get("Subject") != "[SPAM]" || h.Count("Subject") != 1 {
		t.Errorf("%s", f.Added)
	}
}

func TestWhoseSubjectIsTagged(t *testing.T) {
	tag, plain := gateway.SubjectTag{Text: "[SPAM] "}, "Subject: hello\r\n\r\n"
	signed := "DKIM-signature: v=1\r\n" + plain
	sealed := "ARC-Message-Signature: i=1\r\n" + plain
	tests := []struct {
		in     string
		tag    gateway.SubjectTag
		o      gateway.Outcome
		tagged bool
	}{
		{plain, tag, gateway.Accept, false},
		{plain, tag, gateway.Tag, true},
		{plain, tag, gateway.Quarantine, true},
		{plain, gateway.SubjectTag{}, gateway.Tag, false},
		{plain, gateway.SubjectTag{Text: "  "}, gateway.Tag, false},
		{signed, tag, gateway.Tag, false},
		{sealed, tag, gateway.Tag, false},
		{signed, gateway.SubjectTag{Text: "[SPAM]", Signed: true}, gateway.Tag, true},
	}
	for _, tt := range tests {
		out, f := compose(t, tt.in, tt.tag, tt.o)
		if strings.Contains(out, "[SPAM]") != tt.tagged || (len(f.Edits) > 0) != tt.tagged {
			t.Errorf("%q under %+v and %s: %q, told as %q", tt.in, tt.tag, tt.o, out, f.Edits)
		}
	}
}

// TestUnknownIsNoSpam: mail that is marked because a scanner did not answer is not told to be spam.
func TestUnknownIsNoSpam(t *testing.T) {
	failed := gateway.CouldNotTell(gateway.ScannerFailed)
	failed.Check = "spamassassin"
	seen := gateway.Failed(gateway.DMARCUnasked, "a.example")
	seen.Check = "dmarc"
	for name, tt := range map[string]struct {
		by     gateway.Decision
		score  float64
		tagged bool
	}{
		"could not tell":                       {gateway.Decision{Outcome: gateway.Tag, Check: "spamassassin", Reason: gateway.ScannerFailed}, 4.9, false},
		"could not tell, and enough points":    {gateway.Decision{Outcome: gateway.Tag, Check: "spamassassin", Reason: gateway.ScannerFailed}, 5, true},
		"could not tell, and so quarantined":   {gateway.Decision{Outcome: gateway.Quarantine, Check: "spamassassin", Reason: gateway.ScannerFailed}, 0, false},
		"seen, and something could not tell":   {gateway.Decision{Outcome: gateway.Tag, Check: "dmarc", Reason: gateway.DMARCUnasked}, 0, true},
		"points, and something could not tell": {gateway.Decision{Outcome: gateway.Tag, Reason: gateway.SpamScore}, 6, true},
	} {
		e := envelope(nil, message)
		e.Session.Snapshot.Tag.Text = "[SPAM]"
		e.Findings = []gateway.Finding{failed, seen}
		f := Compose(e, &gateway.Verdict{Decision: tt.by, Score: tt.score}, time.Unix(0, 0))
		if tagged := len(f.Edits) > 0; tagged != tt.tagged {
			t.Errorf("%s: tagged is %t", name, tagged)
		}
	}
}

// TestUneditedSubject: where one copy is for a domain that wants none changed, no subject is tagged.
func TestUneditedSubject(t *testing.T) {
	for _, whole := range []bool{false, true} {
		e := envelope(nil, "Subject: hello\r\n\r\nbody")
		e.Session.Snapshot.Tag = gateway.SubjectTag{Text: "[SPAM]"}
		e.Session.Snapshot.Policy = &gateway.Policy{Domains: map[string]*gateway.Domain{"whole.example": {Name: "whole.example", Unedited: whole}}}
		e.Rcpts = []gateway.Recipient{{Address: gateway.Address{Text: "a@whole.example", Local: "a", Domain: "whole.example"}, Reply: gateway.Reply{Code: 250}}}
		f := Compose(e, &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Tag}}, time.Unix(0, 0))
		if tagged := len(f.Edits) > 0; tagged == whole {
			t.Errorf("whole %t: %q", whole, f.Edits)
		}
	}
}

// FuzzTagSubject shows that a tag changes nothing but subjects, and that no field appears or vanishes.
func FuzzTagSubject(f *testing.F) {
	f.Add("Subject: a\r\n b\r\n\r\nbody", "[SPAM]")
	f.Add("subject \r\n : \r\n\t=?utf-8?q?x?=\r\nX-Spam-Flag: y\r\nSubject:", "Müll")
	f.Fuzz(func(t *testing.T, in, tag string) {
		if strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(tag) > 40 || strings.TrimSpace(tag) == "" {
			return // the configuration refuses it
		}
		e, plain := envelope(nil, in), envelope(nil, in)
		v := &gateway.Verdict{Decision: gateway.Decision{Outcome: gateway.Tag}}
		want := Compose(plain, v, time.Unix(0, 0))
		e.Session.Snapshot.Tag = gateway.SubjectTag{Text: tag, Signed: true}
		got := Compose(e, v, time.Unix(0, 0))
		read := func(f Fields, e *gateway.Envelope) []byte {
			c := f.Content(e)
			b, err := io.ReadAll(io.MultiReader(c.Parts...))
			if err != nil || int64(len(b)) != c.Size {
				t.Fatalf("%d octets, said %d, %v", len(b), c.Size, err)
			}
			return b
		}
		a, b := gateway.ParseHeader(read(want, plain)), gateway.ParseHeader(read(got, e))
		if a.Count("Subject") == 0 {
			return
		}
		if len(a.Fields) != len(b.Fields) || a.Malformed != b.Malformed {
			t.Fatalf("%d fields became %d:\n%q\n%q", len(a.Fields), len(b.Fields), a.Raw, b.Raw)
		}
		for i := range a.Fields {
			if va, vb := a.Value(a.Fields[i]), b.Value(b.Fields[i]); va != vb && !strings.EqualFold(a.Fields[i].Name, "Subject") {
				t.Fatalf("%q became %q", va, vb)
			}
		}
	})
}
