package dmarcreport

import (
	"bytes"
	"encoding/xml"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample is a report with something in every place.
func sample(t testing.TB) *Feedback {
	p, ok := ParsePublished("example.com", "treewalk", "v=DMARC1; p=quarantine; sp=none; t=y; adkim=s; pct=50; fo=1:d; rua=mailto:d@example.com")
	if !ok {
		t.Fatal("the record is none")
	}
	day := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	return &Feedback{Org: "Sample & Sons", Email: "dmarc-reports@mx.example.org", Contact: "+49 30 1234567", ID: "k5b2example",
		Begin: day, End: day.AddDate(0, 0, 1).Add(-time.Second), Errors: []string{"one", "two"}, Generator: "Gatepost test", Policy: p,
		Records: []Record{
			{Source: netip.MustParseAddr("192.0.2.123"), Disposition: "pass", DKIM: true, HeaderFrom: "example.com", EnvelopeFrom: "bounce.example.com",
				Signatures: []Signature{{"example.com", "abc123", "pass"}, {"list.example.net", "", "permerror"}},
				Checked:    SPFResult{Domain: "bounce.example.com", Result: "softfail"}, Count: 123},
			{Source: netip.MustParseAddr("2001:db8::1"), Disposition: "quarantine", HeaderFrom: "sub.example.com", Count: 1,
				Checked: SPFResult{Domain: "mail.example.net", Helo: true, Result: "policy"}},
			{Source: netip.MustParseAddr("::ffff:198.51.100.7"), Disposition: "none", HeaderFrom: "example.com", EnvelopeFrom: "example.net", Count: 2,
				Reasons: []Reason{{Type: "mailing_list", Comment: "List-Id <a.example.net>"}, {Type: "policy_test_mode"}, {Type: "forwarded"}}},
		}}
}

// valid holds a report against the schema of its RFC.
func valid(t *testing.T, report []byte, f Format) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.xml")
	if err := os.WriteFile(file, report, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("xmllint", "--nonet", "--noout", "--schema", "testdata/rfc"+f.String()+".xsd", file).CombinedOutput()
	if err != nil {
		t.Errorf("xmllint: %v\n%s\n%s", err, out, report)
	}
}

// TestGolden: the reports are those of testdata, and valid by the schemas of the RFCs. The sample of RFC 9990 itself shows
// that the schema is read as it is meant.
func TestGolden(t *testing.T) {
	for _, f := range []Format{RFC9990, RFC7489} {
		got := sample(t).XML(f)
		want, err := os.ReadFile("testdata/golden-" + f.String() + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", f, got, want)
		}
		valid(t, got, f)
	}
	rfc, err := os.ReadFile("testdata/rfc9990-sample.xml")
	if err != nil {
		t.Fatal(err)
	}
	valid(t, rfc, RFC9990)
}

// read is a report as a reader of either format sees it.
type read struct {
	XMLName  xml.Name
	Metadata struct {
		Org   string `xml:"org_name"`
		ID    string `xml:"report_id"`
		Begin int64  `xml:"date_range>begin"`
		End   int64  `xml:"date_range>end"`
	} `xml:"report_metadata"`
	Policy struct {
		Domain string `xml:"domain"`
		P      string `xml:"p"`
		Pct    string `xml:"pct"`
		Method string `xml:"discovery_method"`
	} `xml:"policy_published"`
	Records []struct {
		Source      netip.Addr `xml:"row>source_ip"`
		Count       int64      `xml:"row>count"`
		Disposition string     `xml:"row>policy_evaluated>disposition"`
		DKIM        string     `xml:"row>policy_evaluated>dkim"`
		Reasons     []struct {
			Type    string `xml:"type"`
			Comment string `xml:"comment"`
		} `xml:"row>policy_evaluated>reason"`
		HeaderFrom string `xml:"identifiers>header_from"`
		Signatures []struct {
			Domain   string `xml:"domain"`
			Selector string `xml:"selector"`
			Result   string `xml:"result"`
		} `xml:"auth_results>dkim"`
		SPF []struct {
			Scope  string `xml:"scope"`
			Result string `xml:"result"`
		} `xml:"auth_results>spf"`
	} `xml:"record"`
}

// TestReadBack: what is written is what was meant.
func TestReadBack(t *testing.T) {
	for _, f := range []Format{RFC9990, RFC7489} {
		in := sample(t)
		var out read
		if err := xml.Unmarshal(in.XML(f), &out); err != nil {
			t.Fatal(err)
		}
		if out.Metadata.Org != in.Org || out.Metadata.ID != in.ID || out.Metadata.Begin != in.Begin.Unix() || out.Metadata.End-out.Metadata.Begin != 86399 ||
			out.Policy.P != "quarantine" || len(out.Records) != len(in.Records) {
			t.Errorf("%s: %+v", f, out)
		}
		if (out.XMLName.Space == Namespace) != (f == RFC9990) || (out.Policy.Pct == "50") != (f == RFC7489) || (out.Policy.Method == "treewalk") != (f == RFC9990) {
			t.Errorf("%s: %+v", f, out)
		}
		for i, r := range out.Records {
			w := in.Records[i]
			if r.Source != w.Source.Unmap() || r.Count != w.Count || r.HeaderFrom != w.HeaderFrom || len(r.Signatures) != len(w.Signatures) || len(r.Reasons) != len(w.Reasons) {
				t.Errorf("%s: %+v", f, r)
			}
			for k := range r.Signatures {
				if r.Signatures[k] != (struct {
					Domain   string `xml:"domain"`
					Selector string `xml:"selector"`
					Result   string `xml:"result"`
				})(w.Signatures[k]) {
					t.Errorf("%s: %+v", f, r)
				}
			}
		}
	}
}

// TestHostileValues: nothing that a sender or a record brings makes a report that is no XML or not valid, or a huge one.
func TestHostileValues(t *testing.T) {
	for _, text := range []string{"</feedback>", "<![CDATA[", "&amp;&lt;&#0;", "\x00\x01\x1b[31m", "\xff\xfe", "\ufffe\uffff", "a\r\nb", "\u202egro.elpmaxe", strings.Repeat("ä", 100000), "]]>", ""} {
		for _, format := range []Format{RFC9990, RFC7489} {
			f := &Feedback{Org: text, Email: text, Contact: text, ID: text, Errors: []string{text, text}, Generator: text,
				Policy: Published{Domain: text, Method: text, P: text, SP: text, NP: text, ADKIM: text, ASPF: text, FO: text},
				Records: []Record{{Disposition: text, Reasons: []Reason{{text, text}, {text, ""}, {}, {}, {}, {}, {}}, HeaderFrom: text, EnvelopeFrom: text,
					Signatures: []Signature{{text, text, text}}, Checked: SPFResult{Domain: text, Result: text}}}}
			out := f.XML(format)
			if len(out) > 20000 {
				t.Errorf("%.20q: %d octets", text, len(out))
			}
			f.Records[0].Source = netip.MustParseAddr("192.0.2.1")
			valid(t, f.XML(format), format)
		}
	}
}

// TestManySignatures: of a message with thousands of them the first ones are told.
func TestManySignatures(t *testing.T) {
	f := sample(t)
	f.Records[0].Signatures = make([]Signature, 5000)
	if n := bytes.Count(f.XML(RFC9990), []byte("<selector>")); n != MaxSignatures {
		t.Errorf("%d signatures", n)
	}
}

func TestParsePublished(t *testing.T) {
	for _, c := range []struct {
		record string
		ok     bool
		want   Published
	}{
		{"v=DMARC1", true, Published{P: "none", SP: "none", NP: "none", ADKIM: "r", ASPF: "r", FO: "0", Pct: 100}},
		{"v = DMARC1 ; p = Reject; RUA=mailto:a@b.example ;", true,
			Published{P: "reject", SP: "reject", NP: "reject", ADKIM: "r", ASPF: "r", FO: "0", Pct: 100, RUA: "mailto:a@b.example"}},
		{"v=DMARC1;p=none;sp=reject;np=odd;t=y;pct=7;adkim=s;aspf=x;fo=1:s", true,
			Published{P: "none", SP: "reject", NP: "reject", ADKIM: "s", ASPF: "r", FO: "1:s", Pct: 7, Testing: true}},
		{"v=DMARC1;p=none;p=reject;pct=101;fo=9", true, Published{P: "none", SP: "none", NP: "none", ADKIM: "r", ASPF: "r", FO: "0", Pct: 100}},
		{"v=dmarc1;p=none", false, Published{}},
		{"p=none;v=DMARC1", false, Published{}},
		{"v=DMARC1;junk", false, Published{}},
		{"v=DMARC1" + strings.Repeat(";a=b", 100), false, Published{}},
		{"", false, Published{}},
	} {
		c.want.Domain, c.want.Method = "d.example", "psl"
		if !c.ok {
			c.want = Published{}
		}
		if got, ok := ParsePublished("d.example", "psl", c.record); ok != c.ok || got != c.want {
			t.Errorf("%q:\n%+v %v\n%+v", c.record, got, ok, c.want)
		}
	}
}

// FuzzFeedback: whatever a record and a sender bring, the report is well-formed XML in UTF-8 with one line for each that was
// counted, and not longer than its bounds.
func FuzzFeedback(f *testing.F) {
	f.Add("v=DMARC1; p=none; rua=mailto:a@b.example", "a.example", "s1", "pass")
	f.Add("v=DMARC1;p=<;fo=1:</feedback>", "\xff\x00]]>", "&#0;", "\ufffe")
	f.Fuzz(func(t *testing.T, record, domain, selector, result string) {
		p, _ := ParsePublished(domain, result, record)
		in := &Feedback{Org: selector, ID: "x", Errors: []string{record}, Policy: p, Records: []Record{
			{Disposition: result, Reasons: []Reason{{result, selector}}, HeaderFrom: domain, EnvelopeFrom: record, Signatures: []Signature{{domain, selector, result}},
				Checked: SPFResult{domain, false, result}, Count: 1}, {HeaderFrom: domain, Count: 2}}}
		for _, format := range []Format{RFC9990, RFC7489} {
			text := in.XML(format)
			var out read
			if !utf8.Valid(text) || len(text) > 20000 {
				t.Errorf("%d octets, valid %v", len(text), utf8.Valid(text))
			}
			// netip.Addr of the reader takes no "invalid IP".
			text = bytes.ReplaceAll(text, []byte("invalid IP"), []byte("192.0.2.1"))
			if err := xml.Unmarshal(text, &out); err != nil || len(out.Records) != 2 || out.Records[1].Count != 2 {
				t.Errorf("%v\n%s", err, text)
			}
		}
	})
}
