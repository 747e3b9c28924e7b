package accept

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// change is a stretch of the message, behind its header section, that goes out as something else.
type change struct {
	from, to int64 // offsets in the body
	then     []byte
}

// maxEdited is how big a text may be, decoded, into which a banner is written.
const maxEdited = 4 << 20

// editor carries out what policy wants done to the content of a message. What is signed or encrypted is never touched.
type editor struct {
	e    *gateway.Envelope
	f    *Fields
	tree *mime.Tree
	cut  []int // the parts that are taken out
}

// edit carries out the edits of a verdict in the content. An error means that a part that must not go out cannot be taken out:
// then no copy may go to the next hop. A banner that cannot be written is only noted, as Edits are.
func (f *Fields) edit(e *gateway.Envelope, v *gateway.Verdict) error {
	if len(v.Edits.Strip)+len(v.Edits.Banners) == 0 {
		return nil
	}
	d := editor{e: e, f: f, tree: treeOf(e)}
	if d.tree == nil || !e.Header.Complete {
		if len(v.Edits.Strip) > 0 {
			return fmt.Errorf("the message cannot be read")
		}
		f.Edits = append(f.Edits, "no banner: the message has no content")
		return nil
	}
	if err := d.strip(v.Edits.Strip); err != nil {
		f.changes = nil
		return err
	}
	d.banners(v.Edits.Banners)
	slices.SortStableFunc(f.changes, func(a, b change) int { return cmp.Compare(a.from, b.from) })
	f.Edits = few(f.Edits)
	return nil
}

// keepAll has all copies quarantined as they came in, since a part that must not go out cannot be taken out. Without a vault
// it reports false: the sender is refused for what the part is refused for.
func (t *transfer) keepAll(why error) bool {
	cut := t.v.Edits.Strip[0]
	t.fields.Edits = append(t.fields.Edits, gateway.CleanText("nothing goes out: "+why.Error()+" and cannot be removed", 200))
	if t.a.Vault == nil || t.e.Session.Snapshot.MarkQuarantined {
		t.result.Reply = gateway.Word(gateway.Reject, cut.Reason, cut.Args)
		t.result.Edits = t.fields.Edits
		t.result.Relayed = &gateway.Relayed{Result: gateway.RefusedByHop, Reply: t.result.Reply}
		return false
	}
	v := *t.v
	v.Rcpts = make([]gateway.Decision, len(t.e.Rcpts))
	copy(v.Rcpts, t.v.Rcpts)
	for i := range v.Rcpts {
		if d := &v.Rcpts[i]; d.Outcome < gateway.Quarantine {
			d.Outcome, d.Reason, d.Args, d.Check = gateway.Quarantine, cut.Reason, cut.Args, cut.Check
		}
	}
	t.v = &v
	return true
}

// treeOf is the fact mime of filters, which Cut.Part counts in; walked here where no check asked for it.
func treeOf(e *gateway.Envelope) *mime.Tree {
	return gateway.Fact(&e.Facts, "mime", func() *mime.Tree {
		l := mime.DefaultLimits()
		if n := e.Session.Snapshot.Limits.HeaderSize; n > 0 {
			l.Header = n
		}
		t, err := mime.Walk(e.Body, l)
		if err != nil {
			return nil
		}
		return t
	})
}

// strip puts notices in the place of parts.
func (d *editor) strip(cuts []gateway.Cut) error {
	type place struct {
		part int
		why  []*gateway.Cut
	}
	var places []place
	for i := range cuts {
		part := d.whole(cuts[i].Part)
		if part < 0 {
			return fmt.Errorf("part %d: there is none", cuts[i].Part)
		}
		if p := d.sealed(part); p >= 0 {
			return fmt.Errorf("part %s: it lies in %s", d.name(part), d.tree.Parts[p].Type)
		}
		if at := slices.IndexFunc(places, func(p place) bool { return p.part == part }); at >= 0 {
			places[at].why = append(places[at].why, &cuts[i])
			continue
		}
		places = append(places, place{part, []*gateway.Cut{&cuts[i]}})
		d.cut = append(d.cut, part)
	}
	for _, p := range places {
		if above := d.tree.Parts[p.part].Parent; above >= 0 && d.isCut(above) {
			continue // all of it goes
		}
		d.replace(p.part, d.notice(p.part, p.why))
		d.f.Edits = append(d.f.Edits, gateway.CleanText(strings.TrimSpace("removed part "+d.name(p.part)+" "+d.tree.Parts[p.part].Name())+" ("+p.why[0].Check+")", 200))
	}
	return nil
}

// whole is the part that must go where one is to go: of what only some clients see, or what lies in encoded content, the part
// that holds it; of the message in a message/rfc822, that part. -1 for none.
func (d *editor) whole(part int) int {
	if part < 0 || part >= len(d.tree.Parts) {
		return -1
	}
	for part > 0 {
		p := &d.tree.Parts[part]
		if !p.Doubt && p.Within < 0 && !strings.HasPrefix(d.tree.Parts[p.Parent].Type, "message/") {
			break
		}
		part = p.Parent
	}
	return part
}

// isCut reports whether a part, or one that holds it, is taken out.
func (d *editor) isCut(part int) bool {
	for ; part >= 0; part = d.tree.Parts[part].Parent {
		if slices.Contains(d.cut, part) {
			return true
		}
	}
	return false
}

// sealed returns the part around a part within which no octet may change: what is signed, or a piece of a message that is put
// together elsewhere. -1 for none.
func (d *editor) sealed(part int) int {
	for part = d.tree.Parts[part].Parent; part >= 0; part = d.tree.Parts[part].Parent {
		switch d.tree.Parts[part].Type {
		case "multipart/signed", "multipart/encrypted", "message/partial":
			return part
		}
	}
	return -1
}

// name is how a part is called in what is written down.
func (d *editor) name(part int) string { return cmp.Or(d.tree.Parts[part].Path, "1") }

// replacement is a text that stands for a part: the fields that describe it, and its content.
type replacement struct {
	fields  []string // without line ends
	content []byte
}

// replace puts something in the place of a part. Of the message itself the fields that describe its content are replaced, and
// the others stay.
func (d *editor) replace(part int, r replacement) {
	p := &d.tree.Parts[part]
	if part > 0 {
		then := strings.Join(r.fields, "\r\n") + "\r\n\r\n" + string(r.content)
		d.f.changes = append(d.f.changes, change{p.Start, p.End, []byte(then)})
		return
	}
	d.f.describe(d.e.Header, r.fields)
	d.f.changes = append(d.f.changes, change{p.Content, p.End, r.content})
}

// describe puts fields in the place of those that describe the content of the whole message.
func (f *Fields) describe(h *gateway.Header, fields []string) {
	then := strings.Join(fields, "\r\n") + "\r\n"
	for _, field := range h.Fields {
		if len(field.Name) > 8 && strings.EqualFold(field.Name[:8], "Content-") {
			f.replace(field, then)
			then = ""
		}
	}
	if then != "" {
		if h.Count("MIME-Version") == 0 {
			then = "MIME-Version: 1.0\r\n" + then
		}
		f.Added = append(f.Added, then...)
	}
}

// rest are the octets of the message from one within its content on, as they go out.
func (f *Fields) rest(e *gateway.Envelope, from int64) (parts []io.Reader, size int64) {
	for _, c := range f.changes {
		if c.from > from {
			parts = append(parts, stretch(e.Body, from, c.from))
			size += c.from - from
		}
		parts = append(parts, bytes.NewReader(c.then))
		size += int64(len(c.then))
		from = c.to
	}
	return append(parts, gateway.Rest(e.Body, from)), size + e.Body.Size() - from
}

// stretch is a part of a body.
func stretch(b gateway.Body, from, to int64) io.Reader {
	if m, is := b.(gateway.InMemory); is {
		if all := m.Memory(); all != nil {
			return bytes.NewReader(all[from:to])
		}
	}
	return io.NewSectionReader(b, from, to-from)
}

// octets tells a size to people.
func octets(n int64) string {
	switch {
	case n >= 10<<20:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n >= 10<<10:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " octets"
}
