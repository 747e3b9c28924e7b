package targets

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshd is an SSH server whose SFTP is Debian's sftp-server.
type sshd struct {
	addr string
	key  string       // its fingerprint
	most atomic.Int64 // octets that it reads before it does what fault says; 0: all
	hang atomic.Bool  // then it reads no more; else it breaks off
	full atomic.Bool  // then a file may have 4 KiB
}

// pair makes a key.
func pair(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}

func startSSHD(t *testing.T, user ssh.PublicKey) *sshd {
	t.Helper()
	host, _ := pair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s := &sshd{addr: l.Addr().String(), key: ssh.FingerprintSHA256(host.PublicKey())}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), user.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
		PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) != "pass word" {
				return nil, errors.New("wrong")
			}
			return nil, nil
		},
	}
	config.AddHostKey(host)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(&faulty{Conn: c, s: s, ended: make(chan struct{})}, config)
		}
	}()
	return s
}

// faulty is a connection that breaks or hangs once so much was read.
type faulty struct {
	net.Conn
	s     *sshd
	n     int64
	ended chan struct{}
}

func (f *faulty) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	f.n += int64(n)
	if most := f.s.most.Load(); most > 0 && f.n > most {
		if f.s.hang.Load() {
			<-f.ended
		}
		_ = f.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (s *sshd) serve(c *faulty, config *ssh.ServerConfig) {
	defer c.Close()
	time.AfterFunc(time.Minute, func() { close(c.ended) })
	conn, chans, reqs, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for ch := range chans {
		channel, requests, err := ch.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "subsystem", nil)
			if r.Type == "subsystem" {
				break
			}
		}
		go ssh.DiscardRequests(requests)
		script := "exec /usr/lib/openssh/sftp-server -e"
		if s.full.Load() {
			script = "trap '' XFSZ; ulimit -f 8; " + script
		}
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Stdin, cmd.Stdout = channel, channel
		_ = cmd.Run()
		_ = channel.Close()
	}
}

const (
	first  = "gatepost-mx.example.org-20261127T160000Z.age"
	second = "gatepost-mx.example.org-20261128T160000Z.age"
	third  = "gatepost-mx.example.org-20261129T160000Z.age"
)

// backupFile is a file to bring.
func backupFile(t *testing.T, octets int) string {
	t.Helper()
	data := make([]byte, octets)
	_, _ = rand.Read(data)
	name := filepath.Join(t.TempDir(), "made")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func listed(t *testing.T, dir string) (out []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		out = append(out, e.Name())
	}
	return out
}

// both runs a test on a folder of this machine and on one by SFTP.
func both(t *testing.T, do func(t *testing.T, dir string, open Opener)) {
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		do(t, dir, Directory(dir))
	})
	t.Run("sftp", func(t *testing.T) {
		dir := t.TempDir()
		signer, private := pair(t)
		s := startSSHD(t, signer.PublicKey())
		do(t, dir, SFTP{Address: s.addr, User: "gatepost", Folder: dir, HostKey: s.key, Key: private}.Open)
	})
}

// TestBring brings backups, and removes the oldest of this host and what a broken transfer left, and nothing else.
func TestBring(t *testing.T) {
	both(t, func(t *testing.T, dir string, open Opener) {
		others := []string{"gatepost-mx2.example.org-20200101T000000Z.age", "notes.txt", "gatepost-mx.example.org-broken.age", "gatepost-mx2.example.org-20200101T000000Z.age.part"}
		for _, name := range append(others, first+half, "gatepost-mx.example.org-20200101T000000Z.age.part") {
			if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := backupFile(t, 3<<20+17)
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{first, second, third, third} { // the last once more
			if err := Bring(t.Context(), open, file, name, 2); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d octets, %v", name, len(got), err)
			}
		}
		wanted := append(slices.Clone(others), second, third)
		slices.Sort(wanted)
		if got := listed(t, dir); !slices.Equal(got, wanted) {
			t.Errorf("there are %q", got)
		}
		if err := Bring(t.Context(), open, file, "a.age", 2); err == nil {
			t.Error("any name is brought")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Bring(ctx, open, file, first, 9); err == nil {
			t.Error("it goes on after it was told to end")
		}
		if got := listed(t, dir); !slices.Equal(got, wanted) {
			t.Errorf("after it was told to end there are %q", got)
		}
	})
}

// TestDirectoryAway: a folder that is not there is not made, and one that is full has nothing half.
func TestDirectoryAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := Bring(t.Context(), Directory(dir), backupFile(t, 10), first, 2); err == nil || !strings.Contains(err.Error(), "is its disk mounted?") {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Error("it was made")
	}
	if err := Bring(t.Context(), Directory(backupFile(t, 1)), backupFile(t, 10), first, 2); err == nil || !strings.Contains(err.Error(), "is no folder") {
		t.Error(err)
	}
}

// TestSFTPFaults: what goes wrong with another machine is told in time, leaves no backup that is not whole, and removes none that was there;
// and once it is well, the next transfer sweeps what was left.
func TestSFTPFaults(t *testing.T) {
	signer, private := pair(t)
	_, stranger := pair(t)
	for name, c := range map[string]struct {
		change func(s *sshd, to *SFTP)
		want   string
	}{
		"wrong host key": {func(_ *sshd, to *SFTP) { to.HostKey = "SHA256:" + strings.Repeat("A", 43) }, "shows the host key SHA256:"},
		"wrong key":      {func(_ *sshd, to *SFTP) { to.Key = stranger }, "unable to authenticate"},
		"wrong password": {func(_ *sshd, to *SFTP) { to.Key, to.Password = nil, "x" }, "unable to authenticate"},
		"no key":         {func(_ *sshd, to *SFTP) { to.Key = []byte("nonsense") }, "private key: "},
		"away":           {func(_ *sshd, to *SFTP) { to.Address = "127.0.0.1:1" }, "connection refused"},
		"no folder":      {func(_ *sshd, to *SFTP) { to.Folder += "/none" }, "is no folder there"},
		"cut off":        {func(s *sshd, _ *SFTP) { s.most.Store(1 << 20) }, "connection lost"},
		"hangs":          {func(s *sshd, _ *SFTP) { s.most.Store(1 << 20); s.hang.Store(true) }, "connection lost"},
		"full":           {func(s *sshd, _ *SFTP) { s.full.Store(true) }, "Failure"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, first), []byte("older"), 0o600); err != nil {
				t.Fatal(err)
			}
			s := startSSHD(t, signer.PublicKey())
			good := SFTP{Address: s.addr, User: "gatepost", Folder: dir, HostKey: s.key, Key: private, stall: time.Second}
			to := good
			c.change(s, &to)
			file := backupFile(t, 3<<20)
			if err := Bring(t.Context(), to.Open, file, second, 1); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			for _, left := range listed(t, dir) {
				if left != first && left != second+half {
					t.Errorf("there is %s", left)
				}
			}
			s.most.Store(0)
			s.full.Store(false)
			if err := Bring(t.Context(), good.Open, file, third, 1); err != nil {
				t.Fatal(err)
			}
			if got := listed(t, dir); !slices.Equal(got, []string{third}) {
				t.Errorf("once it is well there are %q", got)
			}
		})
	}
	s := startSSHD(t, signer.PublicKey())
	dir := t.TempDir()
	if err := Bring(t.Context(), SFTP{Address: s.addr, User: "gatepost", Folder: dir, HostKey: s.key, Password: "pass word"}.Open, backupFile(t, 10), first, 1); err != nil {
		t.Errorf("by a password: %v", err)
	}
}
