package spool

import "bytes"

// mostDots is how many lines that begin with a dot are remembered of a message; one with more goes through the dot-writer.
const mostDots = 4096

// lines sees of a message whether it is clean, as gateway.Measured says it: CRLF at the end of each line, the last one too,
// and nowhere else a CR, an LF or a NUL.
type lines struct {
	clean bool
	dots  []int64 // offsets of lines that begin with a dot; nil where it is not clean

	at        int64
	lineStart bool
	afterCR   bool
}

func (l *lines) begin() { *l = lines{clean: true, lineStart: true} }

// scan looks at the next octets.
func (l *lines) scan(p []byte) {
	for len(p) > 0 && l.clean {
		if l.afterCR {
			l.clean = p[0] == '\n'
			l.afterCR, l.lineStart = false, true
			l.at++
			p = p[1:]
			continue
		}
		if l.lineStart && p[0] == '.' {
			l.dots = append(l.dots, l.at)
			l.clean = len(l.dots) <= mostDots
		}
		l.lineStart = false
		text := p
		if i := bytes.IndexByte(p, '\r'); i >= 0 {
			text, p = p[:i], p[i+1:]
			l.afterCR = true
			l.at++
		} else {
			p = nil
		}
		l.at += int64(len(text))
		if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, 0) >= 0 {
			l.clean = false
		}
	}
}

// end says that there is no more.
func (l *lines) end() {
	l.clean = l.clean && l.lineStart && !l.afterCR && l.at > 0
	if !l.clean {
		l.dots = nil
	}
}
