package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"net/netip"
	"strings"
	"time"

	"gatepost/gateway"
)

// columns are what of an event is searched and listed: those of the table event. Texts are as they are compared.
type columns struct {
	id, session           int64
	kind                  gateway.EventKind
	verdict               gateway.Outcome
	began                 int64 // milliseconds since 1970
	size, took            int64 // octets, milliseconds
	transactions          int
	score                 float64
	client                netip.Addr // of 16 octets, or not valid
	at                    int64      // of the stories of its block
	rcpts                 string     // a space behind each
	to                    []rcptColumns
	listener, helo        string
	from, fromDomain      string
	header, headerDomain  string
	messageID, subject    string
	reason, check, policy string
	reply, nextHop, end   string
}

// rcptColumns are of one recipient.
type rcptColumns struct {
	key     string // part of columns.rcpts
	outcome gateway.Outcome
	code    int
}

// errBlock says that a block does not read back as it was written.
var errBlock = errors.New("log file: a block is damaged")

// columnsOf gathers the columns of an event. The recipients go into scratch, which is given back for the next.
func columnsOf(e *gateway.Event, at int64, scratch []rcptColumns) columns {
	r := e.Record
	c := columns{id: int64(r.ID), session: int64(r.Session), kind: e.Kind, verdict: e.Outcome(), began: r.Time.UnixMilli(),
		size: r.Size, took: e.Took.Milliseconds(), transactions: e.Session.Transactions, score: number(e.Verdict.Score),
		client: r.Client.WithZone(""), at: at, to: scratch[:0], listener: r.Listener, helo: r.Helo, messageID: messageIDKey(e.MessageID), subject: e.Subject,
		reason: string(e.Verdict.Reason), check: e.Verdict.Check, policy: e.Policy, reply: e.Reply.String(), end: e.Session.End}
	if e.Relayed != nil {
		c.nextHop = e.Relayed.NextHop
	}
	if e.Kind != gateway.TransactionEvent {
		return c
	}
	c.from = addressKey(r.From.Text)
	c.fromDomain = domainOf(c.from)
	if h := fromHeader(r.HeaderFrom); h != c.from {
		c.header = h
		if d := domainOf(h); d != c.fromDomain {
			c.headerDomain = d
		}
	}
	for i := range r.Rcpts {
		to := rcptColumns{key: addressKey(r.Rcpts[i].To.Text), outcome: e.Verdict.Outcome, code: r.Rcpts[i].Code}
		if i < len(e.Verdict.Rcpts) {
			to.outcome = e.Verdict.Rcpts[i].Outcome
		}
		c.to = append(c.to, to)
	}
	return c
}

// joinRcpts makes rcpts of to. A block has them so; columns that go into one do without.
func (c *columns) joinRcpts() {
	var b strings.Builder
	for i := range c.to {
		b.WriteString(c.to[i].key)
		b.WriteByte(' ')
	}
	c.rcpts = b.String()
}

// texts are the columns that are nothing but text, in the order of the block.
func (c *columns) texts() [15]*string {
	return [15]*string{&c.listener, &c.helo, &c.from, &c.fromDomain, &c.header, &c.headerDomain, &c.messageID, &c.subject,
		&c.reason, &c.check, &c.policy, &c.reply, &c.nextHop, &c.end, &c.rcpts}
}

// append writes the columns behind their length: numbers, the address, the recipients, and the texts behind their lengths.
func (c *columns) append(b []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.id))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.session))
	b = append(b, byte(c.kind), byte(c.verdict))
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.score))
	for _, n := range [...]int64{c.began, c.size, c.took, int64(c.transactions), c.at} {
		b = binary.AppendVarint(b, n)
	}
	address := c.client.AsSlice()
	b = append(append(b, byte(len(address))), address...)
	b = binary.AppendUvarint(b, uint64(len(c.to)))
	rcpts := 0
	for i := range c.to {
		to := &c.to[i]
		b = append(binary.AppendUvarint(b, uint64(len(to.key))), byte(to.outcome))
		b = binary.AppendVarint(b, int64(to.code))
		rcpts += len(to.key) + 1
	}
	all := c.texts()
	for _, s := range all[:len(all)-1] {
		b = append(binary.AppendUvarint(b, uint64(len(*s))), *s...)
	}
	b = binary.AppendUvarint(b, uint64(rcpts))
	for i := range c.to {
		b = append(append(b, c.to[i].key...), ' ')
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// cursor reads what append wrote; the first thing that is not there makes it bad, and what it reads then is nothing.
type cursor struct {
	s   string
	bad bool
}

func (r *cursor) take(n uint64) string {
	if r.bad || n > uint64(len(r.s)) {
		r.bad = true
		return ""
	}
	s := r.s[:n]
	r.s = r.s[n:]
	return s
}

func (r *cursor) octet() byte {
	if s := r.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (r *cursor) fixed() (v uint64) {
	s := r.take(8)
	for i := len(s) - 1; i >= 0; i-- {
		v = v<<8 | uint64(s[i])
	}
	return v
}

func (r *cursor) uvarint() (v uint64) {
	for shift := 0; shift < 64; shift += 7 {
		c := r.octet()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.bad = true
	return 0
}

func (r *cursor) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// read takes the columns of one event; their texts share the block's. The recipients go into c.to, over what is there.
func (c *columns) read(s string) bool {
	r := cursor{s: s}
	*c = columns{to: c.to[:0], id: int64(r.fixed()), session: int64(r.fixed()), kind: gateway.EventKind(r.octet()),
		verdict: gateway.Outcome(r.octet()), score: math.Float64frombits(r.fixed())}
	c.began, c.size, c.took, c.transactions, c.at = r.varint(), r.varint(), r.varint(), int(r.varint()), r.varint()
	if address := r.take(uint64(r.octet())); address != "" {
		c.client, _ = netip.AddrFromSlice([]byte(address))
	}
	n := r.uvarint()
	lengths := r // the keys follow at the end
	for i := uint64(0); i < n && !r.bad; i++ {
		c.to = append(c.to, rcptColumns{})
		to := &c.to[i]
		r.uvarint()
		to.outcome, to.code = gateway.Outcome(r.octet()), int(r.varint())
	}
	for _, t := range c.texts() {
		*t = r.take(r.uvarint())
	}
	keys := cursor{s: c.rcpts}
	for i := range c.to {
		c.to[i].key = keys.take(lengths.uvarint())
		lengths.octet()
		lengths.varint()
		keys.octet()
	}
	return !r.bad && r.s == "" && !keys.bad
}

// sealed puts a checksum in front of a block's octets, of which the first four are free for it.
func sealed(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, crc32.ChecksumIEEE(b[4:]))
	return b
}

// unsealed returns the octets behind the checksum, which must be right.
func unsealed(b []byte) ([]byte, error) {
	if len(b) < 4 || crc32.ChecksumIEEE(b[4:]) != binary.LittleEndian.Uint32(b) {
		return nil, errBlock
	}
	return b[4:], nil
}

// eachRow gives the columns of each event of a block to see, until it returns false. They are good until see returns, but for
// their texts.
func eachRow(block []byte, see func(*columns) bool) error {
	b, err := unsealed(block)
	if err != nil {
		return err
	}
	return eachRowOf(b, nil, see)
}

// eachRowOf is eachRow for what stands behind the checksum, and for those events of which may says so by their octets; nil: all.
func eachRowOf(b []byte, may func([]byte) bool, see func(*columns) bool) error {
	var c columns
	var all string
	if may == nil {
		all = string(b)
	}
	for at := 0; at < len(b); {
		if len(b)-at < 4 {
			return errBlock
		}
		from := at + 4
		n := int(binary.LittleEndian.Uint32(b[at:]))
		if n > len(b)-from {
			return errBlock
		}
		at = from + n
		row := ""
		switch {
		case may == nil:
			row = all[from:at]
		case !may(b[from:at]):
			continue
		default:
			row = string(b[from:at])
		}
		if !c.read(row) {
			return errBlock
		}
		if !see(&c) {
			return nil
		}
	}
	return nil
}

// row is what a list shows of them. It holds on to nothing of the block, which may be large.
func (c *columns) row() Row {
	for _, t := range c.texts() {
		*t = strings.Clone(*t)
	}
	return Row{ID: gateway.ID(c.id), Session: gateway.ID(c.session), Time: time.UnixMilli(c.began).UTC(), Kind: c.kind,
		Client: c.client.Unmap(), Listener: c.listener, Helo: c.helo, From: c.from, HeaderFrom: c.header, Rcpts: strings.Fields(c.rcpts),
		Size: c.size, MessageID: c.messageID, Subject: c.subject, Verdict: c.verdict, Reason: gateway.Reason(c.reason),
		Check: c.check, Score: c.score, Policy: c.policy, Reply: c.reply, NextHop: c.nextHop, End: c.end,
		Transactions: c.transactions, Took: time.Duration(c.took) * time.Millisecond}
}
