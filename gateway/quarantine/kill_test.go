package quarantine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost/gateway"
)

// What a process that a test started is to do, in which folder, and at which step it is to die.
const (
	childDir  = "GATEPOST_TEST_VAULT"
	childDo   = "GATEPOST_TEST_VAULT_DO"
	childStep = "GATEPOST_TEST_VAULT_STEP"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childDo), os.Getenv(childStep)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// killedID is of a message that is old enough to be settled.
const killedID = gateway.ID(1_790_000_000_000 << 20)

// killedMail is what the child keeps.
func killedMail() *gateway.Keeping {
	return keeping(killedID, strings.Repeat("octets ", 40_000), gateway.SpamScore, "a@example.org", "b@example.org")
}

// fileLedger remembers in a file, which survives a kill.
type fileLedger struct {
	ledger
	name string
}

func openFileLedger(dir string) *fileLedger {
	l := &fileLedger{name: filepath.Join(dir, "ledger")}
	if text, err := os.ReadFile(l.name); err == nil {
		_ = json.Unmarshal(text, &l.done)
	}
	return l
}

func (l *fileLedger) Begin(_ context.Context, message [32]byte, rcpts []string) (gateway.Claim, error) {
	return &fileClaim{claim{l: &l.ledger, message: fmt.Sprintf("%x", message), rcpts: rcpts}, l}, nil
}

func (l *fileLedger) save() {
	text, _ := json.Marshal(l.done)
	_ = os.WriteFile(l.name, text, 0o600)
}

type fileClaim struct {
	claim
	file *fileLedger
}

func (c *fileClaim) End(took []bool) {
	c.claim.End(took)
	c.file.save()
}

// fileHop writes what it takes to a file, which survives a kill.
type fileHop struct{ name string }

func (fileHop) Carries(string) gateway.Carries { return gateway.Carries{} }

func (h fileHop) Relay(_ context.Context, d *gateway.Delivery) gateway.Relayed {
	text, err := io.ReadAll(io.MultiReader(d.Content.Parts...))
	word := "torn"
	if k := killedMail(); err == nil && strings.HasPrefix(string(text), markOf(killedID)) {
		all, _ := io.ReadAll(gateway.Reader(k.Envelope.Body))
		if string(text) == markOf(killedID)+strings.TrimPrefix(string(all), "X-Spam-Flag: NO\r\n") {
			word = "whole"
		}
	}
	f, err := os.OpenFile(h.name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "%s %d\n", word, len(d.Rcpts))
		f.Close()
	}
	if err != nil {
		return gateway.Relayed{}
	}
	return gateway.Relayed{Result: gateway.Delivered, At: gateway.AtDot}
}

// killedVault opens the vault of a folder, with an index that a crash takes away whole.
func killedVault(dir string, step func(string)) (*Vault, *fileLedger, error) {
	keys, err := LoadKeys(filepath.Join(dir, "vault.key"), true)
	if err != nil {
		return nil, nil, err
	}
	l := openFileLedger(dir)
	v, err := Open(Options{Dir: filepath.Join(dir, "vault"), Keys: keys, Index: new(memoryIndex), Reserve: 1, ReserveInodes: 1, IDs: new(gateway.IDs),
		Ledger: l, Done: l.Done, NextHop: func() gateway.NextHop { return fileHop{filepath.Join(dir, "hop")} },
		Way:  func(to gateway.Address) ([]gateway.Address, string, error) { return []gateway.Address{to}, "r", nil },
		step: step})
	if err == nil {
		v.Tune(Tuning{Keep: 100 * 365 * 24 * time.Hour})
		v.Tend(context.Background())
	}
	return v, l, err
}

// child does what it was told until it dies, by a signal that nothing can catch.
func child(dir, do, step string) error {
	v, l, err := killedVault(dir, func(at string) {
		if at == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	if err != nil {
		return err
	}
	ctx := context.Background()
	k := killedMail()
	kept, err := v.Prepare(ctx, k)
	if err != nil {
		return err
	}
	l.put(k.Message, k.Keys, []bool{true, true}) // the rest of the message was delivered
	if do != "store" {
		l.save()
	}
	if err := kept.Publish(); err != nil {
		return err
	}
	switch do {
	case "release":
		_, err = v.Release(ctx, &Release{ID: killedID, By: "me"})
	case "delete":
		err = v.Delete(ctx, killedID, nil, "me")
	}
	return err
}

// TestKill kills a process at each step of storing, showing, releasing and deleting, and looks at what the next start finds:
// nothing that was promised is lost, nothing is there twice, nothing goes out twice without its mark, and what was deleted
// does not come back.
func TestKill(t *testing.T) {
	for _, tt := range []struct {
		do, steps string
	}{
		{"store", "create write sync rename dirsync"},
		{"publish", "publish published publishsync"},
		{"release", "releasing relay relayed ledger released"},
		{"delete", "forget blot unlink"},
	} {
		for step := range strings.FieldsSeq(tt.steps) {
			t.Run(tt.do+" "+step, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c := exec.CommandContext(ctx, os.Args[0])
				c.Env = append(os.Environ(), childDir+"="+dir, childDo+"="+tt.do, childStep+"="+step)
				if out, err := c.CombinedOutput(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("it did not die: %v\n%s", err, out)
				}
				v, _, err := killedVault(dir, nil)
				if err != nil {
					t.Fatal(err)
				}
				killed{t, v, dir}.look(tt.do, step)
			})
		}
	}
}

type killed struct {
	*testing.T
	v   *Vault
	dir string
}

func (k killed) look(do, step string) {
	k.Helper()
	if do == "delete" {
		if row := k.row(); row != nil && step != "forget" {
			k.Errorf("it came back: %+v", row)
		}
		if err := k.v.Delete(k.Context(), killedID, nil, "me"); err != nil && !strings.Contains(err.Error(), ErrNone.Error()) {
			k.Error(err)
		}
		if left, err := filepath.Glob(filepath.Join(k.v.folder(killedID), "*")); err != nil || len(left) != 0 {
			k.Errorf("left are %v, %v", left, err)
		}
		return
	}
	if row := k.row(); (row == nil) != (do == "store") {
		k.Errorf("after the crash there is %+v", row)
	}
	kept, err := k.v.Prepare(k.Context(), killedMail()) // the sender comes again
	if err == nil {
		err = kept.Publish()
	}
	if err != nil {
		k.Fatal(err)
	}
	row := k.row()
	if row == nil {
		k.Fatal("it is lost")
	}
	if names, err := filepath.Glob(filepath.Join(k.v.folder(killedID), "*.gpq*")); err != nil || len(names) != 1 {
		k.Errorf("there are %v, %v", names, err)
	}
	if row.Rcpts[0].State == Visible {
		if _, err := k.v.Release(k.Context(), &Release{ID: killedID, By: "me"}); err != nil {
			k.Error(err)
		}
	}
	if row = k.row(); row.Rcpts[0].State != Released || row.Rcpts[1].State != Released {
		k.Errorf("released it is %+v", row.Rcpts)
	}
	text, err := os.ReadFile(filepath.Join(k.dir, "hop"))
	want := "whole 2\n"
	if step == "relayed" { // the next hop has it, and nobody can know
		want += want
	}
	if err != nil || string(text) != want {
		k.Errorf("the next hop got %q, %v; want %q", text, err, want)
	}
}

func (k killed) row() *Row {
	k.Helper()
	rows, err := k.v.Find(k.Context(), &Filter{})
	if err != nil || len(rows) > 1 {
		k.Fatalf("%d rows, %v", len(rows), err)
	}
	if len(rows) == 0 {
		return nil
	}
	return &rows[0]
}
