package gateway

import (
	"mime"
	"strings"
	"unicode"
	"unicode/utf8"
)

// How much of a subject is kept, in characters, and how much of it is looked at, in octets.
const (
	maxSubject = 200
	cutSubject = 20
	rawSubject = 2000
)

// LoggedSubject is the subject of the message as the strictest rule of the domains of its accepted recipients lets it be
// kept: whole, cut to its beginning, or not at all.
func (e *Envelope) LoggedSubject() string {
	if e.Header == nil {
		return ""
	}
	return subject(e.Header, e.subjectRule())
}

func (e *Envelope) subjectRule() string {
	rule := ""
	for i := range e.Rcpts {
		if !e.Rcpts[i].Accepted() {
			continue
		}
		of := "off"
		if d := e.Session.Snapshot.Policy.Serves(e.Rcpts[i].Address); d != nil {
			of = d.Subject
		}
		switch {
		case of != "full" && of != "cut":
			return "off"
		case rule != "cut":
			rule = of
		}
	}
	return rule
}

// subject returns the subject as the rule lets it be logged: "full", "cut" to its beginning, or nothing.
func subject(h *Header, rule string) string {
	limit := 0
	switch rule {
	case "full":
		limit = maxSubject
	case "cut":
		limit = cutSubject
	default:
		return ""
	}
	raw := h.Get("Subject")
	if len(raw) > rawSubject {
		raw = raw[:rawSubject]
	}
	text := raw
	if decoded, err := new(mime.WordDecoder).DecodeHeader(raw); err == nil {
		text = decoded
	}
	return readable(text, limit)
}

// readable keeps the first characters of a text; those that could trick a terminal or a page read as "?".
func readable(text string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range text {
		if n == limit {
			break
		}
		n++
		switch {
		case r == '\t' || r == '\r' || r == '\n':
			r = ' '
		case r == utf8.RuneError, !unicode.IsPrint(r):
			r = '?'
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
