package spamd

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// service is a real spamd of the tests' own, with the rules that Debian installs
// and a few more. One spamd listens on a Unix socket and a TCP port.
type service struct {
	unix, tcp string
	cmd       *exec.Cmd
}

var (
	running *service
	real    = sync.OnceValues(startSpamd)
)

func TestMain(m *testing.M) {
	code := m.Run()
	if running != nil {
		_ = running.cmd.Process.Signal(os.Interrupt) // spamd ends its children
		_ = running.cmd.Wait()
		_ = os.RemoveAll(running.cmd.Dir)
	}
	os.Exit(code)
}

// need returns the running daemon; without one the test fails.
func need(t testing.TB) *service {
	t.Helper()
	s, err := real()
	if err != nil {
		t.Fatalf("the real spamd (Debian packages spamassassin and spamd) is needed: %v", err)
	}
	return s
}

// rules of the tests, in the shapes that make a report hard to read.
const rules = `
body GP_WRAPPED /gatepost alpha/
describe GP_WRAPPED A rule whose description is so long that spamd has to wrap it over more than one line of its report
score GP_WRAPPED 1.234
body GP_A_RULE_WITH_A_VERY_LONG_NAME_INDEED_LONGER_THAN_ANY_COLUMN /gatepost alpha/
score GP_A_RULE_WITH_A_VERY_LONG_NAME_INDEED_LONGER_THAN_ANY_COLUMN 12.56
body GP_TINY /gatepost alpha/
score GP_TINY 0.001
body GP_NEGATIVE /gatepost beta/
score GP_NEGATIVE -3.5
body GP_HUGE /gatepost beta/
score GP_HUGE -1000
body GP_JUST_UNDER /gatepost gamma/
score GP_JUST_UNDER 4.96
`

func startSpamd() (*service, error) {
	bin, err := exec.LookPath("spamd")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/spamd"); err != nil {
			return nil, err
		}
	}
	var last error
	for range 3 { // the port may be taken between choosing and using it
		s, err := launch(bin)
		if err == nil {
			running = s
			return s, nil
		}
		last = err
	}
	return nil, last
}

func launch(bin string) (*service, error) {
	dir, err := os.MkdirTemp("", "spamd-test-")
	if err != nil {
		return nil, err
	}
	plugins, err := filepath.Glob("/etc/spamassassin/*.pre")
	if err != nil || len(plugins) == 0 {
		return nil, fmt.Errorf("no plugins in /etc/spamassassin: %v", err)
	}
	files := map[string]string{"local.cf": rules + "bayes_path " + dir + "/bayes/b\nbayes_auto_learn 0\n"}
	for _, p := range plugins {
		text, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		files[filepath.Base(p)] = string(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "bayes"), 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Join(dir, "bayes"), 0o777); err != nil { // whoever spamd becomes learns there
		return nil, err
	}
	// spamd gives up root and must still reach its rules.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &service{unix: "unix:" + dir + "/sock", tcp: fmt.Sprintf("tcp:127.0.0.1:%d", port)}
	args := []string{"--local", "--nouser-config", "--max-children=2", "--siteconfigpath=" + dir, "--syslog=stderr",
		"--listen=" + dir + "/sock", "--socketmode=0666", fmt.Sprintf("--listen=127.0.0.1:%d", port), "--helper-home-dir=" + dir, "--allow-tell"}
	if os.Getuid() == 0 {
		args = append(args, "--username=nobody")
	}
	s.cmd = exec.Command(bin, args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, log, log
	s.cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if ready(s.unix) && ready(s.tcp) {
			return s, nil
		}
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	return nil, fmt.Errorf("spamd does not answer; its log: %s", strings.TrimSpace(string(text)))
}

func ready(address string) bool {
	c, err := New(Config{Address: address})
	return err == nil && c.Ping(context.Background()) == nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
