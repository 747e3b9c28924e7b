package filters

import (
	"net/netip"
	"testing"
	"time"
)

// TestExpiringOf shows which entries of each list soon count no more: those of the first and of the last day, and none that has no
// day or is over.
func TestExpiringOf(t *testing.T) {
	from := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	on := func(day int) Note { return Note{Owner: "anna", Expires: EntryDate{from.AddDate(0, 0, day)}} }
	network := netip.MustParsePrefix("192.0.2.0/24")
	for _, x := range []struct {
		options any
		want    string
	}{
		{&ClientEntries{Entries: []ClientEntry{{Network: network, List: "allow", Note: on(0)}, {Network: network, List: "block", Note: on(31)}, {Network: network, List: "block", Note: on(-1)}, {Network: network, List: "block"}}}, "allow 192.0.2.0/24 anna 2026-11-27; "},
		{&SenderEntries{Entries: []SenderEntry{{Helo: ".bad.example", Note: on(30)}, {Address: "@bad.example", Note: on(1)}}}, "block .bad.example anna 2026-12-27; block @bad.example anna 2026-11-28; "},
		{&AuthorEntries{Entries: []AuthorEntry{{Address: "@partner.example", Owner: "bob", Expires: EntryDate{from}}}}, "allow @partner.example bob 2026-11-27; "},
		{nil, ""},
	} {
		got := ""
		for _, e := range ExpiringOf(x.options, from, from.AddDate(0, 0, 30)) {
			got += e.Entry + " " + e.Owner + " " + e.Last.Format(time.DateOnly) + "; "
		}
		if got != x.want {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}
