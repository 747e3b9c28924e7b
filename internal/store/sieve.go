package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"gatepost/gateway"
)

// A sieve says of blocks of the open day which may hold a text: so a search for one sender, recipient, client or Message-ID reads a
// few blocks of millions of events. It speaks of 64 spans, each of one block or of some small ones behind each other. What an event can
// be found by becomes a key, its hash; a key sets the bit of its span in six rows of 64 bits, as a Bloom filter, and all six rows lie in
// the same part, which is one page of the file. To ask is to read that page and to combine six numbers: a bit that stays is a span that
// may hold the key. It never says no of what is there, and yes of one span in about seven hundred where nothing is.
const (
	sieveSpans   = 64
	spanOctets   = 64 << 10 // of columns that are not read where the sieve says no
	sieveProbes  = 6
	sieveBits    = 14   // for each key of the fullest span
	partRows     = 1000 // of eight octets
	partOctets   = 4 + 8*partRows
	maxParts     = 64 // then the sieve is less fine, never wrong
	sieveVersion = 1
)

// span is some blocks behind each other: from that behind the last span up to last.
type span struct {
	last      int64 // seq
	low, high int64 // ids
}

// The kinds of keys. They are part of the file.
const (
	keySender       = 'f'
	keySenderDomain = 'd'
	keyRcpt         = 't'
	keyRcptDomain   = 'u'
	keyMessageID    = 'm'
	keyClient       = 'c'
	keySession      = 's'
	keyVerdict      = 'v'
	keyReason       = 'r'
)

// keyOf hashes a text of one kind.
func keyOf(kind byte, text string) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(uint64(kind))
	_, _ = d.WriteString(text) // never fails
	return d.Sum64()
}

// number64 is a number as a text to be hashed.
func number64(n int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

// appendKeys adds what an event can be found by.
func (c *columns) appendKeys(keys []uint64) []uint64 {
	add := func(kind byte, text string) {
		if text != "" {
			keys = append(keys, keyOf(kind, text))
		}
	}
	keys = append(keys, keyOf(keyVerdict, string([]byte{byte(c.verdict)})))
	add(keyReason, c.reason)
	if c.client.IsValid() {
		b := c.client.As16()
		add(keyClient, string(b[:]))
	}
	if c.kind != gateway.TransactionEvent {
		return keys
	}
	keys = append(keys, keyOf(keySender, c.from)) // "" too, the null reverse-path
	add(keySender, c.header)
	add(keySenderDomain, c.fromDomain)
	add(keySenderDomain, c.headerDomain)
	add(keyMessageID, c.messageID)
	if c.session != c.id {
		add(keySession, number64(c.session))
	}
	for i := range c.to {
		add(keyRcpt, c.to[i].key)
	}
	for word := range strings.SplitSeq(c.rcpts, " ") { // as wantedAddress.recipient finds them
		if at := strings.LastIndexByte(word, '@'); at >= 0 {
			add(keyRcptDomain, word[at+1:])
		}
	}
	return keys
}

// keys are what a query asks a sieve: of each group one must be there.
func (w *wanted) keys() (out [][]uint64) {
	one := func(kind byte, text string) { out = append(out, []uint64{keyOf(kind, text)}) }
	if w.messageID != "" {
		one(keyMessageID, w.messageID)
	}
	if w.reason != "" {
		one(keyReason, w.reason)
	}
	if w.client && w.first == w.last {
		one(keyClient, string(w.first[:]))
	}
	switch w.from.how {
	case exact:
		one(keySender, w.from.key)
	case domain:
		one(keySenderDomain, w.from.key)
	}
	switch {
	case w.to.how == exact:
		one(keyRcpt, w.to.key)
	case w.to.how == domain && !strings.Contains(w.to.key, " "):
		one(keyRcptDomain, w.to.key)
	}
	var domains, verdicts []uint64
	for _, d := range w.domains {
		domains = append(domains, keyOf(keyRcptDomain, strings.Trim(d, "@ ")))
	}
	for _, o := range w.verdicts {
		verdicts = append(verdicts, keyOf(keyVerdict, string([]byte{byte(o)})))
	}
	for _, any := range [][]uint64{domains, verdicts} {
		if len(any) > 0 {
			out = append(out, any)
		}
	}
	return out
}

// place is the part in which a key is, of so many.
func place(key uint64, parts int) int {
	hi, _ := bits.Mul64(key, uint64(parts))
	return int(hi)
}

// probes are the octets at which the rows of a key begin in its part.
func probes(key uint64) (at [sieveProbes]int) {
	// The part was chosen by the upper bits; these are of others.
	a, b := uint32(key), uint32(key*0x9e3779b97f4a7c15>>32)|1
	for i := range at {
		at[i] = 4 + 8*int(uint64(a)*partRows>>32)
		a += b
	}
	return at
}

// spansWith returns the bits of the spans that may hold a key, of a part that was read. Of one that is damaged those are all.
func spansWith(key uint64, part []byte) uint64 {
	if len(part) != partOctets {
		return ^uint64(0)
	}
	if _, err := unsealed(part); err != nil {
		return ^uint64(0)
	}
	mask := ^uint64(0)
	for _, at := range probes(key) {
		mask &= binary.LittleEndian.Uint64(part[at:])
	}
	return mask
}

// sieveMaker makes sieves of blocks as they stand in the file, so that nothing that was changed or erased there is in one. Its memory
// is used again.
type sieveMaker struct {
	octets int // of a span; 0: spanOctets
	spans  []span
	keys   [sieveSpans][]uint64
	all    uint64 // bits of spans of which every key must be thought to be there
	body   []byte
}

// make makes the sieve of the blocks behind one, up to last, and reports whether it did: not while they are too few for all spans, but
// for when whole says that they are all that there will be. The transaction must be one that may write.
func (m *sieveMaker) make(ctx context.Context, tx *sql.Tx, after, last int64, whole bool) (did bool, err error) {
	first, full, err := m.measure(ctx, tx, after, last)
	if err != nil || len(m.spans) == 0 || !full && !whole {
		return false, err
	}
	last = m.spans[len(m.spans)-1].last
	var there bool
	if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sieve WHERE last >= ? AND first <= ?)", first, last).Scan(&there); err != nil || there {
		return false, err
	}
	if err := m.read(ctx, tx, first, last); err != nil {
		return false, err
	}
	return true, m.store(ctx, tx, first)
}

// measure cuts the blocks into spans, and reports whether all spans are full.
func (m *sieveMaker) measure(ctx context.Context, tx *sql.Tx, after, last int64) (first int64, full bool, err error) {
	m.spans, m.all = m.spans[:0], 0
	rows, err := tx.QueryContext(ctx, "SELECT seq, low, high, length(rows) FROM block WHERE seq > ? AND seq <= ? ORDER BY seq", after, last)
	if err != nil {
		return 0, false, err
	}
	defer rows.Close()
	for room := 0; rows.Next(); {
		var seq, low, high int64
		var octets int
		if err := rows.Scan(&seq, &low, &high, &octets); err != nil {
			return 0, false, err
		}
		switch n := len(m.spans); {
		case n == 0:
			first = seq
			fallthrough
		case room <= 0:
			if n == sieveSpans {
				return first, true, nil
			}
			m.spans, room = append(m.spans, span{seq, low, high}), cmp.Or(m.octets, spanOctets)
		default:
			s := &m.spans[n-1]
			s.last, s.low, s.high = seq, min(s.low, low), max(s.high, high)
		}
		if room -= octets; room <= 0 && len(m.spans) == sieveSpans {
			return first, true, nil
		}
	}
	return first, false, rows.Err()
}

// read gathers the keys of the spans, each once.
func (m *sieveMaker) read(ctx context.Context, tx *sql.Tx, first, last int64) error {
	for i := range m.keys {
		m.keys[i] = m.keys[i][:0]
	}
	rows, err := tx.QueryContext(ctx, "SELECT seq, rows FROM block WHERE seq BETWEEN ? AND ? ORDER BY seq", first, last)
	if err != nil {
		return err
	}
	defer rows.Close()
	var block octets
	for at := 0; rows.Next(); {
		var seq int64
		if err := rows.Scan(&seq, &block); err != nil {
			return err
		}
		for seq > m.spans[at].last {
			at++
		}
		keys := m.keys[at]
		if bad := eachRow(block, func(c *columns) bool {
			keys = c.appendKeys(keys)
			return true
		}); bad != nil {
			m.all |= 1 << at // whoever looks for something meets the damage, and says so
		}
		m.keys[at] = keys
	}
	return rows.Err()
}

// store writes the sieve.
func (m *sieveMaker) store(ctx context.Context, tx *sql.Tx, first int64) error {
	most := 0
	for i := range m.keys {
		slices.Sort(m.keys[i])
		m.keys[i] = slices.Compact(m.keys[i])
		most = max(most, len(m.keys[i]))
	}
	parts := min((most*sieveBits+partRows-1)/partRows, maxParts)
	parts = max(parts, 1)
	m.fill(parts)
	for i := range parts {
		if _, err := tx.ExecContext(ctx, "INSERT INTO sieve_part (id, body) VALUES (?,?)", first*maxParts+int64(i), sealed(m.body[i*partOctets:(i+1)*partOctets])); err != nil {
			return err
		}
	}
	last, low, high := first, m.spans[0].low, m.spans[0].high
	b := []byte{0, 0, 0, 0, sieveVersion}
	for _, s := range m.spans {
		b = binary.AppendVarint(binary.AppendVarint(binary.AppendUvarint(b, uint64(s.last-last)), s.low), s.high-s.low)
		last, low, high = s.last, min(low, s.low), max(high, s.high)
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO sieve (first, last, low, high, parts, body) VALUES (?,?,?,?,?,?)", first, last, low, high, parts, sealed(b))
	return err
}

// fill sets the bits.
func (m *sieveMaker) fill(parts int) {
	m.body = slices.Grow(m.body[:0], parts*partOctets)[:parts*partOctets]
	clear(m.body)
	set := func(at int, bit uint64) {
		binary.LittleEndian.PutUint64(m.body[at:], binary.LittleEndian.Uint64(m.body[at:])|bit)
	}
	for i, keys := range m.keys {
		for _, key := range keys {
			from := place(key, parts) * partOctets
			for _, at := range probes(key) {
				set(from+at, 1<<i)
			}
		}
	}
	for i := 0; i < parts && m.all != 0; i++ {
		for row := range partRows {
			set(i*partOctets+4+8*row, m.all)
		}
	}
}

// loose are the blocks of an open file that have no sieve yet.
type loose struct {
	after int64 // seq of the last block that a sieve speaks of
	spans int   // that the blocks behind it come to
	room  int   // octets until the last of these is full
	maker sieveMaker
}

// add takes a block of so many octets, as sieveMaker.measure does.
func (l *loose) add(octets int) {
	if l.room <= 0 {
		l.spans, l.room = l.spans+1, cmp.Or(l.maker.octets, spanOctets)
	}
	l.room -= octets
}

// find looks where the sieves of a file end.
func (l *loose) find(ctx context.Context, db *sql.DB) error {
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(last), 0) FROM sieve").Scan(&l.after); err != nil {
		return err
	}
	all, err := numbers(db.QueryContext(ctx, "SELECT length(rows) FROM block WHERE seq > ? ORDER BY seq", l.after))
	for _, octets := range all {
		l.add(int(octets))
	}
	return err
}

// sift makes a sieve when there are blocks enough for one.
func (l *loose) sift(ctx context.Context, db *sql.DB) error {
	if l.spans < sieveSpans || l.spans == sieveSpans && l.room > 0 {
		return nil
	}
	l.spans -= sieveSpans // where it fails, the next one begins with these
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // of no effect after Commit
	did, err := l.maker.make(ctx, tx, l.after, math.MaxInt64, false)
	if err == nil && did {
		err = tx.Commit()
	}
	if n := len(l.maker.spans); err == nil && n > 0 {
		l.after = l.maker.spans[n-1].last // where it did not, another sieve speaks of these
	}
	return err
}

// errSieve says that what a sieve says of its spans does not read; then its blocks are read.
var errSieve = errors.New("log file: a sieve is damaged")

// readSpans reads the spans of a sieve whose first block is given.
func readSpans(first int64, body []byte, spans []span) ([]span, error) {
	b, err := unsealed(body)
	if err != nil || len(b) == 0 || b[0] != sieveVersion {
		return nil, errSieve
	}
	r, last := cursor{s: string(b[1:])}, first
	for spans = spans[:0]; r.s != ""; {
		s := span{last: last + int64(r.uvarint()), low: r.varint()}
		s.high = s.low + r.varint()
		if r.bad || s.last < last || len(spans) == sieveSpans {
			return nil, errSieve
		}
		spans, last = append(spans, s), s.last
	}
	return spans, nil
}
