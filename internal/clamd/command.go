package clamd

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Version of a clamd and its signatures.
type Version struct {
	Text     string    // as clamd said it: "ClamAV 1.4.3/27500/Sun Nov 22 10:20:30 2026"
	Engine   string    // "1.4.3"
	Database int       // number of the daily database; 0 if clamd has none of its own
	Date     time.Time // of the database, by clamd's clock and zone, read as UTC; zero if unknown
}

// Ping asks whether clamd is there. Only "PONG" is nil.
func (c *Client) Ping(ctx context.Context) error {
	line, err := c.ask(ctx, "zPING\x00")
	if err != nil {
		return fmt.Errorf("clamd: ping %s: %w", c.cfg.Address, err)
	}
	if line != "PONG" {
		return fmt.Errorf("clamd: ping %s: %w: %q", c.cfg.Address, ErrReply, line)
	}
	return nil
}

// Version asks for the versions, and keeps them for the Results of later scans.
func (c *Client) Version(ctx context.Context) (Version, error) {
	line, err := c.ask(ctx, "zVERSION\x00")
	if err == nil {
		var v Version
		if v, err = parseVersion(line); err == nil {
			c.version.Store(&v)
			return v, nil
		}
	}
	return Version{}, fmt.Errorf("clamd: version of %s: %w", c.cfg.Address, err)
}

// ask sends a command and returns its one reply.
func (c *Client) ask(ctx context.Context, cmd string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.cfg.Timeout, c.cfg.IOTimeout))
	defer cancel()
	conn, release, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	if _, err = io.WriteString(conn, cmd); err == nil {
		var line []byte
		if line, err = readReply(conn, make([]byte, maxReply+1), 0, func() {}); err == nil {
			return string(line), nil
		}
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	return "", err
}

// parseVersion reads "ClamAV ENGINE[/DATABASE/DATE]". The database is missing
// when clamd runs on local signatures only.
func parseVersion(line string) (Version, error) {
	parts := strings.SplitN(line, "/", 3)
	engine, ok := strings.CutPrefix(parts[0], "ClamAV ")
	if !ok || engine == "" || len(engine) > 64 ||
		strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Version{}, fmt.Errorf("%w: %q", ErrReply, line)
	}
	v := Version{Text: line, Engine: engine}
	if len(parts) > 1 {
		n, err := strconv.ParseUint(parts[1], 10, 31)
		if err != nil {
			return Version{}, fmt.Errorf("%w: database version in %q", ErrReply, line)
		}
		v.Database = int(n)
	}
	if len(parts) > 2 {
		// A date in a form of its own is no reason to call clamd broken.
		v.Date, _ = time.Parse(time.ANSIC, parts[2])
	}
	return v, nil
}
