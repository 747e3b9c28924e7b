package hook

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPython runs the hook of docs/hook.md, as somebody who copies it would.
func TestPython(t *testing.T) {
	text, err := os.ReadFile("../../docs/hook.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, ok := strings.Cut(string(text), "```python\n")
	code, _, ended := strings.Cut(code, "```\n")
	if !ok || !ended {
		t.Fatal("docs/hook.md has no program")
	}
	dir := t.TempDir()
	program, secret := filepath.Join(dir, "hook.py"), filepath.Join(dir, "secret")
	for name, content := range map[string]string{program: code, secret: "between us\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "python3", program, "0", secret)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	var port int
	if _, scan := fmt.Sscanf(line, "listening at %d", &port); err != nil || scan != nil {
		t.Fatalf("it says %q, %v", line, err)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/gatepost", port)
	c := client(t, Config{URL: url, Secret: []byte("between us")})
	if said, err := c.Probe(t.Context()); err != nil || said != "crm hook 1.0" {
		t.Fatalf("probe: %q, %v", said, err)
	}
	many := &Document{To: []string{"a@example.com"}}
	for i := range 11 {
		many.Parts = append(many.Parts, Part{Names: []string{fmt.Sprint(i, ".txt")}})
	}
	for _, tc := range []struct {
		d    *Document
		want string
	}{
		{&Document{To: []string{"a@example.com"}}, "pass 0 "},
		{&Document{To: []string{"a@example.com", "left@example.com"}}, "fail 0 reject"},
		{many, "pass 1.5 "},
	} {
		a, err := c.Ask(t.Context(), tc.d)
		if got := fmt.Sprintf("%s %g %s", a.Result, a.Score, a.Hint); err != nil || got != tc.want {
			t.Errorf("%v: %s, %v, want %s", tc.d.To, got, err, tc.want)
		}
	}
	if _, err := client(t, Config{URL: url, Secret: []byte("guessed")}).Ask(t.Context(), &Document{}); err == nil {
		t.Error("a wrong signature was taken")
	}
}
