package spool

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/gateway"
)

// kills is how often TestKill kills; scripts/soak asks for more.
var kills = flag.Int("queue-kills", 6, "kills of a process that puts and delivers")

// childDir names the folder to a process that a test started; it may have a queue elsewhere, and put messages from so many
// callers, with a pause between two.
const (
	childDir   = "GATEPOST_TEST_QUEUE"
	childQueue = "GATEPOST_TEST_QUEUE_DIR"
	childPuts  = "GATEPOST_TEST_QUEUE_PUTS"
	childPause = "GATEPOST_TEST_QUEUE_PAUSE"
	childAway  = "GATEPOST_TEST_QUEUE_AWAY" // a route whose next hop is away
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		puts, _ := strconv.Atoi(os.Getenv(childPuts))
		pause, _ := time.ParseDuration(os.Getenv(childPause))
		if err := child(dir, cmp.Or(os.Getenv(childQueue), filepath.Join(dir, "spool")), puts, pause); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child puts messages until it is killed, and says of each on its output that it was taken, while it delivers to a file.
// Without puts it ends once the queue is empty.
func child(dir, queue string, puts int, pause time.Duration) error {
	out, err := os.OpenFile(filepath.Join(dir, "delivered"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	q, err := OpenQueue(QueueOptions{Dir: queue, Reserve: 1, ReserveInodes: 1, Tuning: Tuning{PerRoute: 3},
		NextHop: func() gateway.NextHop { return fileHop{out} }})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var ids gateway.IDs
	if puts > 0 {
		for range puts {
			go func() {
				for {
					d := randomMail(ids.Next())
					if err := q.Put(ctx, d, gateway.Custody{}); err != nil {
						fmt.Println("error", err)
						return
					}
					fmt.Println("+" + d.ID.String())
					time.Sleep(pause)
				}
			}()
		}
		q.Run(ctx)
		return nil
	}
	go q.Run(ctx)
	for len(must(q.List(&Filter{}))) > 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if d := must(q.Damaged()); len(d) > 0 {
		return fmt.Errorf("damaged: %v", d)
	}
	return nil
}

// randomMail is a message whose text ends with its own digest, larger than a write now and then.
func randomMail(id gateway.ID) *gateway.Delivery {
	rng := rand.New(rand.NewPCG(uint64(id), 1))
	route := []string{"a", "b", "b"}[rng.IntN(3)]
	text := make([]byte, rng.IntN(4)*rng.IntN(60_000)+100)
	for i := range text {
		text[i] = 'a' + byte(rng.Uint32()%26)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(text))
	d := mail(id, route, "bob@our.example")
	d.Content = gateway.Content{Parts: []io.Reader{strings.NewReader(string(text)), strings.NewReader(sum)}, Size: int64(len(text) + len(sum))}
	return d
}

// fileHop takes a message by writing its id to a file, which survives a kill.
type fileHop struct{ out *os.File }

func (fileHop) Carries(string) gateway.Carries { return gateway.Carries{} }

func (h fileHop) Relay(_ context.Context, d *gateway.Delivery) gateway.Relayed {
	if d.Route == os.Getenv(childAway) {
		return unreached(d, "")
	}
	text, err := readAll(d.Content)
	whole := err == nil && len(text) > 64 && text[len(text)-64:] == fmt.Sprintf("%x", sha256.Sum256([]byte(text[:len(text)-64])))
	if !whole {
		fmt.Fprintf(h.out, "torn %v\n", d.ID)
	}
	fmt.Fprintf(h.out, "%v\n", d.ID)
	return gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot, Reply: gateway.Reply{Code: 250}}
}

// TestKill kills a process in the midst of taking and delivering, again and again: everything that was taken is delivered,
// whole, and twice at most what was being delivered when it was killed.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]bool{}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for range *kills {
		last := 20 + rng.IntN(150)
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childDir+"="+dir, childPuts+"=4")
		c.Stderr = t.Output()
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { _ = c.Process.Kill() }) // by its id
		n := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if ref, ok := strings.CutPrefix(lines.Text(), "+"); ok && len(ref) == 16 {
				acked[ref] = true
			} else if strings.HasPrefix(lines.Text(), "error") {
				t.Error(lines.Text())
			}
			if n++; n == last {
				_ = c.Process.Kill()
			}
		}
		_ = c.Wait()
		late.Stop()
		if n < last {
			t.Fatalf("the process ended by itself, after %d messages", n)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(os.Environ(), childDir+"="+dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("the last one: %v\n%s", err, out)
	}
	count := map[string]int{}
	twice := 0
	for line := range strings.Lines(string(must(os.ReadFile(filepath.Join(dir, "delivered"))))) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "torn") {
			t.Error(line)
			continue
		}
		if count[line]++; count[line] > 1 {
			twice++
		}
	}
	for ref := range acked {
		if count[ref] == 0 {
			t.Errorf("%s was taken, and is lost", ref)
		}
	}
	if most := *kills * 2 * 3; twice > most {
		t.Errorf("%d came twice, and no more than %d can have been on their way", twice, most)
	}
	t.Logf("%d taken, %d delivered, %d of them twice, %d kills", len(acked), len(count), twice, *kills)
}
