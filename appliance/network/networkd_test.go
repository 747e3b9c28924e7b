package network

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inside makes this program one that prepares a machine of its own, in namespaces, and becomes systemd-networkd there.
const inside = "GATEPOST_TEST_NETWORKD"

func TestMain(m *testing.M) {
	if run := os.Getenv(inside); run != "" {
		fmt.Fprintln(os.Stderr, becomeNetworkd(run))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// becomeNetworkd mounts what systemd-networkd needs: the files that were rendered as /run, and /sys for reading only, which tells it that no
// udev is there to wait for.
func becomeNetworkd(run string) error {
	for _, step := range []func() error{
		func() error { return syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "") },
		func() error { return syscall.Mount(run, "/run", "", syscall.MS_BIND, "") },
		func() error { return syscall.Mount("sysfs", "/sys", "sysfs", syscall.MS_RDONLY, "") },
		func() error {
			return exec.Command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "peer0").Run()
		},
		func() error { return exec.Command("ip", "link", "set", "peer0", "up").Run() },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return syscall.Exec("/lib/systemd/systemd-networkd", []string{"systemd-networkd"}, []string{"SYSTEMD_LOG_LEVEL=info", "SYSTEMD_LOG_TARGET=console"})
}

// TestNetworkd gives what is rendered to a real systemd-networkd: it knows each key, and the interface has the addresses and routes.
func TestNetworkd(t *testing.T) {
	s, err := Read("settings.yaml", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	run := t.TempDir()
	if err := os.Chmod(run, 0o755); err != nil {
		t.Fatal(err)
	}
	m := &Machine{Run: run}
	if err := m.Apply(&Found{Settings: *s}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(run, "systemd/network/50-gatepost-00.network")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put(t, file, strings.Replace(string(text), "Kind=!*", "Kind=veth", 1)) // what a namespace has in place of a card

	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), inside+"="+run)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatalf("namespaces of its own need root: %v", err)
	}
	in.Close()
	said := make(chan string)
	go func() {
		var all strings.Builder
		_, _ = io.Copy(&all, bufio.NewReader(out))
		said <- all.String()
	}()
	look := func() string {
		var all strings.Builder
		for _, args := range [][]string{{"-br", "addr", "show", "dev", "eth0"}, {"-4", "route"}, {"-6", "route"}, {"link", "show", "dev", "eth0"}} {
			text, err := exec.CommandContext(ctx, "nsenter", append([]string{"-t", fmt.Sprint(cmd.Process.Pid), "-n", "ip"}, args...)...).CombinedOutput()
			if err != nil {
				fmt.Fprintln(&all, err)
			}
			all.Write(text)
		}
		return all.String()
	}
	wants := []string{" 192.0.2.7/24 ", "2001:db8::7/64", "default via 192.0.2.1 dev eth0", "default via fe80::1 dev eth0", "198.51.100.0/24 via 203.0.113.1 dev eth0 proto static onlink", "mtu 1400"}
	var got, missing string
	for ctx.Err() == nil {
		got, missing = look(), ""
		for _, w := range wants {
			if !strings.Contains(got, w) {
				missing += w + "; "
			}
		}
		if missing == "" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	log := <-said
	_ = cmd.Wait()
	if missing != "" {
		t.Errorf("missing: %s\nthere is:\n%s\nsystemd-networkd says:\n%s", missing, got, log)
	}
	for _, bad := range []string{"Unknown", "ignoring", "Failed to parse", "Invalid"} {
		if strings.Contains(log, bad) {
			t.Errorf("systemd-networkd says:\n%s", log)
			break
		}
	}
}
