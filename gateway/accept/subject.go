package accept

import (
	"bytes"
	"mime"
	"strings"

	"gatepost/gateway"
)

// maxSubjectLine is how long the first line of a subject may become before the tag gets a line of its own (RFC 5322
// section 2.1.1 wants at most 78 octets and allows 998).
const maxSubjectLine = 78

// tagsSubject reports whether the message is to show its mark in the subject: it is tagged, or quarantined and delivered
// marked, for something that was seen. Mail that is only marked since a check could not tell is not: a scanner that is away
// must not make spam of all mail. Signed mail is left alone unless policy says otherwise.
func tagsSubject(e *gateway.Envelope, v *gateway.Verdict) bool {
	t := e.Session.Snapshot.Tag
	marked := v.Outcome == gateway.Tag || v.Outcome == gateway.Quarantine
	return marked && !unedited(e) && strings.TrimSpace(t.Text) != "" && (t.Signed || !signed(e.Header)) && !onlyUnknown(e, v)
}

// unedited reports whether a copy is for a domain that wants none changed. The mark is in our fields all the same.
func unedited(e *gateway.Envelope) bool {
	for i := range e.Rcpts {
		if d := e.Session.Snapshot.Policy.Serves(e.Rcpts[i].Address); e.Rcpts[i].Accepted() && d != nil && d.Unedited {
			return true
		}
	}
	return false
}

// subject puts before the subject what policy wants there, and in front of that the tag of marked mail. What a rule of policy
// asks for by itself is put there in signed mail, too: nearly all mail is signed.
func (f *Fields) subject(b []byte, e *gateway.Envelope, v *gateway.Verdict) []byte {
	tag := ""
	if tagsSubject(e, v) {
		tag = strings.TrimSpace(e.Session.Snapshot.Tag.Text)
	}
	text := strings.TrimSpace(v.Edits.Subject)
	if e.Header.Count("Subject") == 0 {
		text, tag = strings.TrimSpace(tag+" "+text), ""
	}
	for _, s := range [...]string{text, tag} {
		if s != "" {
			b = f.tagSubject(b, e.Header, s)
		}
	}
	return b
}

// onlyUnknown reports whether what decided could not tell, and the points alone would not have marked the message.
func onlyUnknown(e *gateway.Envelope, v *gateway.Verdict) bool {
	for _, findings := range [...][]gateway.Finding{e.Findings, e.Session.Findings} {
		for i := range findings {
			if f := &findings[i]; v.Check != "" && f.Check == v.Check && f.Reason == v.Reason && f.Result == gateway.Unknown {
				return v.Score < e.Session.Snapshot.Policy.Thresholds.Tag
			}
		}
	}
	return false
}

// signed reports whether anybody signed the header section: a signature covers the subject nearly always.
func signed(h *gateway.Header) bool {
	for i := range h.Fields {
		if n := h.Fields[i].Name; strings.EqualFold(n, "DKIM-Signature") || strings.EqualFold(n, "ARC-Message-Signature") {
			return true
		}
	}
	return false
}

// tagSubject puts the tag in front of each subject: mail clients differ in which of several they show. What stands behind it
// stays octet for octet as it came in, whatever its folding, its encoded words and its charset. Without a subject it adds
// one to our fields.
func (f *Fields) tagSubject(b []byte, h *gateway.Header, tag string) []byte {
	found := false
	for _, field := range h.Fields {
		if !strings.EqualFold(field.Name, "Subject") {
			continue
		}
		found = true
		if word := inHeader(tag, h.Value(field)); word != "" {
			f.insert(h.Raw, field, word)
		}
	}
	if !found {
		f.Edits = append(f.Edits, "subject added")
		return add(b, "Subject: ", inHeader(tag, ""), "\r\n")
	}
	return b
}

// insert puts a text behind the colon of a field.
func (f *Fields) insert(raw []byte, field gateway.Field, text string) {
	at := field.Start + bytes.IndexByte(raw[field.Start:field.End], ':') + 1
	for i, s := range f.kept {
		if at < s.from || at > s.to {
			continue
		}
		text = " " + text
		first, _, _ := bytes.Cut(raw[at:field.End], []byte("\r\n"))
		switch {
		case at-field.Start+len(text)+1+len(first) > maxSubjectLine && len(bytes.TrimSpace(first)) > 0:
			text += "\r\n "
		case len(first) > 0 && first[0] != ' ' && first[0] != '\t':
			text += " "
		}
		f.kept = append(f.kept[:i], append([]span{{from: s.from, to: at, then: text}, {from: at, to: s.to, then: s.then}}, f.kept[i+1:]...)...)
		f.Edits = append(f.Edits, "subject")
		return
	}
}

// inHeader is the tag as it is written before a subject; "" where that begins with it already. Letters beyond US-ASCII
// become an encoded word (RFC 2047 section 2). White space between two of those is not shown, so that the space that sets
// the tag off goes into the first.
func inHeader(tag, subject string) string {
	tag = strings.TrimSpace(tag)
	ascii := !strings.ContainsFunc(tag, func(r rune) bool { return r < ' ' || r > '~' })
	if ascii {
		if strings.HasPrefix(subject, tag) {
			return ""
		}
		return tag
	}
	between := ""
	if strings.HasPrefix(subject, "=?") {
		between = " "
	}
	word := mime.BEncoding.Encode("utf-8", tag+between)
	if strings.HasPrefix(subject, word) {
		return ""
	}
	return word
}
