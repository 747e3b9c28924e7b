package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/lab/dnslab"
)

// standIn makes the test's own program play another part.
const standIn = "GATEPOST_LAB_STAND_IN"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(standIn) {
	case "":
		os.Exit(m.Run())
	case "daemon":
		err = beDaemon()
	case "abandon":
		err = abandonParts()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beDaemon keeps the daemon's promises to the lab, and no others.
func beDaemon() error {
	if len(os.Args) != 4 || os.Args[1] != "serve" || os.Args[2] != "--config" {
		return fmt.Errorf("arguments %q", os.Args)
	}
	dir := os.Args[3]
	config, err := os.ReadFile(ConfigFile(dir))
	if err != nil {
		return err
	}
	if string(config) == "bad" {
		return fmt.Errorf("gatepost.toml:1:1: this is bad")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		policy, _ := os.ReadFile(PolicyFile(dir))
		fmt.Fprintf(w, "%s %s", r.URL.Path, policy)
	}))
	b, _ := json.Marshal(Addresses{Listeners: map[string]string{"smtp": "127.0.0.1:25"}, Metrics: l.Addr().String()})
	if err := os.WriteFile(addressesFile(dir), b, 0o644); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP)
	for sig := range signals {
		fmt.Println("got", sig)
		if sig == syscall.SIGTERM {
			break
		}
	}
	return nil
}

func TestGatepost(t *testing.T) {
	ctx, dir := testContext(t), testDir(t)
	options := GatepostOptions{Config: "x = 1", Policy: "first", Binary: os.Args[0], Env: []string{standIn + "=daemon"}}
	g, err := StartGatepost(ctx, dir, options)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Kill()
	if got := g.Addr("smtp"); got != "127.0.0.1:25" {
		t.Errorf("listens at %q", got)
	}
	if status, body, err := g.Get(ctx, "/metrics"); status != 200 || body != "/metrics first" || err != nil {
		t.Errorf("got %d %q %v", status, body, err)
	}
	if err := g.Reload("", "second"); err != nil {
		t.Fatal(err)
	}
	if _, body, err := g.Get(ctx, "/"); body != "/ second" || err != nil {
		t.Errorf("got %q %v", body, err)
	}
	if err := poll(ctx, func() (bool, error) { return strings.Contains(g.Log(), "got hangup"), nil }); err != nil {
		t.Errorf("no SIGHUP came: %v", err)
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(g.Log(), "got terminated") {
		t.Errorf("no SIGTERM came:\n%s", g.Log())
	}

	options.Config = "bad"
	if _, err := StartGatepost(ctx, dir, options); err == nil || !strings.Contains(err.Error(), "gatepost.toml:1:1: this is bad") {
		t.Errorf("got %v, want the daemon's own words", err)
	}
}

// abandonParts starts one of each, says their process ids, and waits to be killed.
func abandonParts() error {
	ctx, dir := context.Background(), os.Getenv("GATEPOST_LAB_DIR")
	c, err := StartClamd(ctx, filepath.Join(dir, "c"), ClamdOptions{})
	if err != nil {
		return err
	}
	s, err := StartSpamd(ctx, filepath.Join(dir, "s"), SpamdOptions{})
	if err != nil {
		return err
	}
	p, err := StartPostfix(ctx, filepath.Join(dir, "p"), PostfixOptions{})
	if err != nil {
		return err
	}
	fmt.Println(c.PID(), s.PID(), p.PID())
	time.Sleep(time.Hour)
	return nil
}

// A test that is killed leaves no scanner and no MTA behind.
func TestPartsEndWithTheirStarter(t *testing.T) {
	ctx, dir := testContext(t), testDir(t)
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), standIn+"=abandon", "GATEPOST_LAB_DIR="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var groups [3]int
	if _, err := fmt.Fscanln(bufio.NewReader(out), &groups[0], &groups[1], &groups[2]); err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		if !groupAlive(group) {
			t.Fatalf("group %d does not run", group)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended by itself")
	}
	for _, group := range groups {
		if err := poll(ctx, func() (bool, error) { return !groupAlive(group), nil }); err != nil {
			t.Errorf("group %d runs on: %v", group, err)
		}
	}
}

func TestPortsDiffer(t *testing.T) {
	seen := make(map[int]bool)
	for range 50 {
		p, err := ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if seen[p.Number] {
			t.Errorf("port %d twice", p.Number)
		}
		seen[p.Number] = true
	}
}

func TestNewDirIsShortAndOpen(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	dir := testDir(t)
	if len(filepath.Join(dir, "clamd", "s")) > maxSocketPath {
		t.Errorf("%s is long", dir)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestNewRoomyDir(t *testing.T) {
	dir, err := NewRoomyDir(1)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	again, err := NewRoomyDir(1)
	if err != nil || filepath.Dir(again) != "/var/tmp" {
		t.Errorf("without a temporary folder: %q, %v", again, err)
	}
	defer os.Remove(again)
	if _, err := NewRoomyDir(1 << 60); err == nil || !strings.Contains(err.Error(), "/var/tmp has ") {
		t.Errorf("an exabyte: %v", err)
	}
}

// With a name server, spamd asks it, and only it.
func TestSpamdAsksTheNameServer(t *testing.T) {
	names := dnslab.New(t, dnslab.Text(`listed.test. 60 IN A 127.0.0.2`))
	s, err := StartSpamd(testContext(t), testDir(t), SpamdOptions{DNS: names.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, s.Process)
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	message := "Received: from mx.listed.test (mx.listed.test [192.0.2.7]) by gate.lab.test; Mon, 23 Nov 2026 10:00:00 +0000\r\n" + testMail
	fmt.Fprintf(conn, "SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n%s", len(message), message)
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil || !strings.Contains(string(answer[:n]), "EX_OK") {
		t.Fatalf("got %q, %v", answer[:n], err)
	}
	if len(names.Queries()) == 0 {
		t.Errorf("spamd asked nothing; it said %q\n%s", answer[:n], s.Log())
	}
}
