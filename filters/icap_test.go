package filters

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/gateway"
	"gatepost/internal/addrpool"
	"gatepost/internal/icap"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

func icapAt(t testing.TB, address, service, send string, cache *VerdictCache) *ICAPEngine {
	t.Helper()
	p, err := addrpool.New(addrpool.Config[*icap.Client]{Addresses: []string{address}, TripAfter: 1000, Repeatable: icap.Repeatable, Blames: icap.Blames,
		Open: func(a string) (*icap.Client, error) {
			c, err := icap.New(icap.Config{Address: a, Service: service, Timeout: 30 * time.Second})
			if err == nil {
				t.Cleanup(c.Close)
			}
			return c, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	return &ICAPEngine{Servers: p, Send: send, Most: 1 << 20, Seen: cache}
}

// mixed is a message of a text and an attachment.
func mixed(subject, file string) string {
	return strings.TrimSuffix(with("", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b"), "text\r\n") +
		"--b\r\nContent-Type: text/plain\r\n\r\n" + subject + "\r\n--b\r\nContent-Type: application/octet-stream; name=f.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString([]byte(file)) + "\r\n--b--\r\n"
}

// A real c-icap over a real clamd: whole messages and single parts, and what is remembered of those.
func TestICAPReal(t *testing.T) {
	clamd := labtest.Clamd(t, lab.ClamdOptions{})
	server := labtest.ICAP(t, lab.ICAPOptions{Clamd: clamd.Socket})
	policy := clamOff + spamOff + "[checks.mime]\naction = \"off\"\n[checks.shape]\naction = \"off\"\n[checks.author]\naction = \"off\"\n"
	for _, send := range []string{ICAPMessage, ICAPParts} {
		cache := NewVerdictCache(100, time.Hour)
		d := &Deps{ICAP: icapAt(t, server.Addr, "avscan", send, cache)}
		pl := build(t, policy, d)
		for name, c := range map[string]struct {
			text    string
			reason  gateway.Reason
			outcome gateway.Outcome
		}{
			"clean":  {mixed("one", "harmless"), "", gateway.Accept},
			"plain":  {with(""), "", gateway.Accept},
			"EICAR":  {mixed("one", lab.EICAR()), gateway.MalwareFound, gateway.Reject},
			"large":  {with("") + strings.Repeat("0123456789abcde\r\n", 70_000), gateway.TooBigToScan, gateway.Defer},
			"a part": {mixed("one", strings.Repeat("0123456789abcdef", 70_000)), gateway.TooBigToScan, gateway.Defer},
		} {
			v, f := judge(t, d, pl, dataOf(t, c.text), "icap")
			if f.Reason != c.reason || v.Outcome != c.outcome {
				t.Errorf("%s, %s: %s %s, %s, %v", send, name, f.Result, f.Reason, v.Outcome, f.Evidence)
			}
			if (f.Reason == gateway.MalwareFound && send == ICAPParts) != (len(f.Parts) == 1) {
				t.Errorf("%s, %s: parts %v", send, name, f.Parts)
			}
		}
		hits, misses := cache.Counts()
		for i := range 5 {
			if v, f := judge(t, d, pl, dataOf(t, mixed(fmt.Sprint("again ", i), lab.EICAR())), "icap"); v.Outcome != gateway.Reject {
				t.Errorf("%s, again: %s, %v", send, v.Outcome, f.Evidence)
			}
		}
		again, others := cache.Counts()
		// Each new text is shown; the attachment is known.
		if want := map[string]uint64{ICAPMessage: 0, ICAPParts: 5}[send]; again-hits != want || others-misses != want {
			t.Errorf("%s: %d known and %d shown, want %d of each", send, again-hits, others-misses, want)
		}
	}
	d := &Deps{ICAP: icapAt(t, server.Addr, "echo", ICAPMessage, nil)}
	pl := build(t, policy, d)
	if _, f := judge(t, d, pl, dataOf(t, mixed("x", "y")), "icap"); f.Result != gateway.Pass || evidence(f, "database") == "" {
		t.Errorf("echo: %s %v", f.Result, f.Evidence)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if v, f := judge(t, d, pl, dataOf(t, with("")), "icap"); f.Result != gateway.Unknown || v.Outcome != gateway.Defer {
		t.Errorf("without it: %s, %s, %v", f.Result, v.Outcome, f.Evidence)
	}
}

// A verdict holds for one content under one name and type, by one engine with one database, in a bounded number and time.
func TestVerdictCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewVerdictCache(2, time.Minute)
		key := VerdictKey{Content: [32]byte{1}, Name: "f", Type: "t", Engine: "e", Database: "d"}
		c.Put(key, "Eicar")
		if found, ok := c.Get(key); !ok || found != "Eicar" {
			t.Fatalf("%q %v", found, ok)
		}
		for name, other := range map[string]VerdictKey{
			"content": {[32]byte{2}, "f", "t", "e", "d"}, "name": {[32]byte{1}, "g", "t", "e", "d"}, "type": {[32]byte{1}, "f", "u", "e", "d"},
			"engine": {[32]byte{1}, "f", "t", "x", "d"}, "database": {[32]byte{1}, "f", "t", "e", "x"}, "no database": {[32]byte{1}, "f", "t", "e", ""},
		} {
			if _, ok := c.Get(other); ok {
				t.Errorf("with another %s it is known too", name)
			}
		}
		none := key
		none.Database = ""
		c.Put(none, "")
		if _, ok := c.Get(none); ok {
			t.Error("without a database it is known")
		}
		second, third := key, key
		second.Name, third.Name = "2", "3"
		c.Put(second, "")
		c.Get(key) // used later than the second
		c.Put(third, "")
		if _, ok := c.Get(second); ok {
			t.Error("more are known than may be")
		}
		if _, ok := c.Get(key); !ok {
			t.Error("the one used last is forgotten")
		}
		time.Sleep(time.Minute)
		if _, ok := c.Get(key); ok {
			t.Error("it is known for ever")
		}
		var nobody *VerdictCache
		nobody.Put(key, "")
		if _, ok := nobody.Get(key); ok || NewVerdictCache(0, time.Hour) != nil {
			t.Error("none remembers")
		}
	})
}

// BenchmarkVerdictCache is what a known verdict costs; a scan of 100 KB by clamd costs some 6 ms of CPU.
func BenchmarkVerdictCache(b *testing.B) {
	c := NewVerdictCache(10_000, time.Hour)
	key := VerdictKey{Name: "invoice.pdf", Type: "application/pdf", Engine: "127.0.0.1:1344", Database: "v1"}
	c.Put(key, "")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(key); !ok {
			b.Fatal("not known")
		}
	}
}
