package milter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// whole replays all steps and goes.
func (d *dialogue) whole(m *Message) error {
	if err := d.negotiate(); err != nil {
		return err
	}
	err := d.envelope(m)
	if err == nil && len(d.result.Refused) == len(m.Rcpts) && len(m.Rcpts) > 0 {
		r := d.result // it refused everybody, as it did the last one
		r.Kind = Reject
		if r.Code != 0 && r.Code < 500 {
			r.Kind = TempFail
		}
		d.conclude(r, "rcpt")
		d.result.Refused, err = nil, errOver
	}
	if err == nil {
		err = d.content(m)
	}
	if err == nil {
		err = d.end(m)
	}
	if err != nil && !errors.Is(err, errOver) {
		return err
	}
	if d.result.Kind == Accept && len(d.result.Refused) > 0 {
		d.result.Kind, d.result.At = Quarantine, "rcpt"
	}
	_ = d.send(cmdQuit) // its word was heard; that it goes is only polite
	return nil
}

// envelope replays what was said before DATA.
func (d *dialogue) envelope(m *Message) error {
	// Postfix tells it as "[client name] [address]"; sendmail's form is the same.
	underscore := m.Client + " [" + m.IP + "]"
	if m.IP == "" {
		underscore = ""
	}
	addr := strings.Trim(m.From, "<>")
	_, host, _ := strings.Cut(addr, "@")
	steps := []step{
		{name: "connect", command: cmdConnect, data: peer(m), no: noConnect, silent: silentConnect,
			macros: []string{"j", m.Host, "{daemon_name}", m.Daemon, "v", m.Daemon, "_", strings.TrimSpace(underscore), "{client_addr}", m.IP, "{client_name}", m.Client}},
		{name: "helo", command: cmdHelo, data: [][]byte{zero(m.Helo)}, no: noHelo, silent: silentHelo,
			macros: []string{"{tls_version}", m.TLS, "{cipher}", m.Cipher}},
		{name: "mail", command: cmdMail, data: append([][]byte{zero(m.From)}, ended(m.FromArgs)...), no: noMail, silent: silentMail,
			macros: []string{"i", m.ID, "r", m.Protocol, "{mail_addr}", addr, "{mail_host}", host, "{mail_mailer}", "esmtp"}},
	}
	for _, r := range m.Rcpts {
		addr := strings.Trim(r, "<>")
		_, host, _ := strings.Cut(addr, "@")
		steps = append(steps, step{name: "rcpt", command: cmdRcpt, data: [][]byte{zero(r)}, no: noRcpt, silent: silentRcpt, rcpt: addr,
			macros: []string{"i", m.ID, "{rcpt_addr}", addr, "{rcpt_host}", host, "{rcpt_mailer}", "smtp"}})
	}
	for _, s := range steps {
		if err := d.say(s); err != nil {
			return err
		}
	}
	return nil
}

func ended(texts []string) (out [][]byte) {
	for _, t := range texts {
		out = append(out, zero(t))
	}
	return out
}

// content replays DATA, the header section and the body.
func (d *dialogue) content(m *Message) error {
	id := []string{"i", m.ID}
	if d.result.Version > 3 {
		if err := d.say(step{name: "data", command: cmdData, no: noData, silent: silentData, macros: id}); err != nil {
			return err
		}
	}
	for _, f := range m.Header {
		value := f[1]
		if d.steps&leadingSpace == 0 {
			value = strings.TrimPrefix(value, " ")
		}
		// A filter reads lines that end as Unix has it.
		value = strings.ReplaceAll(value, "\r\n", "\n")
		if err := d.say(step{name: "header", command: cmdHeader, data: [][]byte{zero(f[0]), zero(value)}, no: noHeader, silent: silentHeader, macros: id}); err != nil {
			return err
		}
	}
	if err := d.say(step{name: "header", command: cmdEOH, no: noEOH, silent: silentEOH, macros: id}); err != nil {
		return err
	}
	if d.steps&noBody != 0 {
		return nil
	}
	buffer := make([]byte, min(m.Size, bodyChunk))
	for at := int64(0); at < m.Size; {
		piece := buffer[:min(m.Size-at, bodyChunk)]
		if err := readAt(m, piece, at); err != nil {
			return err
		}
		err := d.say(step{name: "body", command: cmdBody, data: [][]byte{piece}, silent: silentBody, skippedOnly: true, macros: id})
		if errors.Is(err, errSkip) {
			return nil
		}
		if err != nil {
			return err
		}
		at += int64(len(piece))
	}
	return nil
}

// end says that the message is whole, and reads what the filter would change until it says its word.
func (d *dialogue) end(m *Message) error {
	if err := d.send(cmdMacro, []byte{cmdEnd}, macros([]string{"i", m.ID})); err != nil {
		return err
	}
	if err := d.send(cmdEnd); err != nil {
		return err
	}
	quarantine, kept := "", false
	for {
		reply, data, err := d.read()
		if err != nil {
			return err
		}
		switch reply {
		case repProgress:
			continue
		case repContinue, repAccept:
			if len(data) != 0 {
				return fmt.Errorf("%w: %q with %d octets", ErrReply, reply, len(data))
			}
			d.conclude(Result{Kind: Accept, Code: d.result.Code, Enhanced: d.result.Enhanced, Text: d.result.Text}, "end")
			if kept {
				d.conclude(Result{Kind: Quarantine, Text: quarantine}, "end")
			}
			return nil
		case repQuarantine:
			t, ok := texts(data)
			if !ok {
				return fmt.Errorf("%w: quarantine without a reason that ends", ErrReply)
			}
			quarantine, kept = t[0], true
			continue
		}
		if r, ok := final(reply, data); ok {
			d.conclude(r, "end")
			return nil
		}
		if err := d.change(reply, data); err != nil {
			return err
		}
	}
}

// change notes what the filter would change.
func (d *dialogue) change(reply byte, data []byte) error {
	words := map[byte]string{repAddHeader: "add header", repInsHeader: "insert header", repChgHeader: "change header", repNewBody: "replace body",
		repAddRcpt: "add recipient", repAddRcptPar: "add recipient", repDelRcpt: "delete recipient", repChgFrom: "change sender"}
	word, ok := words[reply]
	if !ok {
		return fmt.Errorf("%w: %q at the end", ErrReply, reply)
	}
	if reply == repInsHeader || reply == repChgHeader {
		if len(data) < 4 {
			return fmt.Errorf("%w: %s without a place", ErrReply, word)
		}
		data = data[4:]
	}
	if reply != repNewBody {
		t, ok := texts(data)
		if !ok {
			return fmt.Errorf("%w: %s that does not end", ErrReply, word)
		}
		word += " " + t[0]
	}
	switch n := len(d.result.Changes); {
	case n > 0 && d.result.Changes[n-1] == word: // a body comes in many pieces
	case n < maxChanges:
		d.result.Changes = append(d.result.Changes, word)
	case n == maxChanges:
		d.result.Changes = append(d.result.Changes, "and more than "+strconv.Itoa(maxChanges))
	}
	return nil
}
