package clamd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxReply bounds what is read of a reply, in octets. Signature names are far
// shorter, and clamd sends nothing else.
const maxReply = 1024

// Kind of a verdict. The zero value is no verdict at all.
type Kind uint8

const (
	// NoVerdict is the zero value: nothing is known.
	NoVerdict Kind = iota
	// Clean: clamd read the whole stream and found nothing.
	Clean
	// Infected: a signature or heuristic matched.
	Infected
	// Exceeded: a limit kept clamd from looking at all of the data
	// (Heuristics.Limits.Exceeded*, with AlertExceedsMax). Never clean.
	Exceeded
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Clean:
		return "clean"
	case Infected:
		return "infected"
	case Exceeded:
		return "exceeded"
	}
	return "no verdict"
}

// Finding is what a reply says.
type Finding struct {
	Kind Kind
	// Signature is the exact name that matched, also of a limit; empty if clean.
	// It is printable ASCII, without the hash and size that clamd's
	// ExtendedDetectionInfo puts behind it.
	Signature string
	Official  bool // of ClamAV's own databases: no .UNOFFICIAL at the end, and not a limit
	Heuristic bool // Heuristics.*: matched by a rule of thumb, not by a signature
	PUA       bool // PUA.*: possibly unwanted, not malicious
}

const (
	streamPrefix = "stream: "
	cleanReply   = "stream: OK"
	foundSuffix  = " FOUND"
	limitReply   = "INSTREAM size limit exceeded. ERROR"
	errorSuffix  = " ERROR"
)

// parseScan reads the reply to INSTREAM, without its final NUL. Whatever is not
// exactly one of clamd's replies is an error.
func parseScan(line string) (Finding, error) {
	switch {
	case line == cleanReply:
		return Finding{Kind: Clean}, nil
	case line == limitReply:
		return Finding{}, ErrTooBig
	case strings.HasSuffix(line, errorSuffix):
		return Finding{}, fmt.Errorf("%w: %q", ErrRefused, line)
	}
	name, ok := strings.CutPrefix(line, streamPrefix)
	if ok {
		name, ok = strings.CutSuffix(name, foundSuffix)
	}
	if !ok {
		return Finding{}, fmt.Errorf("%w: %q", ErrReply, line)
	}
	name = cutHash(name)
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) ||
		strings.TrimSpace(name) != name {
		return Finding{}, fmt.Errorf("%w: signature name in %q", ErrReply, line)
	}
	return classify(name), nil
}

// classify reads what the name of a signature tells.
func classify(name string) Finding {
	f := Finding{
		Kind:      Infected,
		Signature: name,
		Official:  !strings.HasSuffix(name, ".UNOFFICIAL"),
		Heuristic: strings.HasPrefix(name, "Heuristics."),
		PUA:       strings.HasPrefix(name, "PUA."),
	}
	if strings.HasPrefix(name, "Heuristics.Limits.Exceeded") {
		f.Kind = Exceeded
		f.Official = false
	}
	return f
}

// cutHash takes off the "(MD5:SIZE)" of ExtendedDetectionInfo, which would hide
// the .UNOFFICIAL before it.
func cutHash(name string) string {
	open := strings.LastIndexByte(name, '(')
	if open < 0 || !strings.HasSuffix(name, ")") {
		return name
	}
	hash, size, ok := strings.Cut(name[open+1:len(name)-1], ":")
	if !ok || len(hash) != 32 || strings.Trim(hash, "0123456789abcdef") != "" ||
		size == "" || strings.Trim(size, "0123456789") != "" {
		return name
	}
	return name[:open]
}

// readReply reads one reply that ends with end, and the closing of the connection
// behind it, into buf. As soon as the reply is there it calls seen; line is then
// valid even when err says that something came after it, so that a caller can
// tell a refusal from silence. It aliases buf.
func readReply(r io.Reader, buf []byte, end byte, seen func()) (line []byte, err error) {
	n, at := 0, -1
	for {
		if n == len(buf) {
			if at < 0 {
				return nil, fmt.Errorf("%w: longer than %d octets", ErrReply, len(buf)-1)
			}
			return line, fmt.Errorf("%w: more than one reply", ErrReply)
		}
		m, err := r.Read(buf[n:])
		fresh := buf[n : n+m]
		n += m
		if at < 0 {
			if i := bytes.IndexByte(fresh, end); i >= 0 {
				at = n - m + i
				line = buf[:at]
				seen()
			}
		}
		if at >= 0 && n > at+1 {
			return line, fmt.Errorf("%w: more than one reply", ErrReply)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			return line, fmt.Errorf("clamd: read reply: %w", err)
		}
		if at >= 0 {
			return line, nil
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: connection closed without a reply", ErrReply)
		}
		return nil, fmt.Errorf("%w: cut off after %q", ErrReply, buf[:n])
	}
}
