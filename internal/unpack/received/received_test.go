package received

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"gatepost/internal/dmarcreport"
	"gatepost/internal/unpack"
	"gatepost/tls/tlsrpt"
)

// gz is a packer of the test: the formats of reports lie in others.
type gz struct{}

func (gz) Name() string                             { return "gz" }
func (gz) Match(head []byte, _ unpack.Content) bool { return bytes.HasPrefix(head, []byte("\x1f\x8b")) }
func (gz) Open(w *unpack.Walk, at int, c unpack.Content) error {
	r, err := gzip.NewReader(bytes.NewReader(c.Bytes()))
	if err != nil {
		return err
	}
	return w.Enter(at, unpack.Entry{Name: r.Name, Size: -1}, r)
}

func open(t *testing.T, content []byte) unpack.Report {
	t.Helper()
	w := unpack.NewWalk(context.Background(), unpack.Limits{Entries: 10, Depth: 4, Octets: 8 << 20, Object: 8 << 20}, func([]byte) string { return "" }, append(Formats(), gz{}))
	if err := w.Item(unpack.Item{Name: "report"}, content); err != nil && !errors.Is(err, unpack.ErrLimit) {
		t.Fatal(err)
	}
	return w.Report()
}

func packed(content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(content)
	_ = z.Close()
	return b.Bytes()
}

// TestReports: both kinds are read out of what packs them, and nothing else is.
func TestReports(t *testing.T) {
	feedback := (&dmarcreport.Feedback{Org: "r.example", ID: "1", Policy: dmarcreport.Published{Domain: "example.org"}}).XML(dmarcreport.RFC7489)
	about := (&tlsrpt.Report{Organization: "s.example", ID: "2", Policies: []tlsrpt.PolicyReport{{Policy: tlsrpt.Policy{Kind: tlsrpt.STS, Domain: "example.org"}}}}).JSON()
	for name, c := range map[string]struct {
		content []byte
		format  string
		broken  bool
	}{
		"DMARC":             {feedback, DMARC, false},
		"DMARC packed":      {packed(feedback), DMARC, false},
		"with a mark":       {append([]byte("\xef\xbb\xbf\r\n"), feedback...), DMARC, false},
		"TLS":               {about, TLS, false},
		"TLS packed":        {packed(about), TLS, false},
		"half a report":     {feedback[:len(feedback)/2], DMARC, true},
		"half another":      {about[:len(about)/2], TLS, true},
		"other XML":         {[]byte("<svg/>"), "", false},
		"a bomb":            {packed(bytes.Repeat([]byte("<feedback>"), 2<<20)), "gz", false},
		"a hostile tower":   {[]byte("<feedback>" + strings.Repeat("<a>", 100_000)), DMARC, true},
		"a tower of arrays": {[]byte(`{"policies":` + strings.Repeat("[", 100_000)), TLS, true},
	} {
		r := open(t, c.content)
		last := r.Objects[len(r.Objects)-1]
		if name == "a bomb" {
			if r.Limit != unpack.TooMuch || last.Data != nil {
				t.Errorf("%s: %+v", name, r)
			}
			continue
		}
		broken := len(last.Signs) == 1 && last.Signs[0].Kind == unpack.Broken
		if last.Format != c.format || broken != c.broken || (last.Data != nil) != (c.format != "" && !c.broken) {
			t.Errorf("%s: %+v", name, last)
		}
		if last.Data == nil {
			continue
		}
		var domain struct {
			Policy   struct{ Domain string }
			Policies []struct {
				Policy struct {
					Domain string `json:"policy-domain"`
				} `json:"policy"`
			} `json:"policies"`
		}
		if err := json.Unmarshal(last.Data, &domain); err != nil || domain.Policy.Domain != "example.org" && (len(domain.Policies) != 1 || domain.Policies[0].Policy.Domain != "example.org") {
			t.Errorf("%s: %v: %s", name, err, last.Data)
		}
	}
}
