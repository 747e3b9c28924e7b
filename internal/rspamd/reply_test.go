package rspamd

import (
	"strings"
	"testing"
)

// FuzzReport checks that a report is always one that rspamd could mean.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"is_skipped":true,"score":15.0,"required_score":15.0,"action":"reject","symbols":{"GTUBE":{"name":"GTUBE","score":0.0}},"messages":{"smtp_message":"Gtube pattern"}}`))
	f.Add([]byte(`{"score":1e400,"required_score":15,"action":"x","symbols":{}}`))
	f.Add([]byte(`{"score":1,"required_score":15,"action":"x\n","symbols":{"A\u0000":{"score":1}}}`))
	f.Add([]byte(`{"score":1,"required_score":15,"action":"x","symbols":null}`))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseReport(text)
		if err != nil {
			if r.Action != "" || r.Symbols != nil {
				t.Fatalf("a result %+v with the error %v", r, err)
			}
			return
		}
		if r.Action == "" || !number(r.Score) || !number(r.Required) || len(r.Symbols) > maxSymbols || strings.ContainsAny(r.Action+r.Text, "\r\n\x00") {
			t.Fatalf("%q: %+v", text, r)
		}
		for _, s := range r.Symbols {
			if !isName(s.Name) || !number(s.Score) || len(s.Options) > maxOptions {
				t.Fatalf("%q: %+v", text, s)
			}
		}
	})
}
