package filters

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// ClamAV takes a message apart by itself, by one reading, and opens what it knows. Where clients may read a message otherwise it
// is shown the parts as this gateway reads them, and of archives that it does not open what is in them. They go to it in tar
// files, which it opens: one question for many.

// unseen is one content that is shown apart.
type unseen struct {
	open func() io.Reader
	size int64
}

// mostAtOnce is how many octets of contents are shown in one question, but for a larger one alone.
const mostAtOnce = 8 << 20

// scanUnseen has ClamAV see what it may not have seen in a message in which it found nothing. Whole is what it said of that.
func (d *Deps) scanUnseen(ctx context.Context, in *gateway.Input, whole gateway.Finding) gateway.Finding {
	if gateway.Known(&in.Envelope.Facts, factUnpacked) {
		if o := d.unpacked(ctx, in); o.shown != nil {
			if o.shown.Result != gateway.Pass {
				return *o.shown
			}
			whole.Evidence = append(whole.Evidence, gateway.Evidence{Name: "shown", Text: "what lies in archives that it does not open"})
		}
	}
	parts := doubtfulParts(in)
	if len(parts) == 0 {
		return whole
	}
	t := tree(in)
	all := make([]unseen, len(parts))
	for i, at := range parts {
		all[i] = unseen{open: func() io.Reader { return t.Open(at) }, size: t.Parts[at].Octets}
	}
	if f := d.scanPieces(ctx, all); f.Result != gateway.Pass {
		return f
	}
	return whole.Show("shown", fmt.Sprintf("%d parts, as they are read here", len(parts)))
}

// scanShown has ClamAV see contents.
func (d *Deps) scanShown(ctx context.Context, contents [][]byte) *gateway.Finding {
	all := make([]unseen, len(contents))
	for i, b := range contents {
		all[i] = unseen{open: func() io.Reader { return bytes.NewReader(b) }, size: int64(len(b))}
	}
	f := d.scanPieces(ctx, all)
	return &f
}

// doubtful are the defects of a message by which ClamAV may have read it otherwise.
func doubtful(k mime.Kind) bool {
	switch k {
	case mime.TypeRepeated, mime.TypeBroken, mime.ParamRepeated, mime.EncodingRepeated, mime.EncodingUnknown, mime.EncodingNested, mime.Base64Broken, mime.BoundaryMissing,
		mime.BoundaryOdd, mime.PreambleText, mime.HeaderBroken, mime.UUEncoded:
		return true
	}
	return false
}

// doubtfulParts are the parts that are no shown text of a message with such a defect, and those that only some clients see.
func doubtfulParts(in *gateway.Input) (out []int) {
	t := tree(in)
	if t == nil || len(t.Defects) == 0 {
		return nil
	}
	odd := false
	for i := range t.Defects {
		odd = odd || doubtful(t.Defects[i].Kind)
	}
	for i := range t.Parts {
		if p := &t.Parts[i]; p.Leaf && p.Octets > 0 && (p.Doubt || odd && !shownText(p)) {
			out = append(out, i)
		}
	}
	return out
}

// scanPieces shows contents to ClamAV, some at once. What it says of the first that is not clean counts.
func (d *Deps) scanPieces(ctx context.Context, all []unseen) gateway.Finding {
	f := gateway.Passed()
	for len(all) > 0 {
		n, size := 0, int64(0)
		for n < len(all) && (n == 0 || size+all[n].size <= mostAtOnce) {
			size += all[n].size
			n++
		}
		some := all[:n]
		all = all[n:]
		if f = d.scanAll(ctx, func() io.Reader { return tarred(some) }, tarredSize(some)); f.Result != gateway.Pass {
			return f.Show("in", "what is shown apart")
		}
	}
	return f
}

// tarBlock is the unit of a tar file.
const tarBlock = 512

func padding(size int64) int64 { return -size & (tarBlock - 1) }

// tarredSize is how many octets tarred brings.
func tarredSize(all []unseen) int64 {
	n := int64(2 * tarBlock)
	for i := range all {
		n += tarBlock + all[i].size + padding(all[i].size)
	}
	return n
}

// tarred is a tar file of contents, which are read as it is.
func tarred(all []unseen) io.Reader {
	zeros := make([]byte, 2*tarBlock)
	var readers []io.Reader
	for i := range all {
		var head bytes.Buffer
		// A header of so little is always one block, and cannot fail in memory.
		_ = tar.NewWriter(&head).WriteHeader(&tar.Header{Name: strconv.Itoa(i), Mode: 0o600, Size: all[i].size, Format: tar.FormatUSTAR})
		readers = append(readers, &head, all[i].open(), bytes.NewReader(zeros[:padding(all[i].size)]))
	}
	return io.MultiReader(append(readers, bytes.NewReader(zeros))...)
}
