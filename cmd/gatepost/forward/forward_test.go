package forward

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/internal/cli"
)

// environment is that of a command, which reads both documents from folder.
func environment() (cli.Env, *bytes.Buffer) {
	var said bytes.Buffer
	return cli.Env{Out: &said, Err: &said}, &said
}

func folder(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gatepost.toml"), []byte("hostname = \"mx.example.org\"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestNothingNamed: without log.machine there is nothing to do, and that is no failure.
func TestNothingNamed(t *testing.T) {
	e, said := environment()
	if code := run(t.Context(), e, []string{"--config", folder(t, "")}); code != cli.Done || !strings.Contains(said.String(), "log.machine names no server") {
		t.Errorf("%d: %s", code, said)
	}
}

// TestForward has journalctl's place taken by a script, which tells how it was called: what it says arrives, and the next start goes on
// behind it.
func TestForward(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	bin := t.TempDir()
	script := "#!/bin/sh\necho '{\"__CURSOR\":\"here\",\"SYSLOG_IDENTIFIER\":\"unbound\",\"MESSAGE\":\"'\"$*\"'\"}'\nexec sleep 1000\n"
	if err := os.WriteFile(filepath.Join(bin, "journalctl"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	dir := folder(t, "[log]\nmachine = \"tcp:"+server.Addr().String()+"\"\n")
	for _, from := range []string{"--boot", "--merge --after-cursor=here"} {
		ctx, stop := context.WithCancel(t.Context())
		e, said := environment()
		end := make(chan int, 1)
		go func() { end <- run(ctx, e, []string{"--config", dir}) }()
		_ = server.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
		conn, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		want := "mx.example.org unbound - - - --follow --no-tail --all --output=json " + from
		b := make([]byte, len("NNN <30>1 - ")+len(want))
		if _, err := bufio.NewReader(conn).Read(b); err != nil || !strings.HasSuffix(strings.TrimRight(string(b), "\x00"), want) {
			t.Errorf("%q came, %v; want %q", b, err, want)
		}
		stop()
		if code := <-end; code != cli.Done {
			t.Errorf("it ends with %d: %s", code, said)
		}
		conn.Close()
	}
}
