package tlsrpt

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleReport() *Report {
	return &Report{Organization: "Sender", Contact: "tls@sender.example", ID: "abc", Range: DateRange{time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 25, 23, 59, 59, 0, time.UTC)},
		Policies: []PolicyReport{{Policy: Policy{Kind: STS, Domain: "example.org", Strings: []string{"version: STSv1", "mode: testing"}, MXHost: []string{"*.example.org"}},
			Summary: Summary{5, 2}, Failures: []Detail{{Result: "certificate-expired", SendingIP: netip.MustParseAddr("192.0.2.1"), MXHostname: "mx.example.org", Count: 2, Code: "x509"}}}}}
}

// TestReadWhatIsWritten: a report reads back as it was.
func TestReadWhatIsWritten(t *testing.T) {
	got, err := Read(bytes.NewReader(sampleReport().JSON()))
	if err != nil || !reflect.DeepEqual(got, sampleReport()) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, sampleReport())
	}
}

// TestReadOthers: what the reports of the world get wrong costs what is wrong; what is none is said.
func TestReadOthers(t *testing.T) {
	const begin = `{"organization-name":"x","date-range":{"start-datetime":"2026-11-25T00:00:00Z","end-datetime":"2026-11-25"},"policies":[{"policy":{"policy-type":"STS","policy-domain":"Example.ORG.",`
	for name, c := range map[string]struct {
		text string
		ok   bool
		none bool // it is said to be no report
	}{
		"one text for a list":     {begin + `"mx-host":"mx.example.org"},"summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]}`, true, false},
		"numbers as texts":        {begin + `"mx-host":[]},"summary":{"total-successful-session-count":"1"}}]}`, true, false},
		"an address that is none": {begin + `"mx-host":[]},"failure-details":[{"result-type":"x","sending-mta-ip":"nobody","failed-session-count":-5}],"summary":{"total-successful-session-count":1}}]}`, true, false},
		"another document":        {`{"a":1}`, false, true},
		"another type":            {`{"policies":"none","date-range":{}}`, false, true},
		"no JSON":                 {"PK\x03\x04", false, false},
		"nothing":                 {"", false, false},
		"a tower":                 {strings.Repeat("[", 200_000), false, false},
	} {
		r, err := Read(strings.NewReader(c.text))
		if (err == nil) != c.ok || errors.Is(err, ErrNoReport) != c.none {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (r.Policies[0].Policy.Domain != "example.org" || r.Policies[0].Policy.Kind != STS || r.Policies[0].Summary.Successful != 1) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(string(sampleReport().JSON()))
	f.Add(`{"policies":[{}],"date-range":{"start-datetime":"x"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		if len(r.Policies) > MaxPolicies {
			t.Errorf("%d policies", len(r.Policies))
		}
		if again, err := Read(bytes.NewReader(r.JSON())); err == nil && len(again.Policies) != len(r.Policies) {
			t.Errorf("%+v\nreads back as\n%+v", r, again)
		}
	})
}
