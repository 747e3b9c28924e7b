package sshd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"gatepost/internal/seats"
)

// Bounds of every connection.
const (
	maxConnections = 16
	ofEachClient   = 4 // of an IPv4 address or an IPv6 /64; not of loopback
	maxSessions    = 4 // of a connection at the same time
	maxTries       = 6 // keys and the like that are offered
	handshakeTime  = 20 * time.Second
	askTime        = 10 * time.Second // for who has a key
	idleTime       = 10 * time.Minute
	writeTime      = time.Minute     // that a client may leave a piece of output unread
	checkEvery     = 3 * time.Second // how soon it is noticed that somebody may stay no longer
	piece          = 16 << 10        // octets of output at a time
	version        = "SSH-2.0-Gatepost"
)

// Times are the bounds that a test shortens; what is zero is as it is meant to be.
type Times struct{ Handshake, Idle, Write, Check time.Duration }

// Command is what somebody asks for.
type Command struct {
	Words    []string
	In       io.Reader // what the client sends
	Out, Err io.Writer
}

// Guest is somebody who came in.
type Guest interface {
	// Still reports whether he may stay. It is asked every few seconds; where it cannot be known, he may.
	Still(ctx context.Context) bool
	// Run runs a command, and returns its exit code. The context ends with the session.
	Run(ctx context.Context, c *Command) int
	// Left is called once, when his connection is over.
	Left()
}

// Host knows who may come in. Names are what strangers send, of any length and text.
type Host interface {
	// Try is asked once for each connection, before the first key of it is looked at. With false nothing is looked at.
	Try(name string, from netip.Addr) bool
	// Knows says whose key a client offers under a name, which proves nothing yet; nil for nobody's.
	Knows(ctx context.Context, name string, key []byte, from netip.Addr) Guest
	// Entered is called when a client has proved that it has the key. With false he is sent away.
	Entered(ctx context.Context, g Guest) bool
	// Failed is called when a connection that Try let pass ends without that.
	Failed(name string, from netip.Addr)
}

// Server is the door.
type Server struct {
	Host     Host
	Key      ssh.Signer // of this machine
	Networks []netip.Prefix
	Prompt   string
	Greeting string // at a prompt, a line
	Log      *slog.Logger
	Times    Times

	seats seats.Seats
}

// Counts returns how many connections are open, and how many were turned away.
func (s *Server) Counts() (open int, turned uint64) {
	open, _, turned = s.seats.Counts()
	return open, turned
}

// MaxConnections is how many connections there are at most.
func MaxConnections() int { return maxConnections }

// config is what is offered: what OpenSSH and the library hold for good in 2026, without SHA-1, CBC and certificates.
func (s *Server) config() *ssh.ServerConfig {
	all := ssh.SupportedAlgorithms()
	c := &ssh.ServerConfig{MaxAuthTries: maxTries, ServerVersion: version,
		PublicKeyAuthAlgorithms: []string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256,
			ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}}
	c.KeyExchanges, c.Ciphers = all.KeyExchanges, all.Ciphers
	c.MACs = slices.DeleteFunc(slices.Clone(all.MACs), func(m string) bool { return m == ssh.HMACSHA1 })
	c.AddHostKey(s.Key)
	return c
}

// Serve lets people in at a listener until the context is done; then all who are in are out.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	l = s.seats.Listen(l, seats.Bounds{Most: maxConnections, OfEach: ofEachClient}, s.client)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			all.Go(func() { s.serve(ctx, c) })
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default: // no descriptors are left, for example
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// client is whom an address counts for, and whether it is in one of the networks.
func (s *Server) client(a netip.Addr) (netip.Prefix, bool) {
	return seats.Client(a), slices.ContainsFunc(s.Networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// visit is one connection.
type visit struct {
	s     *Server
	conn  net.Conn
	from  netip.Addr
	name  string // that was tried; the first
	tried bool
	may   bool
	offer Guest  // of the key that was offered last
	key   string // it
	last  atomic.Int64
}

// serve serves one connection.
func (s *Server) serve(ctx context.Context, c net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	v := &visit{s: s, conn: c}
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		v.from = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	g, conn, chans, reqs := v.enter(ctx)
	if g == nil {
		if v.tried && v.may {
			s.Host.Failed(v.name, v.from)
		}
		return
	}
	defer g.Left()
	defer conn.Close()
	v.active()
	go ssh.DiscardRequests(reqs) // forwarding is one of them
	go v.tend(ctx, cancel, g)
	v.sessions(ctx, g, chans)
}

// patient is a connection whose other side must take what is sent.
type patient struct {
	net.Conn
	most time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.most)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// enter is the handshake. g is nil where nobody came in.
func (v *visit) enter(ctx context.Context) (g Guest, conn *ssh.ServerConn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	config := v.s.config()
	config.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !v.try(m.User()) {
			return nil, errors.New("not now")
		}
		asked, done := context.WithTimeout(ctx, askTime)
		defer done()
		v.offer, v.key = v.s.Host.Knows(asked, v.name, key.Marshal(), v.from), string(key.Marshal())
		if v.offer == nil {
			return nil, errors.New("not known")
		}
		return nil, nil
	}
	config.VerifiedPublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey, _ *ssh.Permissions, _ string) (*ssh.Permissions, error) {
		if v.offer == nil || v.name != m.User() || v.key != string(key.Marshal()) {
			return nil, errors.New("not the key that was looked at")
		}
		asked, done := context.WithTimeout(ctx, askTime)
		defer done()
		if !v.s.Host.Entered(asked, v.offer) {
			return nil, errors.New("not let in")
		}
		g = v.offer
		return nil, nil
	}
	config.AuthLogCallback = func(m ssh.ConnMetadata, method string, err error) {
		if err != nil && method != "none" { // a password, for which nobody asked
			v.try(m.User())
		}
	}
	late := time.AfterFunc(orElse(v.s.Times.Handshake, handshakeTime), func() { _ = v.conn.Close() })
	defer late.Stop()
	conn, chans, reqs, err := ssh.NewServerConn(&patient{v.conn, orElse(v.s.Times.Write, writeTime)}, config)
	if err != nil || g == nil {
		if g != nil {
			g.Left()
			v.may = false // he was known
		}
		return nil, nil, nil, nil
	}
	return g, conn, chans, reqs
}

// try asks once whether the tries of a connection are looked at. All of them are of one name.
func (v *visit) try(name string) bool {
	if !v.tried {
		v.tried, v.name = true, name
		v.may = v.s.Host.Try(name, v.from)
	}
	return v.may && v.name == name
}

// active notes that something happens.
func (v *visit) active() { v.last.Store(time.Now().UnixNano()) }

// tend ends the connection of somebody who is idle, or may stay no longer.
func (v *visit) tend(ctx context.Context, end func(), g Guest) {
	tick := time.NewTicker(orElse(v.s.Times.Check, checkEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked, done := context.WithTimeout(ctx, askTime)
		still := g.Still(asked)
		done()
		if !still || time.Since(time.Unix(0, v.last.Load())) > orElse(v.s.Times.Idle, idleTime) {
			end()
			return
		}
	}
}

// sessions serves channels until the connection is over.
func (v *visit) sessions(ctx context.Context, g Guest, chans <-chan ssh.NewChannel) {
	var all sync.WaitGroup
	defer all.Wait()
	var open atomic.Int32
	for n := range chans {
		switch {
		case n.ChannelType() != "session":
			_ = n.Reject(ssh.Prohibited, "only sessions are served") // a client that is gone needs no answer
			continue
		case open.Load() >= maxSessions:
			_ = n.Reject(ssh.ResourceShortage, "too many sessions")
			continue
		}
		ch, reqs, err := n.Accept()
		if err != nil {
			continue
		}
		open.Add(1)
		all.Go(func() {
			defer open.Add(-1)
			(&session{v: v, g: g, ch: ch}).serve(ctx, reqs)
		})
	}
}
