package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"gatepost/gateway"
)

// Judged is of a transaction what judging it again reads, and what was decided of it.
type Judged struct {
	// Record is as it was judged, but for what judging never reads: what the findings took, and their evidence.
	Record *gateway.Record
	// Verdict has the decisions of the transaction and of each recipient, with outcome, reason and check, and the score.
	Verdict gateway.Verdict
	Policy  string // version
}

// The judging of a block is kept apart from its stories: texts and findings once each, and of an event where they stand.
// Most findings of a day are the same few hundred. Behind a checksum and a version, packed with Zstandard (RFC 8878), stand the
// number of texts, and each behind its length; the number of findings, and each as numbers and places of texts; and the number
// of events, likewise: an id as how far it is from the one before, a time as how far from that of the id.
const judgingVersion = 1

// judgingBlock is that of a batch in the making.
type judgingBlock struct {
	events, texts, kinds int
	text                 map[string]uint64
	kind                 map[string]uint64 // of findings, as they are written
	textBody, kindBody   []byte
	body, scratch        []byte
	low, high, last      int64 // ids
}

// reset forgets all, and keeps its memory.
func (j *judgingBlock) reset() {
	if j.text == nil {
		j.text, j.kind = make(map[string]uint64), make(map[string]uint64)
	}
	clear(j.text)
	clear(j.kind)
	j.last = 0
	j.events, j.texts, j.kinds = 0, 0, 0
	j.textBody, j.kindBody, j.body = j.textBody[:0], j.kindBody[:0], j.body[:0]
}

// octets is what it holds.
func (j *judgingBlock) octets() int64 { return int64(len(j.textBody) + len(j.kindBody) + len(j.body)) }

// place is where a text stands.
func (j *judgingBlock) place(b []byte, s string) []byte {
	n, ok := j.text[s]
	if !ok {
		n = uint64(j.texts)
		j.text[strings.Clone(s)] = n // the event, and what its texts are cut out of, is not held on to
		j.texts++
		j.textBody = append(binary.AppendUvarint(j.textBody, uint64(len(s))), s...)
	}
	return binary.AppendUvarint(b, n)
}

// address writes an address. Its parts are cut out of its text where they stand in it as they are.
func (j *judgingBlock) address(b []byte, a *gateway.Address) []byte {
	at := len(a.Local)
	whole := len(a.Text) == at+1+len(a.Domain) && a.Text[:at] == a.Local && a.Text[at] == '@' && a.Text[at+1:] == a.Domain
	b = j.place(append(b, bit(a.UTF8, 0)|bit(whole, 1)), a.Text)
	if whole {
		return binary.AppendUvarint(b, uint64(at))
	}
	return j.place(j.place(b, a.Local), a.Domain)
}

// finding writes a finding into the list of those that there are, where it is new, and gives its place.
func (j *judgingBlock) finding(b []byte, f *gateway.Finding) []byte {
	s := append(j.place(j.scratch[:0], f.Check), byte(f.Stage), byte(f.Result))
	s = binary.AppendVarint(s, int64(f.Rcpt))
	s = j.place(j.place(s, string(f.Reason)), f.Proves)
	s = binary.AppendUvarint(s, uint64(len(f.Args)))
	for _, a := range f.Args {
		s = j.place(s, a)
	}
	s = binary.AppendUvarint(s, uint64(len(f.Measures)))
	for i := range f.Measures {
		m := &f.Measures[i]
		s = j.place(j.place(s, m.Name), m.Text)
		s = binary.LittleEndian.AppendUint64(s, math.Float64bits(number(m.Value)))
	}
	s = binary.AppendUvarint(s, uint64(len(f.Parts)))
	for _, p := range f.Parts {
		s = binary.AppendVarint(s, int64(p))
	}
	j.scratch = s
	n, ok := j.kind[string(s)]
	if !ok {
		n = uint64(j.kinds)
		j.kind[string(s)] = n
		j.kinds++
		j.kindBody = append(j.kindBody, s...)
	}
	return binary.AppendUvarint(b, n)
}

// add takes a transaction.
func (j *judgingBlock) add(e *gateway.Event) {
	r, id := e.Record, int64(e.Record.ID)
	if j.events == 0 {
		j.low, j.high = id, id
	}
	j.low, j.high = min(j.low, id), max(j.high, id)
	j.events++
	b := binary.AppendVarint(binary.AppendVarint(j.body, id-j.last), id-int64(r.Session))
	j.last = id
	b = append(b, byte(r.Stage), bit(r.Trusted, 0)|bit(r.Relay, 1)|bit(r.RequireTLS, 2))
	b = binary.AppendVarint(binary.AppendVarint(b, r.Time.UnixNano()-r.ID.Time().UnixNano()), r.Size)
	client := r.Client.AsSlice()
	b = append(append(b, byte(len(client))), client...)
	for _, s := range [...]string{r.Client.Zone(), r.Listener, r.TLS, r.Cert, r.CertKey, r.Helo, r.HeaderFrom, e.Policy} {
		b = j.place(b, s)
	}
	b = j.address(b, &r.From)
	b = binary.AppendUvarint(b, uint64(len(r.Rcpts)))
	for i := range r.Rcpts {
		to := &r.Rcpts[i]
		b = j.place(j.address(b, &to.To), to.Route)
		b = binary.AppendVarint(b, int64(to.Code))
		b = binary.AppendUvarint(append(b, bit(to.Sent != nil, 0)), uint64(len(to.Sent)))
		for k := range to.Sent {
			b = j.address(b, &to.Sent[k])
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Findings)))
	for i := range r.Findings {
		b = j.finding(b, &r.Findings[i])
	}
	b = j.decision(b, &e.Verdict.Decision)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(number(e.Verdict.Score)))
	b = binary.AppendUvarint(b, uint64(len(e.Verdict.Rcpts)))
	for i := range e.Verdict.Rcpts {
		b = j.decision(b, &e.Verdict.Rcpts[i])
	}
	j.body = b
}

// decision writes what of a decision is kept.
func (j *judgingBlock) decision(b []byte, d *gateway.Decision) []byte {
	return j.place(j.place(append(b, byte(d.Outcome)), string(d.Reason)), d.Check)
}

// plain is what it holds, one behind the other.
func (j *judgingBlock) plain() []byte {
	b := make([]byte, 0, len(j.textBody)+len(j.kindBody)+len(j.body)+32)
	b = binary.AppendUvarint(b, uint64(j.texts))
	b = binary.AppendUvarint(append(b, j.textBody...), uint64(j.kinds))
	b = binary.AppendUvarint(append(b, j.kindBody...), uint64(j.events))
	return append(b, j.body...)
}

// judgingPacker packs blocks. Its zero value is ready.
type judgingPacker struct {
	zip *zstd.Encoder
	out []byte
}

// pack returns what is stored of a block; nil for no event. It is good until the next call.
func (p *judgingPacker) pack(j *judgingBlock) ([]byte, error) {
	if j.events == 0 {
		return nil, nil
	}
	if p.zip == nil {
		var err error
		if p.zip, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(judgingWindow),
			zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false)); err != nil {
			return nil, err
		}
	}
	p.out = p.zip.EncodeAll(j.plain(), append(p.out[:0], 0, 0, 0, 0, judgingVersion))
	return sealed(p.out), nil
}

// judgingWindow is how far back the packer looks: a block has some 60 kB.
const judgingWindow = 256 << 10

func bit(v bool, n int) byte {
	if v {
		return 1 << n
	}
	return 0
}

// judgingReader reads blocks. What it gives shares memory with the block, and is written over by the next event.
type judgingReader struct {
	cursor
	zip    *zstd.Decoder
	plain  []byte // scratch
	texts  []string
	kinds  []gateway.Finding
	at     Judged
	record gateway.Record
	last   int64 // id
}

// close gives back what it holds.
func (r *judgingReader) close() {
	if r.zip != nil {
		r.zip.Close()
	}
}

// text reads the place of a text.
func (r *judgingReader) text() string {
	n := r.uvarint()
	if n >= uint64(len(r.texts)) {
		r.bad = true
		return ""
	}
	return r.texts[n]
}

// count reads how many things follow; each takes an octet at least, so that a damaged number takes no memory.
func (r *judgingReader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.s)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *judgingReader) address() gateway.Address {
	flags := r.octet()
	a := gateway.Address{Text: r.text(), UTF8: flags&1 != 0}
	if flags&2 == 0 {
		a.Local, a.Domain = r.text(), r.text()
		return a
	}
	at := r.uvarint()
	if at >= uint64(len(a.Text)) {
		r.bad = true
		return a
	}
	a.Local, a.Domain = a.Text[:at], a.Text[at+1:]
	return a
}

func (r *judgingReader) finding() (f gateway.Finding) {
	f.Check, f.Stage, f.Result = r.text(), gateway.Stage(r.octet()), gateway.Result(r.octet())
	f.Rcpt = int(r.varint())
	f.Reason, f.Proves = gateway.Reason(r.text()), r.text()
	for range r.count() {
		f.Args = append(f.Args, r.text())
	}
	for range r.count() {
		f.Measures = append(f.Measures, gateway.Measure{Name: r.text(), Text: r.text(), Value: math.Float64frombits(r.fixed())})
	}
	for range r.count() {
		f.Parts = append(f.Parts, int(r.varint()))
	}
	return f
}

func (r *judgingReader) decision() gateway.Decision {
	return gateway.Decision{Outcome: gateway.Outcome(r.octet()), Reason: gateway.Reason(r.text()), Check: r.text()}
}

// read gives each event of a block to see, until it answers an error.
func (r *judgingReader) read(block []byte, see func(*Judged) error) error {
	if len(block) < 5 || crc32.ChecksumIEEE(block[4:]) != binary.LittleEndian.Uint32(block) {
		return errBlock
	}
	if block[4] != judgingVersion {
		return fmt.Errorf("%w: judging of version %d", errBlock, block[4])
	}
	if r.zip == nil {
		var err error
		if r.zip, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStories)); err != nil {
			return err
		}
	}
	var err error
	if r.plain, err = r.zip.DecodeAll(block[5:], r.plain[:0]); err != nil {
		return fmt.Errorf("%w: %w", errBlock, err)
	}
	return r.all(string(r.plain), see)
}

// all gives each event of what a block holds.
func (r *judgingReader) all(plain string, see func(*Judged) error) error {
	r.cursor, r.last = cursor{s: plain}, 0
	r.texts, r.kinds = r.texts[:0], r.kinds[:0]
	for range r.count() {
		r.texts = append(r.texts, r.take(r.uvarint()))
	}
	for range r.count() {
		r.kinds = append(r.kinds, r.finding())
	}
	for range r.count() {
		r.event()
		if r.bad {
			return errBlock
		}
		if err := see(&r.at); err != nil {
			return err
		}
	}
	if r.bad || r.s != "" {
		return errBlock
	}
	return nil
}

// event reads one into at.
func (r *judgingReader) event() {
	rec, v := &r.record, &r.at.Verdict
	id := r.last + r.varint()
	r.last = id
	*rec = gateway.Record{Rcpts: rec.Rcpts[:0], Findings: rec.Findings[:0], ID: gateway.ID(id), Session: gateway.ID(id - r.varint()), Stage: gateway.Stage(r.octet())}
	flags := r.octet()
	rec.Trusted, rec.Relay, rec.RequireTLS = flags&1 != 0, flags&2 != 0, flags&4 != 0
	rec.Time = time.Unix(0, rec.ID.Time().UnixNano()+r.varint()).UTC()
	rec.Size = r.varint()
	client := r.take(uint64(r.octet()))
	rec.Client, _ = netip.AddrFromSlice([]byte(client))
	if zone := r.text(); zone != "" {
		rec.Client = rec.Client.WithZone(zone)
	}
	for _, s := range [...]*string{&rec.Listener, &rec.TLS, &rec.Cert, &rec.CertKey, &rec.Helo, &rec.HeaderFrom, &r.at.Policy} {
		*s = r.text()
	}
	rec.From = r.address()
	for range r.count() {
		to := gateway.RecordRcpt{To: r.address(), Route: r.text(), Code: int(r.varint())}
		if r.octet() != 0 {
			to.Sent = []gateway.Address{}
		}
		for range r.count() {
			to.Sent = append(to.Sent, r.address())
		}
		rec.Rcpts = append(rec.Rcpts, to)
	}
	for range r.count() {
		n := r.uvarint()
		if n >= uint64(len(r.kinds)) {
			r.bad = true
			return
		}
		rec.Findings = append(rec.Findings, r.kinds[n])
	}
	*v = gateway.Verdict{Rcpts: v.Rcpts[:0], Decision: r.decision(), Stage: rec.Stage}
	v.Score = math.Float64frombits(r.fixed())
	for range r.count() {
		v.Rcpts = append(v.Rcpts, r.decision())
	}
	r.at.Record = rec
}
