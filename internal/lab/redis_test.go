package lab

import (
	"net"
	"os"
	"strings"
	"testing"
)

// TestRedis plays all that the lab's Redis can do: who may talk to it, a pause, a crash with what is lost, and its end.
func TestRedis(t *testing.T) {
	ctx := testContext(t)
	r, err := StartRedis(ctx, testDir(t), RedisOptions{User: "gatepost", Password: "p-of-a-test"})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped(t, r.Process)
	do := func(want string, words ...string) {
		t.Helper()
		got, err := r.Do(words...)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Fatalf("%q: %q, want %q", words, got, want)
		}
	}
	do("OK", "SET", "gp:a", "1")
	do("1", "GET", "gp:a")
	do("OK", "CONFIG", "SET", "maxmemory", "1")
	do("OOM", "SET", "gp:b", "1")
	do("maxmemory\n1", "CONFIG", "GET", "maxmemory")
	do("OK", "ACL", "DRYRUN", "gatepost", "SET", "gp:a", "1")
	do("no permissions", "ACL", "DRYRUN", "gatepost", "SET", "other", "1")
	do("no permissions", "ACL", "DRYRUN", "gatepost", "FLUSHALL")
	if err := r.Restart(ctx); err == nil {
		t.Fatal("it was started twice")
	}

	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.Addr) // the kernel takes it
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	do("PONG", "PING")

	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Do("PING"); err == nil {
		t.Fatal("a killed server answers")
	}
	if err := r.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Do("EXISTS", "gp:a"); err != nil || got != "0" {
		t.Fatalf("after a crash: %q, %v", got, err)
	}
	do("maxmemory\n0", "CONFIG", "GET", "maxmemory")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(r.Socket); err == nil {
		t.Error("its socket is left")
	}
}
