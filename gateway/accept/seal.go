package accept

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"gatepost/gateway"
)

// seal puts the fields of the sealer above all of ours, over the message exactly as it goes out. Whatever goes wrong, the
// message goes its way without them: a seal is never worth a message, nor a wait. It says in Edits what was done.
func (a *Acceptor) seal(ctx context.Context, e *gateway.Envelope, f *Fields) {
	s := e.Session.Snapshot.Sealer
	changed := len(f.Removed) > 0 || len(f.Edits) > 0
	if s == nil || !s.Wants(changed) {
		return
	}
	fields, told, err := f.sealedBy(ctx, s, e)
	if err != nil {
		a.fault("seal: the message goes out without", e, err)
		f.Edits = append(f.Edits, "not sealed: "+gateway.CleanText(err.Error(), 200))
		return
	}
	f.Added = append(fields, f.Added...)
	f.Edits = append(f.Edits, gateway.CleanText(told, 200))
}

func (f *Fields) sealedBy(ctx context.Context, s gateway.Sealer, e *gateway.Envelope) (fields []byte, told string, err error) {
	defer func() {
		if p := recover(); p != nil {
			fields, err = nil, fmt.Errorf("seal: panic: %v", p)
		}
	}()
	_, results, _ := bytes.Cut(f.results, []byte(":"))
	fields, told, err = s.Seal(ctx, &gateway.Sealing{Envelope: e, Header: f.header(e.Header), Body: f.body(e),
		Results: string(bytes.TrimSpace(results))})
	if err == nil && len(fields) > 0 && !bytes.HasSuffix(fields, []byte("\r\n")) {
		err = fmt.Errorf("seal: %d octets that are no fields", len(fields))
	}
	return fields, told, err
}

// body is the content behind the empty line as it goes out.
func (f *Fields) body(e *gateway.Envelope) io.Reader {
	rest, _ := f.rest(e, e.Header.BodyStart)
	if len(rest) == 1 {
		return rest[0]
	}
	return io.MultiReader(rest...)
}

// header is the header section as it goes out.
func (f *Fields) header(h *gateway.Header) []byte {
	n := len(f.Added)
	for _, s := range f.kept {
		n += s.to - s.from + len(s.then)
	}
	out := append(make([]byte, 0, n), f.Added...)
	for _, s := range f.kept {
		out = append(append(out, h.Raw[s.from:s.to]...), s.then...)
	}
	return out
}
