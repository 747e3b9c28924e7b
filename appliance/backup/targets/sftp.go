package targets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"gatepost/internal/durable"
)

// Times of what is far away.
const (
	dialTime  = 30 * time.Second
	stallTime = time.Minute // for which nothing may come or go
)

// SFTP is a folder of another machine.
type SFTP struct {
	Address  string // host:port
	User     string
	Folder   string // from the root, or from the user's folder if it has no / in front
	HostKey  string // its fingerprint, SHA256:...; no other is accepted
	Key      []byte // the private key that logs in, as PEM; nil: Password does
	Password string

	stall time.Duration // 0: stallTime
}

// Open is an Opener.
func (s SFTP) Open(ctx context.Context) (Place, error) {
	login, err := s.login()
	if err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(dialing, "tcp", s.Address)
	if err != nil {
		return nil, err
	}
	conn := &moving{Conn: raw, most: s.stall}
	if conn.most == 0 {
		conn.most = stallTime
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	c, chans, reqs, err := ssh.NewClientConn(conn, s.Address, &ssh.ClientConfig{User: s.User, Auth: []ssh.AuthMethod{login}, HostKeyCallback: s.pinned})
	if err != nil {
		stop()
		return nil, errors.Join(err, ignoreClosed(raw.Close()))
	}
	client := ssh.NewClient(c, chans, reqs)
	files, err := sftp.NewClient(client, sftp.UseConcurrentWrites(true))
	if err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("%s offers no SFTP: %w", s.Address, err), ignoreClosed(client.Close()))
	}
	p := &far{files: files, client: client, folder: s.Folder, stop: stop}
	if info, err := files.Stat(p.at("")); err != nil || !info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s: %s is no folder there (%w)", s.Address, p.at(""), cmpErr(err)), p.Close())
	}
	return p, nil
}

func cmpErr(err error) error {
	if err == nil {
		return errors.New("it is a file")
	}
	return err
}

func (s SFTP) login() (ssh.AuthMethod, error) {
	if s.Key == nil {
		return ssh.Password(s.Password), nil
	}
	signer, err := ssh.ParsePrivateKey(s.Key)
	if err != nil { // which quotes nothing of it
		return nil, fmt.Errorf("private key: %w", err)
	}
	return ssh.PublicKeys(signer), nil
}

// pinned accepts the one host key.
func (s SFTP) pinned(_ string, _ net.Addr, key ssh.PublicKey) error {
	if got := ssh.FingerprintSHA256(key); got != s.HostKey {
		return fmt.Errorf("%s shows the host key %s (%s), and host_key is %s: it is another machine, somebody is between, or its key was changed", s.Address, got, key.Type(), s.HostKey)
	}
	return nil
}

// moving is a connection on which something must come and go.
type moving struct {
	net.Conn
	most time.Duration
}

func (m *moving) Read(p []byte) (int, error) {
	if err := m.SetReadDeadline(time.Now().Add(m.most)); err != nil {
		return 0, err
	}
	return m.Conn.Read(p)
}

func (m *moving) Write(p []byte) (int, error) {
	if err := m.SetDeadline(time.Now().Add(m.most)); err != nil { // of who reads too: nothing comes while all goes
		return 0, err
	}
	n, err := m.Conn.Write(p)
	return n, errors.Join(err, m.SetReadDeadline(time.Now().Add(m.most)))
}

// far is an open folder of another machine.
type far struct {
	files  *sftp.Client
	client *ssh.Client
	folder string
	stop   func() bool
}

func (f *far) at(name string) string {
	return cmp.Or(path.Join(strings.TrimPrefix(f.folder, "/~/"), name), ".")
}

func (f *far) Close() error {
	f.stop()
	return errors.Join(ignoreClosed(f.files.Close()), ignoreClosed(f.client.Close()))
}

// ignoreClosed forgets that a connection was closed before: what failed on it was told.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (f *far) Put(ctx context.Context, name string, from io.Reader, size int64) error {
	part := f.at(name + half)
	if err := durable.Remove(f.files, part); err != nil {
		return err
	}
	err := f.write(ctx, part, from, size)
	if err == nil {
		err = f.files.PosixRename(part, f.at(name))
	}
	if err == nil {
		return nil
	}
	_ = f.files.Remove(part) // if the connection is there still; else the next one does
	return err
}

func (f *far) write(ctx context.Context, part string, from io.Reader, size int64) error {
	to, err := f.files.Create(part)
	if err != nil {
		return err
	}
	n, err := to.ReadFrom(&io.LimitedReader{R: reader{ctx, from}, N: size}) // with the size known, packets do not wait for each other
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		if _, can := f.files.HasExtension("fsync@openssh.com"); can {
			err = to.Sync()
		}
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return err
	}
	info, err := f.files.Stat(part)
	if err != nil {
		return err
	}
	if info.Size() != size {
		return fmt.Errorf("%d of %d octets are there", info.Size(), size)
	}
	return nil
}

func (f *far) Names(begin string) (out []string, err error) {
	all, err := f.files.ReadDir(f.at(""))
	for _, info := range all {
		if strings.HasPrefix(info.Name(), begin) {
			out = append(out, info.Name())
		}
	}
	return out, err
}

func (f *far) Remove(name string) error { return f.files.Remove(f.at(name)) }
