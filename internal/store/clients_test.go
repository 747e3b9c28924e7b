package store

import (
	"bytes"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

func loadClients(t *testing.T, c *Clients) map[netip.Prefix]gateway.Remembered {
	t.Helper()
	out := map[netip.Prefix]gateway.Remembered{}
	if err := c.Load(bounded30(t), func(p netip.Prefix, r gateway.Remembered) { out[p] = r }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestClients: what is saved is read again, by the next process too, and what is over goes.
func TestClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clients.db")
	at := time.Unix(1800000000, 0)
	want := map[netip.Prefix]gateway.Remembered{
		netip.MustParsePrefix("192.0.2.1/32"):    {Pregreet: at, Protocol: at.Add(time.Hour)},
		netip.MustParsePrefix("2001:db8::/64"):   {Bad: at.Add(2 * time.Hour)},
		netip.MustParsePrefix("198.51.100.1/32"): {Pregreet: at},
	}
	c, err := OpenClients(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := loadClients(t, c); len(got) != 0 {
		t.Errorf("a new file has %v", got)
	}
	for range 2 { // the second time in place of the first
		if err := c.Save(bounded30(t), want); err != nil {
			t.Fatal(err)
		}
	}
	// Not closed: as after a kill.
	again, err := OpenClients(bounded30(t), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := loadClients(t, again); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if err := again.Forget(bounded30(t), at); err != nil {
		t.Fatal(err)
	}
	if got := loadClients(t, again); len(got) != 2 {
		t.Errorf("after forgetting: %v", got)
	}
	for _, x := range []*Clients{c, again} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestClientsDamaged: a damaged file is set aside, and an empty one takes its place.
func TestClientsDamaged(t *testing.T) {
	for name, junk := range map[string]func(whole []byte) []byte{
		"no database":   func([]byte) []byte { return bytes.Repeat([]byte("junk"), 5000) },
		"broken inside": func(b []byte) []byte { return append(b[:4096:4096], bytes.Repeat([]byte{0xff}, len(b)-4096)...) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "clients.db")
			c, err := OpenClients(bounded30(t), path, nil)
			if err != nil {
				t.Fatal(err)
			}
			many := map[netip.Prefix]gateway.Remembered{}
			for i := range 2000 {
				many[netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)] = gateway.Remembered{Bad: time.Now()}
			}
			if err := c.Save(bounded30(t), many); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil || len(whole) < 3*4096 {
				t.Fatalf("%d octets, %v", len(whole), err)
			}
			if err := os.WriteFile(path, junk(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			if c, err = OpenClients(bounded30(t), path, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := loadClients(t, c); len(got) != 0 || !strings.Contains(said.String(), "damaged") {
				t.Errorf("%d clients, %s", len(got), said.String())
			}
			if err := c.Save(bounded30(t), many); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path + damaged); err != nil {
				t.Error(err)
			}
		})
	}
}
