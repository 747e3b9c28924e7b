package clamd

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// service is a real clamd of the tests' own, on a Unix socket and a TCP port.
type service struct {
	unix, tcp string
	cmd       *exec.Cmd
}

// Three daemons, each started when first asked for and stopped by TestMain.
var (
	services sync.Map // *service -> nil, to stop
	strict   = sync.OnceValues(func() (*service, error) {
		return startClamd("StreamMaxLength 3M\nMaxFileSize 2M\nAlertExceedsMax yes\nExtendedDetectionInfo yes\n")
	})
	silent = sync.OnceValues(func() (*service, error) {
		return startClamd("StreamMaxLength 8M\nMaxFileSize 3M\n")
	})
	roomy = sync.OnceValues(func() (*service, error) {
		return startClamd("StreamMaxLength 64M\nMaxFileSize 64M\nMaxScanSize 64M\nAlertExceedsMax yes\nDisableCache yes\n")
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	services.Range(func(key, _ any) bool {
		s := key.(*service)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = os.RemoveAll(s.cmd.Dir)
		return true
	})
	os.Exit(code)
}

// need returns a running daemon; without one the test fails.
func need(t testing.TB, get func() (*service, error)) *service {
	t.Helper()
	s, err := get()
	if err != nil {
		t.Fatalf("the real clamd (Debian package clamav-daemon) is needed: %v", err)
	}
	return s
}

func startClamd(options string) (*service, error) {
	bin, err := exec.LookPath("clamd")
	if err != nil {
		if bin, err = exec.LookPath("/usr/sbin/clamd"); err != nil {
			return nil, err
		}
	}
	var last error
	for range 3 { // the port may be taken between choosing and using it
		s, err := launch(bin, options)
		if err == nil {
			return s, nil
		}
		last = err
	}
	return nil, last
}

// signatures of the test database: NAME:TARGET(0=any):OFFSET(*=any):HEX.
func signatures() string {
	return fmt.Sprintf("Eicar-Test-Signature:0:*:%x\nGatepost.Test-2:0:*:%s\nPUA.Gatepost.Test-3:0:*:%s\n",
		eicar(), hex.EncodeToString([]byte("second test signature")), hex.EncodeToString([]byte("third test signature")))
}

func launch(bin, options string) (*service, error) {
	dir, err := os.MkdirTemp("", "clamd-test-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("Foreground yes\nDatabaseDirectory %[1]s/db\nLocalSocket %[1]s/sock\nTCPSocket %[2]d\nTCPAddr 127.0.0.1\n"+
		"TemporaryDirectory %[1]s\nMaxThreads 4\n%[3]s", dir, port, options)
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o755); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"db/test.ndb": signatures(), "clamd.conf": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &service{unix: "unix:" + dir + "/sock", tcp: fmt.Sprintf("tcp:127.0.0.1:%d", port)}
	s.cmd = exec.Command(bin, "-c", filepath.Join(dir, "clamd.conf"))
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	services.Store(s, nil)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if ready(s.unix) && ready(s.tcp) {
			return s, nil
		}
	}
	text, _ := os.ReadFile(filepath.Join(dir, "log"))
	return nil, fmt.Errorf("clamd does not answer; its log: %s", text)
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
