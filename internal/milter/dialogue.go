package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// What we offer (SMFIF_*, SMFIP_*): every action, since some filters go where one is missing, and every step that a filter
// may leave out or not answer.
const (
	protocolVersion = 6
	allActions      = 0x1ff
	allSteps        = 0x1fffff
)

// Steps that a filter does not want (SMFIP_NO*) or does not answer (SMFIP_NR_*).
const (
	noConnect = 1 << iota
	noHelo
	noMail
	noRcpt
	noBody
	noHeader
	noEOH
	silentHeader
	noUnknown
	noData
	maySkip
	wantsRefusedRcpts
	silentConnect
	silentHelo
	silentMail
	silentRcpt
	silentData
	silentUnknown
	silentEOH
	silentBody
	leadingSpace
)

// dialogue is one connection and what came of it so far.
type dialogue struct {
	packets
	steps  uint32 // what was agreed on
	result Result
}

func newDialogue(conn net.Conn) *dialogue {
	return &dialogue{packets: packets{r: bufio.NewReaderSize(conn, 4<<10), w: bufio.NewWriterSize(conn, 8<<10)}}
}

// negotiate agrees on a version and on what is left out.
func (d *dialogue) negotiate() error {
	var offer [12]byte
	binary.BigEndian.PutUint32(offer[0:], protocolVersion)
	binary.BigEndian.PutUint32(offer[4:], allActions)
	binary.BigEndian.PutUint32(offer[8:], allSteps)
	if err := d.send(cmdOptions, offer[:]); err != nil {
		return err
	}
	reply, data, err := d.read()
	if err != nil {
		return err
	}
	if reply != cmdOptions || len(data) < 12 {
		return fmt.Errorf("%w: %q to the offer", ErrReply, reply)
	}
	version, actions, steps := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
	if version < 2 || version > protocolVersion || actions&^allActions != 0 || steps&^allSteps != 0 {
		return fmt.Errorf("%w: it agrees to version %d, actions %#x, steps %#x, and was offered 6, %#x, %#x", ErrReply, version, actions, steps, allActions, allSteps)
	}
	d.result.Version, d.steps = version, steps
	return nil
}

// step is one command of the dialogue, with its macros.
type step struct {
	name        string
	command     byte
	data        [][]byte
	macros      []string // names and values in turn
	no, silent  uint32   // bits by which a filter does without it, and without an answer to it
	rcpt        string   // of RCPT: whose refusal is not yet that of the message
	skippedOnly bool     // SMFIR_SKIP may answer it
}

// errOver ends a dialogue whose result is known.
var errOver = errors.New("over")

// say sends one step and reads its answer.
func (d *dialogue) say(s step) error {
	if d.steps&s.no != 0 {
		return nil
	}
	if m := macros(s.macros); len(m) > 0 {
		if err := d.send(cmdMacro, []byte{s.command}, m); err != nil {
			return err
		}
	}
	if err := d.send(s.command, s.data...); err != nil {
		return err
	}
	if d.steps&s.silent != 0 && s.silent != 0 {
		return nil
	}
	for {
		reply, data, err := d.read()
		if err != nil {
			return err
		}
		if reply == repProgress {
			continue
		}
		return d.answer(&s, reply, data)
	}
}

// answer takes the answer to a step before the end of the message.
func (d *dialogue) answer(s *step, reply byte, data []byte) error {
	if reply == repContinue {
		return nil
	}
	if reply == repSkip && s.skippedOnly && d.steps&maySkip != 0 {
		return errSkip
	}
	r, ok := final(reply, data)
	if !ok {
		return fmt.Errorf("%w: %q to %s", ErrReply, reply, s.name)
	}
	if s.rcpt != "" && (r.Kind == Reject || r.Kind == TempFail) {
		d.result.Refused = append(d.result.Refused, s.rcpt)
		d.result.Code, d.result.Enhanced, d.result.Text = r.Code, r.Enhanced, r.Text
		return nil
	}
	if r.Kind == Accept { // which says nothing of those that it refused
		r.Code, r.Enhanced, r.Text = d.result.Code, d.result.Enhanced, d.result.Text
	}
	d.conclude(r, s.name)
	return errOver
}

// errSkip says that the filter wants no more of the body.
var errSkip = errors.New("skip")

// conclude takes what a filter said for the whole message.
func (d *dialogue) conclude(r Result, at string) {
	d.result.Kind, d.result.Code, d.result.Enhanced, d.result.Text, d.result.At = r.Kind, r.Code, r.Enhanced, r.Text, at
}

// final reads a reply that ends a dialogue.
func final(reply byte, data []byte) (Result, bool) {
	switch reply {
	case repCode:
		t, ok := texts(data)
		if !ok || len(t) != 1 {
			return Result{}, false
		}
		return coded(t[0])
	case repAccept, repDiscard, repReject, repTempFail, repConnFail:
		if len(data) != 0 {
			return Result{}, false
		}
	}
	switch reply {
	case repAccept:
		return Result{Kind: Accept}, true
	case repDiscard:
		return Result{Kind: Discard}, true
	case repReject:
		return Result{Kind: Reject}, true
	case repTempFail, repConnFail:
		return Result{Kind: TempFail}, true
	}
	return Result{}, false
}

// coded reads "550 5.7.1 text": a reply of the 4xx or 5xx kind. Of one with several lines the first is kept.
func coded(text string) (Result, bool) {
	code, err := strconv.Atoi(text[:min(3, len(text))])
	if err != nil || code < 400 || code > 599 || len(text) > 3 && text[3] != ' ' && text[3] != '-' {
		return Result{}, false
	}
	r := Result{Kind: Reject, Code: code}
	if code < 500 {
		r.Kind = TempFail
	}
	r.Text = strings.TrimSpace(strings.TrimLeft(text[3:], " -"))
	if first, rest, _ := strings.Cut(r.Text, " "); isEnhanced(first, code) {
		r.Enhanced, r.Text = first, strings.TrimSpace(rest)
	}
	return r, true
}

// isEnhanced says that a word is an enhanced code (RFC 3463) of the same class.
func isEnhanced(s string, code int) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(code/100) {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// macros writes names and values as data of a macro packet; those without a value are left out.
func macros(pairs []string) (out []byte) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(append(out, zero(pairs[i])...), zero(pairs[i+1])...)
		}
	}
	return out
}

// peer is the data of the connect step.
func peer(m *Message) [][]byte {
	a, err := netip.ParseAddr(m.IP)
	name := m.Client
	if err != nil {
		return [][]byte{zero(name), {'U'}}
	}
	if name == "" {
		name = "[" + m.IP + "]"
	}
	family, text := byte('4'), a.String()
	if a.Is6() {
		family, text = '6', "IPv6:"+text
	}
	return [][]byte{zero(name), {family, byte(m.Port >> 8), byte(m.Port)}, zero(text)}
}

// readAt reads a piece of the body.
func readAt(m *Message, b []byte, at int64) error {
	n, err := m.Body.ReadAt(b, at)
	if n < len(b) {
		return fmt.Errorf("%w: %w", ErrSource, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}
