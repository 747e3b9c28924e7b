package spool

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// A message's file: a line that says what it is, the envelope as one line of JSON, the message octet for octet, and a
// trailer of fixed size with the CRC-32C (RFC 3720 appendix B.4) and the number of all octets before it.
const (
	magic       = "gatepost-spool 1\n"
	trailerForm = "\nend %08x %019d END\n"
	trailerSize = 1 + 4 + 8 + 1 + 19 + 5
	// maxEnvelope is the most that the line of an envelope may have: 1,000 recipients with everything that they may bring
	// are a quarter of it.
	maxEnvelope = 8 << 20
	firstRead   = 4 << 10
	copyBuffer  = 64 << 10
)

// damage says that a file is not what was written.
type damage struct{ why string }

func (d *damage) Error() string { return "damaged: " + d.why }

func damaged(form string, args ...any) error { return &damage{fmt.Sprintf(form, args...)} }

// envelope is all that is kept of a delivery besides its octets.
type envelope struct {
	ID       gateway.ID      `json:"id"`
	Route    string          `json:"route"`
	From     mailbox         `json:"from"`
	Mail     mailOptions     `json:"mail,omitzero"`
	Rcpts    []rcpt          `json:"rcpts"`
	Client   gateway.Client  `json:"client,omitzero"`
	Size     int64           `json:"size"`
	EightBit bool            `json:"eight_bit,omitempty"`
	UTF8     bool            `json:"utf8,omitempty"`
	Custody  gateway.Custody `json:"custody"`
}

// mailbox is a gateway.Address, each part of it as it was parsed: nothing is worked out a second time.
type mailbox struct {
	Text   string `json:"text"`
	Local  string `json:"local,omitempty"`
	Domain string `json:"domain,omitempty"`
	UTF8   bool   `json:"utf8,omitempty"`
}

type mailOptions struct {
	Size     int64  `json:"size,omitempty"`
	EightBit bool   `json:"eight_bit,omitempty"`
	UTF8     bool   `json:"utf8,omitempty"`
	Return   string `json:"ret,omitempty"`
	EnvID    string `json:"envid,omitempty"`

	RequireTLS bool `json:"requiretls,omitempty"`
}

type rcpt struct {
	Address  mailbox   `json:"address"`
	Notify   []string  `json:"notify,omitempty"`
	Original string    `json:"orcpt,omitempty"`
	To       []mailbox `json:"to,omitempty"`
	Named    mailbox   `json:"named,omitzero"`
	Verified bool      `json:"verified,omitempty"`
}

// newEnvelope takes what is to be kept. It refuses what would not come back as it is.
func newEnvelope(d *gateway.Delivery, c gateway.Custody) (*envelope, error) {
	e := &envelope{ID: d.ID, Route: d.Route, From: mailbox(d.From), Mail: mailOptions(d.Options), Client: d.Client,
		Size: d.Content.Size, EightBit: d.Content.EightBit, UTF8: d.Content.UTF8, Custody: c}
	e.Custody.Arrived = c.Arrived.UTC().Round(0)
	if c.Arrived.IsZero() {
		e.Custody.Arrived = time.Now().UTC().Round(0)
	}
	e.Client.Name, e.Client.Helo = gateway.CleanText(e.Client.Name, 255), gateway.CleanText(e.Client.Helo, 255)
	e.Custody.Subject, e.Custody.Why = limit(e.Custody.Subject, 1000), limit(e.Custody.Why, 1000)
	for i := range d.Rcpts {
		r := &d.Rcpts[i]
		kept := rcpt{Address: mailbox(r.Address), Named: mailbox(r.Named), Notify: r.Options.Notify, Original: r.Options.Original, Verified: r.Verified}
		for _, to := range r.To {
			kept.To = append(kept.To, mailbox(to))
		}
		e.Rcpts = append(e.Rcpts, kept)
	}
	return e, e.check()
}

func limit(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	for len(text) > most {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return text
}

// check refuses what cannot have been an envelope, above all what must never come to be written to a next hop.
func (e *envelope) check() error {
	switch {
	case e.ID == 0:
		return errors.New("envelope: no id")
	case e.Route == "" || !plain(e.Route):
		return errors.New("envelope: no route")
	case len(e.Rcpts) == 0:
		return errors.New("envelope: no recipient")
	case e.Size < 0:
		return errors.New("envelope: a size below zero")
	case !e.From.plain():
		return errors.New("envelope: the reverse-path is no address")
	case !plain(e.Mail.EnvID) || !plain(e.Mail.Return):
		return errors.New("envelope: the options of MAIL cannot be written")
	}
	for i := range e.Rcpts {
		r := &e.Rcpts[i]
		if r.Address.Text == "" || !r.Address.plain() || !r.Named.plain() || !plain(r.Original) || !plain(strings.Join(r.Notify, "")) {
			return fmt.Errorf("envelope: recipient %d cannot be written", i)
		}
	}
	return nil
}

func (m *mailbox) plain() bool { return plain(m.Text) && utf8.ValidString(m.Local) && plain(m.Domain) }

// plain reports text that can be part of a command, and comes back from JSON as it is.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// recipient is what a next hop is told.
func (r *rcpt) recipient(route string) gateway.Recipient {
	out := gateway.Recipient{Address: gateway.Address(r.Address), Named: gateway.Address(r.Named), Route: route, Verified: r.Verified,
		Options: gateway.RcptOptions{Notify: r.Notify, Original: r.Original}}
	for _, to := range r.To {
		out.To = append(out.To, gateway.Address(to))
	}
	return out
}

// writeMessage writes a whole file. The content must have the size that was said.
func writeMessage(ctx context.Context, to io.Writer, e *envelope, c *gateway.Content, out *bufio.Writer) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if len(line) >= maxEnvelope {
		return errors.New("envelope: too long")
	}
	sum := &durable.Summed{To: to}
	out.Reset(sum)
	defer out.Reset(nil)
	err = writeParts(ctx, out, line, c)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		_, err = fmt.Fprintf(to, trailerForm, sum.Sum, sum.N)
		sum.Err = err
	}
	if sum.Err != nil {
		return durable.DiskError{Err: sum.Err}
	}
	return err
}

func writeParts(ctx context.Context, out *bufio.Writer, line []byte, c *gateway.Content) error {
	_, _ = out.WriteString(magic) // a bufio.Writer keeps its error
	_, _ = out.Write(line)
	if err := out.WriteByte('\n'); err != nil {
		return err
	}
	left := c.Size
	for _, part := range c.Parts {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := io.Copy(out, io.LimitReader(part, left+1))
		if err != nil {
			return err
		}
		if left -= n; left < 0 {
			return errors.New("message is longer than its size")
		}
	}
	if left > 0 {
		return errors.New("message ended before its size")
	}
	return nil
}

// stored is a message's file that was opened.
type stored struct {
	*envelope
	file  *os.File
	start int64 // of the message in the file
}

// openMessage opens a file and reads its envelope. What it returns of a file that is damaged is a *damage; every other
// error says that it could not be read.
func openMessage(name string, id gateway.ID) (*stored, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	s, err := readHead(f, id, nil)
	if err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// readHead reads the envelope, through buf where that is large enough.
func readHead(f *os.File, id gateway.ID, buf []byte) (*stored, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, damaged("not a file")
	}
	head, err := headOf(f, info.Size(), buf)
	if err != nil {
		return nil, err
	}
	e, err := parseEnvelope(head)
	if err != nil {
		return nil, err
	}
	s := &stored{envelope: e, file: f, start: int64(len(head))}
	switch want := s.start + e.Size + trailerSize; {
	case e.ID != id:
		return nil, damaged("it holds message %v", e.ID)
	case e.Size > info.Size() || info.Size() != want:
		return nil, damaged("%d octets, and %d were written", info.Size(), want)
	}
	return s, nil
}

// headOf reads the two lines before the message.
func headOf(f io.ReaderAt, size int64, buf []byte) ([]byte, error) {
	for n := int64(firstRead); ; n *= 8 {
		n = min(n, size, int64(len(magic)+maxEnvelope))
		head := buf[:min(n, int64(len(buf)))]
		if int64(len(head)) < n {
			head = make([]byte, n)
		}
		if got, err := f.ReadAt(head, 0); err != nil && int64(got) < n && err != io.EOF {
			return nil, err
		}
		if !bytes.HasPrefix(head, []byte(magic)) {
			return nil, damaged("it does not begin as a message of the spool")
		}
		if i := bytes.IndexByte(head[len(magic):], '\n'); i >= 0 {
			return head[:len(magic)+i+1], nil
		}
		if n == size || n == int64(len(magic)+maxEnvelope) {
			return nil, damaged("its envelope does not end")
		}
	}
}

// parseEnvelope reads the two lines.
func parseEnvelope(head []byte) (*envelope, error) {
	line, ok := bytes.CutPrefix(head, []byte(magic))
	if !ok {
		return nil, damaged("it does not begin as a message of the spool")
	}
	e := new(envelope)
	if err := json.Unmarshal(line, e); err != nil {
		return nil, damaged("%s", limit(err.Error(), 200))
	}
	if err := e.check(); err != nil {
		return nil, damaged("%v", err)
	}
	return e, nil
}

// verify reads the whole file, through buf, and holds it against its trailer. On the way it sees what Content.Clean and Dots
// want to know.
func (s *stored) verify(ctx context.Context, buf []byte) (lines, error) {
	var seen lines
	seen.begin()
	end := s.start + s.Size
	var sum uint32
	for at := int64(0); at < end; {
		if ctx.Err() != nil {
			return seen, context.Cause(ctx)
		}
		limit := end
		if at < s.start {
			limit = s.start
		}
		p := buf[:min(int64(len(buf)), limit-at)]
		if n, err := s.file.ReadAt(p, at); n < len(p) {
			if err == io.EOF {
				return seen, damaged("it ends after %d octets", at+int64(n))
			}
			return seen, err
		}
		sum = crc32.Update(sum, durable.Castagnoli(), p)
		if at >= s.start {
			seen.scan(p)
		}
		at += int64(len(p))
	}
	var trailer [trailerSize]byte
	if n, err := s.file.ReadAt(trailer[:], end); n < len(trailer) {
		if err == io.EOF {
			return seen, damaged("its end is missing")
		}
		return seen, err
	}
	if string(trailer[:]) != fmt.Sprintf(trailerForm, sum, end) {
		return seen, damaged("its CRC-32C is %08x of %d octets, and the end says otherwise", sum, end)
	}
	seen.end()
	return seen, nil
}

// content is the message as a next hop gets it.
func (s *stored) content(seen *lines) gateway.Content {
	return gateway.Content{Parts: []io.Reader{io.NewSectionReader(s.file, s.start, s.Size)}, Size: s.Size,
		Clean: seen.clean, Dots: seen.dots, EightBit: s.EightBit, UTF8: s.UTF8}
}
