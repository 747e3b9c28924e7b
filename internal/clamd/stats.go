package clamd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	goclamd "github.com/dutchcoders/go-clamd"
)

// maxStats bounds the reply to STATS, in octets.
const maxStats = 64 << 10

// Stats are clamd's own words about its work, for people to read. clamd promises
// no form for them.
type Stats struct {
	Pools    string // "1"
	State    string // "STATE: VALID PRIMARY"
	Threads  string // "THREADS: live 1  idle 0 max 10 idle-timeout 30"
	Queue    string // "QUEUE: 0 items"
	Memstats string // "MEMSTATS: heap N/A ..."
}

// Stats asks clamd for its statistics. go-clamd reads them; since that library
// has no deadlines, no bounds and can panic, it is given a complete, checked copy
// of the reply over a private socket, never clamd itself.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.Timeout, c.cfg.IOTimeout))
	defer cancel()
	raw, err := c.rawStats(ctx)
	if err == nil {
		var s Stats
		if s, err = readStats(ctx, raw); err == nil {
			return s, nil
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return Stats{}, fmt.Errorf("clamd: stats of %s: %w", c.cfg.Address, err)
}

// rawStats fetches the whole reply: lines up to END, then the end.
func (c *Client) rawStats(ctx context.Context) ([]byte, error) {
	conn, release, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := io.WriteString(conn, "nSTATS\n"); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(conn, maxStats+1))
	if err != nil {
		return nil, err
	}
	return raw, checkStats(raw)
}

// checkStats refuses what go-clamd would misread or panic at.
func checkStats(raw []byte) error {
	if len(raw) > maxStats {
		return fmt.Errorf("%w: longer than %d octets", ErrReply, maxStats)
	}
	body, ok := bytes.CutSuffix(raw, []byte("\nEND\n"))
	if !ok || !bytes.HasPrefix(body, []byte("POOLS: ")) {
		return fmt.Errorf("%w: not statistics", ErrReply)
	}
	for line := range bytes.Lines(body) {
		if bytes.HasPrefix(line, []byte("POOLS")) && !bytes.HasPrefix(line, []byte("POOLS: ")) {
			return fmt.Errorf("%w: %q", ErrReply, line)
		}
	}
	if bytes.ContainsFunc(body, func(r rune) bool { return r != '\n' && r != '\t' && (r < ' ' || r > '~') }) {
		return fmt.Errorf("%w: control octets in statistics", ErrReply)
	}
	return nil
}

// readStats lets go-clamd read raw, from a socket in a folder that nobody else
// may enter.
func readStats(ctx context.Context, raw []byte) (Stats, error) {
	dir, err := os.MkdirTemp("", "clamd-stats-")
	if err != nil {
		return Stats{}, fmt.Errorf("%w: %w", errHere, err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return Stats{}, fmt.Errorf("%w: %w", errHere, err)
	}
	defer listener.Close()
	deadline := time.Now().Add(DefaultIOTimeout)
	if d, ok := ctx.Deadline(); ok {
		deadline = d
	}
	_ = listener.SetDeadline(deadline)
	served := make(chan struct{})
	go func() {
		defer close(served)
		serveOnce(listener, deadline, raw)
	}()
	stats, err := guardedStats(path)
	listener.Close()
	<-served
	return stats, err
}

// serveOnce answers one command with raw.
func serveOnce(listener *net.UnixListener, deadline time.Time, raw []byte) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline)
	var cmd [16]byte
	if _, err := conn.Read(cmd[:]); err != nil {
		return
	}
	_, _ = conn.Write(raw)
}

// guardedStats calls the library and turns a panic into an error.
func guardedStats(path string) (s Stats, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("go-clamd panicked: %v", r)
		}
	}()
	got, err := goclamd.NewClamd(path).Stats()
	if err != nil {
		return Stats{}, err
	}
	if got == nil || got.State == "" {
		return Stats{}, errors.New("go-clamd found no statistics")
	}
	return Stats{
		Pools:    strings.TrimPrefix(got.Pools, " "),
		State:    got.State,
		Threads:  got.Threads,
		Queue:    got.Queue,
		Memstats: got.Memstats,
	}, nil
}
