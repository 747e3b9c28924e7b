package unpack

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// What lies in an archive that other scanners may not open, or read otherwise, goes back to the gateway behind the report, for
// them to see: a RAR where ClamAV came without its reader, zstd, a ZIP behind a picture. Only the outermost content is sent;
// what is packed in it they open themselves, or it is sent as well.

// Unscanned has what is entered below an object from now on be shown to other scanners. A Format calls it before it enters.
func (w *Walk) Unscanned(at int) {
	if w.limits.Show <= 0 {
		return
	}
	if w.unscanned == nil {
		w.unscanned = map[int]bool{}
	}
	w.unscanned[at] = true
}

// show keeps the content of an object that is to be shown, where there is room.
func (w *Walk) show(at int, content []byte, whole bool) {
	switch n := int64(len(content)); {
	case !whole, w.shown+n > w.limits.Show:
		w.Sign(at, Unshown, "")
	case n > 0:
		w.shown += n
		w.report.Objects[at].Shown = n
		w.contents = append(w.contents, content)
	}
}

// Shown are the contents of those objects of the report whose Shown is not 0, in their order.
func (w *Walk) Shown() [][]byte { return w.contents }

// writeShown sends the contents of the objects that a report has.
func writeShown(out io.Writer, r *Report, contents [][]byte) error {
	for i := range r.Objects {
		if r.Objects[i].Shown == 0 {
			continue
		}
		var head [4]byte
		binary.BigEndian.PutUint32(head[:], uint32(len(contents[0])))
		if _, err := out.Write(head[:]); err != nil {
			return err
		}
		if _, err := out.Write(contents[0]); err != nil {
			return err
		}
		contents = contents[1:]
	}
	return nil
}

// readShown reads the contents that a report announces, of at most so many octets.
func readShown(in io.Reader, r *Report, most int64) (contents [][]byte, err error) {
	for i := range r.Objects {
		n := r.Objects[i].Shown
		if n == 0 {
			continue
		}
		if n < 0 || n > most {
			return nil, fmt.Errorf("%w: %d octets of an object, at most %d", errFrame, n, most)
		}
		most -= n
		b, err := readFrame(in, nil, int(n))
		if err != nil {
			return nil, noEOF(err)
		}
		if int64(len(b)) != n {
			return nil, fmt.Errorf("%w: %d octets of an object, %d were promised", errFrame, len(b), n)
		}
		contents = append(contents, b)
	}
	return contents, nil
}

// UnpackShowing is Unpack, and hands what other scanners should see to look, if there is any: while the message has the place
// of its process, so that no more such contents lie in memory than there may be processes.
func (c *Client) UnpackShowing(ctx context.Context, pieces []Piece, look func(contents [][]byte)) (Report, error) {
	return c.unpack(ctx, pieces, look)
}
