// Package forward sends the journal of a machine to a syslog server: RFC 5424 over UDP (RFC 5426), or over TCP with octet counting
// (RFC 6587 section 3.4.1). The journal itself is the queue: the place up to which it was sent is kept in a file, and what comes while the
// server is away is sent when it is back, as long as the journal still has it. It never drops an entry to keep up, and never reads mail.
package forward

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"gatepost/internal/durable"
)

// Options say what is sent, and where to. All are required.
type Options struct {
	Network  string // udp or tcp
	Address  string // host:port
	Hostname string // names this machine
	// Place is the file that keeps the cursor of the last entry that was sent.
	Place string
	// Open reads the journal from behind a cursor on, or from the beginning where it is "": an entry a line, as journalctl writes
	// with --output=json, and those that come.
	Open func(ctx context.Context, cursor string) (io.ReadCloser, error)
}

// Times and sizes.
const (
	dialTime  = 5 * time.Second
	writeTime = 10 * time.Second
	backOff   = time.Second // doubled up to mostOff
	mostOff   = 30 * time.Second
	// saveAge is how old the place may become: so much is sent twice after a kill.
	saveAge = 2 * time.Second
	// maxEntry is the longest line that is read; a longer one is left out.
	maxEntry = 1 << 20
	// maxCursor bounds the file of the place.
	maxCursor = 1024
)

// Run sends entries until ctx is done, which is no error, or the journal ends. A server that is away is waited for.
func Run(ctx context.Context, o Options) error {
	cursor, err := place(o.Place)
	if err != nil {
		return err
	}
	from, err := o.Open(ctx, cursor)
	if err != nil {
		return fmt.Errorf("forward: journal: %w", err)
	}
	s := &sender{o: o}
	defer s.hangUp()
	lines := bufio.NewReaderSize(from, 64<<10)
	sent, saved, last := cursor, cursor, time.Now()
	save := func() error {
		if sent == saved {
			return nil
		}
		saved, last = sent, time.Now()
		return durable.WriteFile(o.Place, []byte(sent+"\n"), 0o600)
	}
	for any := false; ; any = true {
		line, err := next(lines)
		if err != nil {
			closed, kept := from.Close(), save()
			if ctx.Err() != nil {
				return kept
			}
			err = errors.Join(fmt.Errorf("forward: the journal ended: %w", err), closed, kept)
			if cursor != "" && !any { // it may be a cursor that the journal does not know
				err = errors.Join(err, os.Remove(o.Place))
			}
			return err
		}
		message, at := render(line, o.Hostname)
		if message != nil && !s.send(ctx, message) {
			return errors.Join(from.Close(), save())
		}
		if at != "" {
			sent = at
		}
		if time.Since(last) > saveAge {
			if err := save(); err != nil {
				return errors.Join(err, from.Close())
			}
		}
	}
}

// place reads the cursor; "" for none.
func place(name string) (string, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("forward: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCursor))
	if err != nil {
		return "", fmt.Errorf("forward: %w", err)
	}
	cursor := strings.TrimSpace(string(text))
	if strings.ContainsFunc(cursor, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", nil // not what was written
	}
	return cursor, nil
}

// next reads a line; one that is too long comes back empty.
func next(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for long := false; ; {
		part, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if long = long || len(line)+len(part) > maxEntry; !long {
			line = append(line, part...)
		}
		if err == nil {
			if long {
				return nil, nil
			}
			return line, nil
		}
	}
}

// sender keeps a connection.
type sender struct {
	o    Options
	conn net.Conn
}

// send writes a message, and comes back to a server that is away, with growing pauses. False: ctx was done before.
func (s *sender) send(ctx context.Context, message []byte) bool {
	if s.o.Network == "tcp" {
		message = append(fmt.Appendf(nil, "%d ", len(message)), message...)
	}
	for pause := backOff; ; pause = min(2*pause, mostOff) {
		if s.conn == nil {
			s.connect(ctx)
		}
		if s.conn != nil {
			_ = s.conn.SetWriteDeadline(time.Now().Add(writeTime)) // a connection that has none fails in Write
			if _, err := s.conn.Write(message); err == nil {
				return true
			}
			s.hangUp()
			if pause == backOff && ctx.Err() == nil {
				s.connect(ctx) // the server may have been restarted: at once
				if s.conn != nil {
					continue
				}
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

func (s *sender) connect(ctx context.Context) {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, s.o.Network, s.o.Address)
	if err != nil {
		return
	}
	s.conn = conn
	if s.o.Network == "tcp" {
		go func() { // a syslog server says nothing; what ends the reading is its end, and the next write fails
			_, _ = io.Copy(io.Discard, conn)
			conn.Close()
		}()
	}
}

func (s *sender) hangUp() {
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}
