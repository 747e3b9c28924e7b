package clamd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// eicar is the EICAR test file, put together here so that neither the source nor
// the program contains it.
func eicar() []byte {
	return []byte(strings.Join([]string{`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-`, `ANTIVIRUS-TEST-FILE!$H+H*`}, ""))
}

// Probe asks whether clamd really works: PING, VERSION, and a scan that must find
// the EICAR test file. It returns the version as clamd said it. ErrBlind means
// that clamd answers but finds nothing.
func (c *Client) Probe(ctx context.Context) (string, error) {
	if err := c.Ping(ctx); err != nil {
		return "", err
	}
	v, err := c.Version(ctx)
	if err != nil {
		return "", err
	}
	found, err := c.EICARProbe(ctx)
	if err != nil {
		return "", err
	}
	if !found {
		return "", fmt.Errorf("%w at %s (%s)", ErrBlind, c.cfg.Address, v.Text)
	}
	return v.Text, nil
}

// EICARProbe scans the EICAR test file and says whether it was found.
func (c *Client) EICARProbe(ctx context.Context) (found bool, err error) {
	data := eicar()
	r, err := c.Scan(ctx, bytes.NewReader(data), int64(len(data)))
	return err == nil && r.Kind == Infected && !r.Heuristic, err
}

const (
	limitTries     = 12        // scans of one ProbeLimit
	limitPrecision = 64 << 10  // octets by which the answer may be too low
	limitStep      = 256 << 10 // first step down from where clamd stopped reading
)

// ProbeLimit finds the size up to which clamd takes a stream and looks into it,
// and returns the largest that was proved, at most upTo and Config.MaxSize. It streams test archives
// of the sizes in question, each with the EICAR test file at its front and zeros
// behind: found is proof; "limit exceeded" and also "OK" (over MaxFileSize
// without AlertExceedsMax, clamd says OK and has not looked) are not. The answer
// may be too low by 64 KiB, or more when the limit is far below upTo. At most
// twelve scans, each no larger than upTo.
//
// ErrBlind means that not even the smallest archive was seen through.
func (c *Client) ProbeLimit(ctx context.Context, upTo int64) (int64, error) {
	smallest := int64(len(archiveHead()))
	if c.cfg.MaxSize > 0 {
		upTo = min(upTo, c.cfg.MaxSize)
	}
	if upTo < smallest {
		return 0, fmt.Errorf("clamd: probe limit: %d octets are less than the smallest archive of %d", upTo, smallest)
	}
	good, bad := int64(0), upTo+1
	step := int64(limitStep)
	size := upTo
	for try := range limitTries {
		seen, sent, err := c.tryLimit(ctx, size)
		switch {
		case err != nil:
			return 0, fmt.Errorf("clamd: probe limit of %s with %d octets: %w", c.cfg.Address, size, err)
		case seen:
			good = size
		default:
			// The chunk at which clamd gave up began before this.
			bad = min(size, max(sent+chunkSize, smallest))
		}
		if good == 0 && size == smallest {
			return 0, fmt.Errorf("clamd: probe limit of %s: %w", c.cfg.Address, ErrBlind)
		}
		if bad-good <= limitPrecision || good == upTo {
			return good, nil
		}
		// The second try settles whether there is anything to find; then down
		// from where clamd stopped, in growing steps, and at last by halves.
		size = max(good+(bad-good)/2, bad-step)
		if try == 0 {
			size = smallest
		} else {
			step *= 4
		}
	}
	return good, nil
}

// tryLimit says whether an archive of size octets was seen through, and how much
// of it was sent before clamd refused (all of it if clamd did not).
func (c *Client) tryLimit(ctx context.Context, size int64) (seen bool, sent int64, err error) {
	head := archiveHead()
	archive := io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, size-int64(len(head))))
	r, sent, err := c.scan(ctx, archive, size)
	if errors.Is(err, ErrTooBig) {
		return false, sent, nil
	}
	if err != nil {
		return false, sent, err
	}
	return r.Kind == Infected && !r.Heuristic, size, nil
}

// archiveHead is a tar archive (POSIX.1-1988, ustar) of one member, the EICAR
// test file; zeros may follow.
func archiveHead() []byte {
	head := make([]byte, 1024)
	copy(head, "eicar.com")
	copy(head[100:], "0000644\x000000000\x000000000\x00")
	copy(head[124:], fmt.Sprintf("%011o\x00%011o\x00        0", len(eicar()), 0))
	copy(head[257:], "ustar\x0000")
	sum := 0
	for _, b := range head[:512] {
		sum += int(b)
	}
	copy(head[148:], fmt.Sprintf("%06o\x00 ", sum))
	copy(head[512:], eicar())
	return head
}

// zeros is a source without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
