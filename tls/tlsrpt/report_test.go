package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files")

// sample is the report of RFC 8460 appendix B, as far as we write it.
func sample(t testing.TB) *Report {
	t.Helper()
	sts := Policy{Kind: STS, Strings: []string{"version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"}, Domain: "company-y.example", MXHost: []string{"*.mail.company-y.example"}}
	from := netip.MustParseAddr("2001:db8:abcd:0012::1")
	lines := []Line{
		{Policy: sts, Count: 5326},
		{Policy: sts, Count: 100, Failure: Failure{Result: Expired, SendingIP: from, MXHostname: "mx1.mail.company-y.example"}},
		{Policy: sts, Count: 200, Failure: Failure{Result: NoSTARTTLS, SendingIP: from, MXHostname: "mx2.mail.company-y.example", ReceivingIP: netip.MustParseAddr("203.0.113.56")}},
		{Policy: sts, Count: 3, Failure: Failure{Result: Validation, SendingIP: netip.MustParseAddr("198.51.100.62"), MXHostname: "mx-backup.mail.company-y.example", ReceivingIP: netip.MustParseAddr("203.0.113.58"), Code: "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}},
		{Policy: Policy{Kind: TLSA, Strings: []string{"3 1 1 1f850a337e6db9c609c522d136a475638cc43e1ed424f8eec8513d747d1d085d"}, Domain: "company-y.example"}, Count: 2},
		{Policy: Policy{Kind: NoPolicy, Domain: "company-y.example"}, Count: 1, Failure: Failure{Result: HostName, Code: "x509: <a> & \"b\""}},
	}
	for i := range lines {
		if !lines[i].Clean() {
			t.Fatalf("%+v", lines[i])
		}
	}
	start := time.Date(2016, 4, 1, 0, 0, 0, 0, time.UTC)
	return &Report{Organization: "Company-X", Contact: "sts-reporting@company-x.example", ID: "5065427c23d3", Range: DateRange{start, start.Add(24*time.Hour - time.Second)}, Policies: Aggregate(lines)}
}

// TestGolden: the document is octet for octet the one that was looked at beside RFC 8460 appendix B.
func TestGolden(t *testing.T) {
	got := sample(t).JSON()
	file := filepath.Join("testdata", "report.json")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n%s", err, got)
	}
	var back Report
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(&back, sample(t)) {
		t.Errorf("%v %+v", err, back)
	}
}

// random makes lines of a few policies and faults.
func random(r *rand.Rand, policies, faults int) (lines []Line) {
	for range r.IntN(3000) {
		l := Line{Count: 1 + r.Int64N(5)}
		l.Policy = Policy{Kind: []Kind{TLSA, STS, NoPolicy}[r.IntN(3)], Domain: "a.example"}
		if l.Policy.Kind != NoPolicy {
			l.Policy.Strings = []string{fmt.Sprint("policy ", r.IntN(policies))}
		}
		if r.IntN(2) == 0 {
			l.Failure = Failure{Result: []Result{Expired, HostName, Validation}[r.IntN(3)], MXHostname: fmt.Sprintf("mx%d.a.example", r.IntN(faults)), ReceivingIP: netip.AddrFrom4([4]byte{192, 0, 2, byte(r.IntN(faults))})}
		}
		lines = append(lines, l)
	}
	return lines
}

// TestSums: whatever comes in, each session is told once: in the sums of the kind of its policy, and where it failed in the
// details of its result. No bound loses one, and the order of what comes in does not matter.
func TestSums(t *testing.T) {
	type sum struct {
		kind   Kind
		result Result
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 8460))
		lines := random(r, 1+r.IntN(300), 1+r.IntN(2000))
		want, got := map[sum]int64{}, map[sum]int64{}
		for _, l := range lines {
			want[sum{l.Policy.Kind, l.Failure.Result}] += l.Count
		}
		out := Aggregate(lines)
		if len(out) > MaxPolicies+3 {
			t.Fatalf("%d policies", len(out))
		}
		for _, p := range out {
			got[sum{p.Policy.Kind, ""}] += p.Summary.Successful
			var failed int64
			for _, d := range p.Failures {
				got[sum{p.Policy.Kind, d.Result}] += d.Count
				failed += d.Count
			}
			if failed != p.Summary.Failed || len(p.Failures) > MaxDetails+11 {
				t.Errorf("seed %d: %d of %d in %d details", seed, failed, p.Summary.Failed, len(p.Failures))
			}
		}
		for k, n := range got {
			if n == 0 {
				delete(got, k)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d: %v, want %v", seed, got, want)
		}
		// As the counts of a day come in: in another order, and some of them in two.
		again := slices.Clone(lines)
		r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
		if !reflect.DeepEqual(Aggregate(merged(again)), Aggregate(merged(lines))) {
			t.Errorf("seed %d: another order is another report", seed)
		}
	}
}

// merged are lines as a store has them: none is there twice.
func merged(lines []Line) (out []Line) {
	at := map[string]int{}
	for _, l := range lines {
		text, err := json.Marshal(&l)
		if err != nil {
			panic(err)
		}
		if i, ok := at[string(text)]; ok {
			out[i].Count += l.Count
			continue
		}
		at[string(text)] = len(out)
		out = append(out, l)
	}
	return out
}

// TestClean: what strangers say is cut and cleaned, and what nobody can be told of is not counted.
func TestClean(t *testing.T) {
	for domain, ok := range map[string]bool{"A.Example.": true, "a": false, "": false, "192.0.2.1": false, "2001:db8::1": false, "a..b": false, "a b.example": false, "a!b.example": false, strings.Repeat("a.", 127) + "b": false} {
		l := Line{Policy: Policy{Kind: NoPolicy, Domain: domain}}
		if got := l.Clean(); got != ok {
			t.Errorf("%q: %v", domain, got)
		}
	}
	many := slices.Repeat([]string{strings.Repeat("x\r\n\xff", 1000)}, 1000)
	l := Line{Policy: Policy{Kind: STS, Domain: "a.example", Strings: many, MXHost: many}, Failure: Failure{Result: Validation, SendingIP: netip.MustParseAddr("::ffff:192.0.2.1"),
		ReceivingIP: netip.MustParseAddr("fe80::1%eth0"), MXHostname: strings.Repeat("M\n", 1000), Code: strings.Repeat("\x00", 1000)}}
	if !l.Clean() || len(l.Policy.Strings) != maxStrings || len(l.Policy.MXHost) != maxStrings || len(l.Policy.Strings[0]) != maxString || len(l.Failure.Code) != maxCode ||
		l.Failure.SendingIP.String() != "192.0.2.1" || l.Failure.ReceivingIP.String() != "fe80::1" {
		t.Errorf("%+v", l)
	}
	if text, err := json.Marshal(&l); err != nil || strings.ContainsFunc(string(text), func(c rune) bool { return c < ' ' || c > '~' }) {
		t.Errorf("%v %s", err, text)
	}
	fine := Line{Policy: Policy{Kind: NoPolicy, Domain: "a.example"}, Failure: Failure{MXHostname: "mx.a.example", Code: "x"}}
	if !fine.Clean() || fine.Failure != (Failure{}) {
		t.Errorf("a session that did not fail has no details: %+v", fine)
	}
}

// TestMail: the mail is one that the standard library reads, its fields and its file's name are by RFC 8460 sections 5.1 and
// 5.3, and the report is in it.
func TestMail(t *testing.T) {
	r := sample(t)
	m := &Mail{From: "tls@reports.company-x.example", To: "d@company-y.example", Sender: "mx.company-x.example", Date: time.Date(2016, 4, 2, 1, 2, 3, 0, time.UTC), Note: "3 more sessions found no room in it.", Packed: Gzip(r.JSON())}
	raw := m.Write(r)
	for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
		if len(line) > 120 || bytes.ContainsAny(line, "\r\n") || bytes.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.Errorf("line %q", line)
		}
	}
	read, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	subject := regexp.MustCompile(`^Report Domain: company-y\.example\s+Submitter: mx\.company-x\.example\s+Report-ID: <5065427c23d3@reports\.company-x\.example>$`)
	if !subject.MatchString(read.Header.Get("Subject")) {
		t.Errorf("%q", read.Header.Get("Subject"))
	}
	for name, want := range map[string]string{"TLS-Report-Domain": "company-y.example", "TLS-Report-Submitter": "mx.company-x.example", "TLS-Required": "No",
		"Auto-Submitted": "auto-generated", "From": "<tls@reports.company-x.example>", "To": "<d@company-y.example>", "Message-ID": "<5065427c23d3@reports.company-x.example>"} {
		if got := read.Header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	kind, params, err := mime.ParseMediaType(read.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
		t.Fatalf("%s %v %v", kind, params, err)
	}
	parts := multipart.NewReader(read.Body, params["boundary"])
	first, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(first.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%v %v", first, err)
	}
	if text, err := io.ReadAll(first); err != nil || !strings.Contains(string(text), m.Note) {
		t.Errorf("%v %s", err, text)
	}
	second, err := parts.NextPart()
	if err != nil || !strings.HasPrefix(second.Header.Get("Content-Type"), MediaType) || second.FileName() != "mx.company-x.example!company-y.example!1459468800!1459555199!5065427c23d3.json.gz" {
		t.Fatalf("%v %v", second, err)
	}
	unpacked, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, second))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(got, r.JSON()) {
		t.Errorf("%v\n%s", err, got)
	}
	if again := m.Write(r); !bytes.Equal(again, raw) || !bytes.Equal(Gzip(r.JSON()), m.Packed) {
		t.Error("sent again it is another mail")
	}
}
