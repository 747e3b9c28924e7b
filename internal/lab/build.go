package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Build makes the gatepost program from these sources and returns its path. When
// the calling program has the race detector, so has the one it makes.
//
// $GATEPOST_BINARY names a program to use instead. All processes of one user
// share one file; a process that finds it newer than its own start takes it as
// it is, so that the tests of a run build it once.
func Build(ctx context.Context) (string, error) { return buildOnce(ctx, raceEnabled) }

// BuildPlain is Build without the race detector, for tests of how much memory the program takes: the detector's own cannot
// be told from it.
func BuildPlain(ctx context.Context) (string, error) { return buildOnce(ctx, false) }

func buildOnce(ctx context.Context, race bool) (string, error) {
	if binary := os.Getenv("GATEPOST_BINARY"); binary != "" {
		return binary, nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	name, flags := "gatepost", []string{"build", "-trimpath"}
	if race { // as scripts/test builds, so that what it compiled is used again
		name, flags = "gatepost-race", []string{"build", "-race", "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc=-race=false", "-ldflags=-w"}
	}
	dir := filepath.Join(root, ".cache", "lab")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	unlock, err := lockFile(filepath.Join(dir, name+".lock"))
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	defer unlock()
	binary := filepath.Join(dir, name)
	if info, err := os.Stat(binary); err == nil {
		if began, err := processStart(); err == nil && info.ModTime().After(began) {
			return binary, nil
		}
	}
	return binary, build(ctx, root, binary, flags)
}

// build builds beside the target and renames, so that a daemon that runs keeps
// its file.
func build(ctx context.Context, root, binary string, flags []string) error {
	fresh := binary + ".new"
	cmd := exec.CommandContext(ctx, "go", append(flags, "-o", fresh, "./cmd/gatepost")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if slices.Contains(flags, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	if err := os.Rename(fresh, binary); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	return nil
}

// moduleRoot is the folder of our go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("build: go list: %w", err)
	}
	path, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	if path != "gatepost" {
		return "", fmt.Errorf("build: this is module %s; run it inside gatepost's sources", path)
	}
	return dir, nil
}

// lockFile waits for a lock that ends with the process at the latest.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// processStart is when this process began, to a hundredth of a second.
func processStart() (time.Time, error) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return time.Time{}, err
	}
	system, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	// After the name in parentheses come fields 3 and on; 22 is the start, in
	// hundredths of a second since boot (proc(5)).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	_, after, ok := strings.Cut(string(system), "\nbtime ")
	if len(fields) < 20 || !ok {
		return time.Time{}, errors.New("process start: unknown form of /proc")
	}
	boot, _, _ := strings.Cut(after, "\n")
	seconds, err1 := strconv.ParseInt(boot, 10, 64)
	ticks, err2 := strconv.ParseInt(fields[19], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return time.Time{}, err
	}
	// btime is in whole seconds: one more makes sure that it is not before.
	return time.Unix(seconds+1, 0).Add(time.Duration(ticks) * 10 * time.Millisecond), nil
}

// copyLimited copies at most limit octets; more are an error.
func copyLimited(to io.Writer, from io.Reader, limit int64) (int64, error) {
	n, err := io.Copy(to, io.LimitReader(from, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("over %d octets", limit)
	}
	return n, err
}

// Raced says whether the programs that are built here have the race detector, which takes memory of its own.
func Raced() bool { return raceEnabled }

// Root is the folder of these sources.
func Root(ctx context.Context) (string, error) { return moduleRoot(ctx) }
