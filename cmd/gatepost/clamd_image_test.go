package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"gatepost/internal/clamd"
	"gatepost/internal/config"
	"gatepost/internal/lab"
	"gatepost/internal/lab/labtest"
)

// TestClamdOfImage has a real clamd read the image's clamd.conf, and shows that it looks through the largest message that is taken, ends
// before Gatepost gives it up, and has a thread for each of Gatepost's connections.
func TestClamdOfImage(t *testing.T) {
	text, err := os.ReadFile("../../rootfs/etc/clamav/clamd.conf")
	if err != nil {
		t.Fatal(err)
	}
	var settings []string
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "" || strings.HasPrefix(key, "#") {
			continue
		}
		values[key] = value
		switch key {
		case "LocalSocket", "LocalSocketGroup", "User", "DatabaseDirectory": // the test has its own
		default:
			settings = append(settings, key+" "+value)
		}
	}
	for key, want := range map[string]string{"StreamMaxLength": "64M", "MaxFileSize": "64M", "MaxScanSize": "400M", "MaxScanTime": "25000", "AlertExceedsMax": "yes"} {
		if values[key] != want {
			t.Errorf("%s is %q; docs/operating.md says %s", key, values[key], want)
		}
	}
	c, problems := config.Load(documents(t, "", servesOne), sections())
	if c == nil {
		t.Fatal(problems)
	}
	if "unix:"+values["LocalSocket"] != c.Bootstrap.ClamAV.Addresses[0] {
		t.Errorf("clamd is at %s, and Gatepost asks %s", values["LocalSocket"], c.Bootstrap.ClamAV.Addresses[0])
	}
	started := labtest.Clamd(t, lab.ClamdOptions{Settings: settings})
	client, err := clamd.New(clamd.Config{Address: started.Addr, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	const largest = 50<<20 + 64<<10 // limits.message_size and our fields
	if seen, err := client.ProbeLimit(t.Context(), largest); err != nil || seen < largest {
		t.Errorf("it looks through %d octets of %d: %v", seen, int64(largest), err)
	}
}
