package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/gateway/relay"
)

// What was kept comes back; a file that cannot be read, is none of ours or is huge is told of, and all begins anew.
func TestRememberHops(t *testing.T) {
	dir := t.TempDir()
	want := []relay.Remembered{{NextHop: "mail.example.org:25", At: time.Now().UTC().Truncate(time.Second), SizeSaid: true, Size: 50 << 20, EightBit: true}}
	if err := rememberHops(dir, want); err != nil {
		t.Fatal(err)
	}
	recall := func(dir string) ([]relay.Remembered, string) {
		var log bytes.Buffer
		pools := relay.NewPools(nil, nil)
		recallHops(dir, pools, slog.New(slog.NewTextHandler(&log, nil)))
		return pools.Remembered(), log.String()
	}
	if got, log := recall(dir); !reflect.DeepEqual(got, want) || log != "" {
		t.Errorf("got %+v, %s", got, log)
	}
	if got, log := recall(t.TempDir()); got != nil || log != "" {
		t.Errorf("without a file: %+v, %s", got, log)
	}
	for name, text := range map[string]string{"cut": `[{"next_hop":"mail.exa`, "no list": `{"next_hop":"a:25"}`, "binary": "\x00\xff\x16",
		"huge": strings.Repeat(" ", mostHopsFile) + "[]", "empty": ""} {
		bad := t.TempDir()
		if err := os.WriteFile(filepath.Join(bad, hopsFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, log := recall(bad); len(got) > 0 || !strings.Contains(log, "learned anew") {
			t.Errorf("%s: %+v, %s", name, got, log)
		}
		if err := rememberHops(bad, want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
