package dmarcreport

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func sampleFeedback() *Feedback {
	return &Feedback{Org: "Receiver & Sons", Email: "dmarc@receiver.example", Contact: "https://receiver.example/dmarc", ID: "abc123",
		Begin: time.Unix(1764115200, 0).UTC(), End: time.Unix(1764201599, 0).UTC(), Errors: []string{"two records"}, Generator: "Gatepost 1",
		Policy: Published{Domain: "example.org", Method: "psl", P: "reject", SP: "quarantine", NP: "reject", ADKIM: "s", ASPF: "r", FO: "1", Pct: 100, Testing: true},
		Records: []Record{
			{Source: netip.MustParseAddr("192.0.2.1"), Count: 7, Disposition: "pass", DKIM: true, SPF: true, HeaderFrom: "example.org", EnvelopeFrom: "bounce.example.org",
				Signatures: []Signature{{"example.org", "s1", "pass"}}, Checked: SPFResult{Domain: "bounce.example.org", Result: "pass"}},
			{Source: netip.MustParseAddr("2001:db8::1"), Count: 1, Disposition: "reject", HeaderFrom: "example.org",
				Reasons: []Reason{{"mailing_list", "a list"}}, Checked: SPFResult{Domain: "elsewhere.example", Result: "softfail"}},
		}}
}

// TestReadWhatIsWritten: a report of either format reads back as it was, as far as the format tells it.
func TestReadWhatIsWritten(t *testing.T) {
	for _, format := range []Format{RFC9990, RFC7489} {
		want := sampleFeedback()
		if format == RFC7489 {
			want.Generator, want.Policy.Method, want.Policy.NP, want.Policy.Testing, want.Records[0].Disposition = "", "", "", false, "none"
		}
		got, err := Read(strings.NewReader(string(sampleFeedback().XML(format))))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", format, err, got, want)
		}
	}
}

// TestJSON: a report reads back as it was from its JSON too, with what each line counts.
func TestJSON(t *testing.T) {
	text, err := json.Marshal(sampleFeedback())
	var got Feedback
	if err2 := json.Unmarshal(text, &got); err != nil || err2 != nil || !reflect.DeepEqual(&got, sampleFeedback()) {
		t.Errorf("%v, %v: %s", err, err2, text)
	}
}

// TestReadOthers: what the reports of the world get wrong costs a line at most; what is none is said.
func TestReadOthers(t *testing.T) {
	const row = "<row><source_ip>192.0.2.1</source_ip><count>2</count><policy_evaluated><disposition>None</disposition><dkim>Pass</dkim></policy_evaluated></row>"
	for name, c := range map[string]struct {
		text    string
		records int
		err     error // the very one; io.ErrUnexpectedEOF for any that is about the end
	}{
		"bare":                   {"<feedback></feedback>", 0, nil},
		"a namespace of its own": {`<x:feedback xmlns:x="urn:x"><x:record>` + row + `</x:record></x:feedback>`, 1, nil},
		"other order":            {"<feedback><record>" + row + "</record><unknown><deep>1</deep></unknown><report_metadata/></feedback>", 1, nil},
		"a bad line":             {"<feedback><record><row><source_ip>nobody</source_ip><count>1</count></row></record><record>" + row + "</record></feedback>", 1, nil},
		"a count below zero":     {"<feedback><record><row><source_ip>192.0.2.1</source_ip><count>-1</count></row></record></feedback>", 0, nil},
		"another charset":        {`<?xml version="1.0" encoding="windows-1252"?><feedback><record>` + row + "</record></feedback>", 1, nil},
		"an entity":              {`<!DOCTYPE f [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><feedback><record>` + row + "</record><x>&b;</x></feedback>", 1, nil},
		"another root":           {"<html><feedback/></html>", 0, ErrNoReport},
		"nothing":                {"", 0, ErrNoReport},
		"no XML":                 {"PK\x03\x04", 0, ErrNoReport},
		"cut off":                {"<feedback><record>" + row + "</record><record><row>", 1, io.ErrUnexpectedEOF},
	} {
		f, err := Read(strings.NewReader(c.text))
		n := 0
		if f != nil {
			n = len(f.Records)
		}
		if n != c.records || (err == nil) != (c.err == nil) || errors.Is(c.err, ErrNoReport) != errors.Is(err, ErrNoReport) {
			t.Errorf("%s: %d records, %v; want %d, %v", name, n, err, c.records, c.err)
		}
	}
}

// TestReadBounds: what is too much is an error, and what was read before it stays.
func TestReadBounds(t *testing.T) {
	const record = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record>"
	f, err := Read(io.MultiReader(strings.NewReader("<feedback>"), strings.NewReader(strings.Repeat(record, MaxRecords+1)), strings.NewReader("</feedback>")))
	if err == nil || len(f.Records) != MaxRecords {
		t.Errorf("%d records, %v", len(f.Records), err)
	}
	if f, err := Read(strings.NewReader("<feedback>" + strings.Repeat("<a>", 200_000))); err == nil {
		t.Errorf("a tower of elements is a report: %+v", f)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(string(sampleFeedback().XML(RFC9990)))
	f.Add(string(sampleFeedback().XML(RFC7489)))
	f.Add("<feedback><record><row><source_ip>::1</source_ip><count>9</count>")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Read(strings.NewReader(text))
		if err != nil || len(got.Records) == 0 {
			return
		}
		again, err := Read(strings.NewReader(string(got.XML(RFC9990))))
		if err != nil || len(again.Records) != len(got.Records) || again.Policy.Domain != got.Policy.Domain {
			t.Errorf("%v\n%+v\nreads back as\n%+v", err, got, again)
		}
	})
}
