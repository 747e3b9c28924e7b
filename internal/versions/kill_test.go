package versions_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/internal/config"
	"gatepost/internal/store/admin"
	"gatepost/internal/versions"
)

// killed is what tells the process of a test that it is the one which gets killed: the folder, and the step at which it ends
// itself.
const killed = "GATEPOST_TEST_KILLED"

// document is the text of a version: so long that it takes more than one write.
func document(number int64) string {
	return fmt.Sprintf("# %d\n", number) + strings.Repeat(fmt.Sprintf("# of version %d\n", number), 10000)
}

// end ends the process as kill -9 does.
func end() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }

// victim is a Target and a Store that end the process at a step.
type victim struct {
	*admin.Versions
	at string
}

func (v victim) Change(ctx context.Context, c versions.Change) (versions.Head, error) {
	if v.at == "before the store" {
		end()
	}
	h, err := v.Versions.Change(ctx, c)
	if v.at == "behind the store" {
		end()
	}
	return h, err
}

func (v victim) Prepare(context.Context, int64, []byte) (versions.Prepared, config.Problems, error) {
	if v.at == "while it is built" {
		end()
	}
	return v, nil, nil
}

func (v victim) Install(context.Context) {
	if v.at == "while it comes in force" {
		end()
	}
}

func (victim) Discard()              {}
func (victim) File() []byte          { return []byte(document(1)) }
func (victim) Guard() versions.Guard { return versions.Guard{} }

// keeper opens the data of a folder.
func keeper(t *testing.T, dir, at string) (*versions.Keeper, *admin.Versions, *config.Published) {
	t.Helper()
	db, err := admin.Open(context.Background(), admin.Options{Path: filepath.Join(dir, "admin.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	began, err := config.ReadPublished(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("the copy is half: %v", err)
	}
	s := admin.NewVersions(db)
	v := victim{s, at}
	return versions.New(versions.Options{Store: v, Target: v, Dir: dir, Copy: began, Tell: func(versions.Event) {
		if at == "behind the copy" {
			end()
		}
	}}), s, began
}

// TestVictim is the process that gets killed: it publishes without an end. In other runs there is nothing to do.
func TestVictim(t *testing.T) {
	dir, at, ok := strings.Cut(os.Getenv(killed), "|")
	if !ok {
		return
	}
	k, s, _ := keeper(t, dir, at)
	for {
		head, err := s.Head(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		next := max(head.Number, 1) + 1
		r, err := k.Publish(context.Background(), versions.Proposal{Text: []byte(document(next)), Expect: head.Number, Kind: versions.Publish})
		if err != nil || r.Version.Number != next {
			t.Fatalf("%d: %+v %v", next, r, err)
		}
		fmt.Printf("published %d\n", next)
	}
}

// kill has a process publish, and kills it: at a step, or a while after it has published three versions.
func kill(t *testing.T, dir, at string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestVictim$")
	c.Env = append(os.Environ(), killed+"="+dir+"|"+at)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var said []string
	for n := 0; lines.Scan(); {
		said = append(said, lines.Text())
		if strings.HasPrefix(lines.Text(), "published ") {
			if n++; n == 3 && at == "" {
				time.Sleep(after)
				_ = c.Process.Kill()
			}
		}
	}
	_ = c.Wait()
	if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Fatalf("%s: it was not killed: %v\n%s", at, c.ProcessState, strings.Join(said, "\n"))
	}
}

// TestKilled shows that whenever the process is killed, a whole version is in the store and on disk, the same or the one before,
// and that the next start has in force what the store says.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	steps := []string{"while it is built", "before the store", "behind the store", "while it comes in force", "behind the copy"}
	steps = append(steps, make([]string, 5)...) // and at any time
	for i, at := range steps {
		kill(t, dir, at, time.Duration(i)*500*time.Microsecond)
		t.Run(fmt.Sprint(i, at), func(t *testing.T) {
			k, s, began := keeper(t, dir, "")
			ctx := context.Background()
			head, err := s.Head(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for n := max(1, head.Number-3); n <= head.Number; n++ {
				if v, err := s.Version(ctx, n); err != nil || string(v.Text) != document(n) {
					t.Errorf("version %d of %d: %v", n, head.Number, err)
				}
			}
			if _, err := s.Version(ctx, head.Number+1); err != versions.ErrNone {
				t.Errorf("there is one behind the head: %v", err)
			}
			switch {
			case began == nil && head.Number > 2:
				t.Errorf("no copy, and version %d is published", head.Number)
			case began != nil && (began.Number != head.Number && began.Number != head.Number-1 || began.Text != document(began.Number)):
				t.Errorf("the copy is of version %d, the store has %d", began.Number, head.Number)
			}
			ctx, stop := context.WithCancel(ctx)
			ended := make(chan struct{})
			go func() { k.Run(ctx); close(ended) }()
			for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				if n, text := k.InForce(); n == head.Number && (n == 0 || string(text) == document(n)) {
					break
				}
				if time.Now().After(until) {
					t.Fatal("the start did not come to what the store says")
				}
			}
			stop()
			<-ended
		})
	}
}
