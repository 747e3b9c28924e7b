package importer

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/importer/lists"
)

// TestLists shows what each list below testdata/lists becomes.
func TestLists(t *testing.T) {
	names, err := filepath.Glob("testdata/lists/*.csv")
	if err != nil || len(names) < 5 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			kind, _ := os.ReadFile(strings.TrimSuffix(name, ".csv") + ".kind")
			rows, err := lists.Read(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			d := FromLists(rows, ListOptions{Options: Options{Expires: time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC)}, File: filepath.Base(name),
				Kind: strings.TrimSpace(string(kind)), Reason: "moved", Now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)})
			var report bytes.Buffer
			d.Report.Write(&report)
			golden(t, strings.TrimSuffix(name, ".csv")+".want", []byte(report.String()+"\n"+d.Policy.Text()))
		})
	}
}

// TestEntriesAreOwned shows that every entry has an owner, a reason and a last day, whatever a list says, and that no name is
// allowed.
func TestEntriesAreOwned(t *testing.T) {
	rows := []lists.Row{{Value: "192.0.2.1", Verb: lists.Allow}, {Value: "x@y.example", Verb: lists.Allow}, {Value: "spam.example", Verb: lists.Block, Owner: strings.Repeat("o", 500)}}
	d := FromLists(rows, ListOptions{Options: Options{Expires: time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC)}, File: "f", Now: time.Now()})
	text := d.Policy.Text()
	n := strings.Count(text, ".entry]]")
	if n != 2 || strings.Count(text, "owner = ") != n || strings.Count(text, "reason = ") != n || strings.Count(text, "expires = ") != n {
		t.Errorf("%d entries:\n%s", n, text)
	}
	if strings.Contains(text, "y.example") || strings.Contains(text, strings.Repeat("o", 101)) {
		t.Error(text)
	}
}

// TestBetween holds ranges against counting: every address of the range is in one network, and no other.
func TestBetween(t *testing.T) {
	for first := range 40 {
		for last := first; last < 64; last++ {
			a, b := netip.AddrFrom4([4]byte{192, 0, 2, byte(first)}), netip.AddrFrom4([4]byte{192, 0, 2, byte(last)})
			networks, ok := between(a, b)
			if !ok {
				t.Fatal(a, b)
			}
			for i := range 256 {
				addr, n := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 0
				for _, text := range networks {
					if netip.MustParsePrefix(text).Contains(addr) {
						n++
					}
				}
				if want := i >= first && i <= last; n > 1 || (n == 1) != want {
					t.Fatalf("%s-%s: %s is in %d of %v", a, b, addr, n, networks)
				}
			}
		}
	}
	for _, bad := range [][2]string{{"192.0.2.9", "192.0.2.1"}, {"::1", "192.0.2.1"}, {"0.0.0.1", "255.255.255.254"}} {
		if got, ok := between(netip.MustParseAddr(bad[0]), netip.MustParseAddr(bad[1])); ok {
			t.Errorf("%v: %v", bad, got)
		}
	}
	if got, ok := between(netip.MustParseAddr("::"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")); !ok || fmt.Sprint(got) != "[::/1 8000::/1]" {
		t.Error(got, ok)
	}
}
