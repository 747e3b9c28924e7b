//go:build powercut

// The long form of the power-cut test, for scripts/soak: it makes file systems on loop devices and needs root.

package spool

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
)

var cutsOnDevice = flag.Int("cuts", 4, "power cuts of each file system, busy and quiet by turns")

// TestPowerCutOnDevice stops a process that puts and delivers, and copies the device below its file system: what was not
// written to it is missing in the copy, as after a power cut. Mounted again, the copy must have all that was taken and not
// delivered, and nothing that is torn. (A device that lies about its own cache cannot be shown so.)
func TestPowerCutOnDevice(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			acked, found := 0, 0
			for n := range *cutsOnDevice {
				a, f := cutOnDevice(t, fs, n%2 == 1)
				acked, found = acked+a, found+f
			}
			t.Logf("%d power cuts: %d taken, and %d of them found again", *cutsOnDevice, acked, found)
		})
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// mounted mounts an image, and returns the folder, the device, and what undoes it.
func mounted(t *testing.T, fs, image string) (dir, device string, undo func()) {
	t.Helper()
	device = run(t, "losetup", "--find", "--show", image)
	dir = image + ".mnt"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	option := "rw"
	if fs == "xfs" {
		option = "nouuid"
	}
	if out, err := exec.Command("mount", "-t", fs, "-o", option, device, dir).CombinedOutput(); err != nil {
		run(t, "losetup", "-d", device)
		t.Fatalf("mount: %v\n%s", err, out)
	}
	var once sync.Once
	undo = func() {
		once.Do(func() {
			run(t, "umount", dir)
			run(t, "losetup", "-d", device)
		})
	}
	t.Cleanup(undo)
	return dir, device, undo
}

// cutOnDevice is one power cut. It returns how many messages were taken, and how many of them were found again.
func cutOnDevice(t *testing.T, fs string, quiet bool) (taken, found int) {
	host := t.TempDir()
	image := filepath.Join(host, "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 400<<20); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs."+fs, map[string]string{"ext4": "-Fq", "xfs": "-fq", "btrfs": "-fq"}[fs], image)
	dir, device, undo := mounted(t, fs, image)
	run(t, "sync", "-f", dir)

	c := exec.Command(os.Args[0])
	callers, pause, last := "20", "0s", 100+rand.IntN(900)
	if quiet {
		callers, pause, last = "1", "40ms", 5+rand.IntN(20)
	}
	c.Env = append(os.Environ(), childDir+"="+host, childQueue+"="+filepath.Join(dir, "spool"), childPuts+"="+callers, childAway+"=b", childPause+"="+pause)
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]bool{}
	image2 := filepath.Join(host, "copy")
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if ref, ok := strings.CutPrefix(lines.Text(), "+"); ok {
			acked[ref] = true
		} else {
			t.Error(lines.Text())
		}
		if len(acked) == last {
			// What it says between here and the stop is read below: it was said before the copy.
			if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			copyDevice(t, device, image, image2)
			_ = c.Process.Kill()
		}
	}
	_ = c.Wait()
	undo()
	if len(acked) < last {
		t.Fatalf("the process ended after %d messages", len(acked))
	}
	delivered := map[string]bool{}
	for line := range strings.Lines(string(must(os.ReadFile(filepath.Join(host, "delivered"))))) {
		delivered[strings.TrimSpace(line)] = true
	}

	dir, _, undo = mounted(t, fs, image2)
	defer undo()
	q, err := OpenQueue(QueueOptions{Dir: filepath.Join(dir, "spool"), Reserve: 1, ReserveInodes: 1, NextHop: func() gateway.NextHop { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, l := range must(q.List(&Filter{})) {
		m, err := openMessage(q.name(l.ID, ".msg"), l.ID)
		if err == nil {
			_, err = m.verify(t.Context(), make([]byte, copyBuffer))
			m.file.Close()
		}
		if err != nil {
			t.Errorf("%v: %v", l.ID, err)
		}
		there[l.ID.String()] = true
	}
	if d := must(q.Damaged()); len(d) > 0 {
		t.Errorf("damaged: %v", d)
	}
	for ref := range acked {
		if there[ref] {
			found++
		} else if !delivered[ref] {
			t.Errorf("%s: %s was taken, and is lost", fs, ref)
		}
	}
	return len(acked), found
}

// copyDevice copies the image below a device, until nothing was written to it meanwhile.
func copyDevice(t *testing.T, device, from, to string) {
	stat := filepath.Join("/sys/block", filepath.Base(device), "stat")
	for try := range 20 {
		before := writes(t, stat)
		run(t, "cp", "--sparse=always", from, to)
		if after := writes(t, stat); before == after {
			return
		} else if try == 19 {
			t.Fatalf("%s is written all the time: %s, %s", device, before, after)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// writes is how much was written to a device, and how much is on its way (Documentation/block/stat.rst).
func writes(t *testing.T, stat string) string {
	f := strings.Fields(string(must(os.ReadFile(stat))))
	if len(f) < 9 {
		t.Fatalf("%s: %v", stat, f)
	}
	return fmt.Sprint(f[4], f[6], f[8])
}
