package authres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Why a text is no result.
var (
	ErrSyntax    = errors.New("authentication-results: bad syntax")
	ErrNoID      = errors.New("authentication-results: no authserv-id")
	ErrAmbiguous = errors.New("authentication-results: can be read in two ways")
)

// Limits of what is read.
const (
	maxField = 64 << 10
	maxDepth = 20 // of comments
	maxProps = 100
)

// Parse reads what stands behind the colon of an Authentication-Results, folded or not. It takes what large senders write
// besides the RFC: keys without a type (action=none), values with "/", "=" and ":" without quotes, a semicolon at the end.
func Parse(value string) (Field, error) {
	p := parser{s: value}
	f, err := p.field()
	if err != nil {
		return Field{}, fmt.Errorf("%w, octet %d", err, p.i)
	}
	return f, nil
}

// ParseARC reads what stands behind the colon of an ARC-Authentication-Results (RFC 8617 section 4.1.1).
func ParseARC(value string) (instance int, f Field, err error) {
	p := parser{s: value}
	if instance, err = p.instance(); err == nil {
		f, err = p.field()
	}
	if err != nil {
		return 0, Field{}, fmt.Errorf("%w, octet %d", err, p.i)
	}
	return instance, f, nil
}

type parser struct {
	s       string
	i       int
	comment string // the text of the last comment that was skipped
}

func (p *parser) instance() (int, error) {
	if err := p.cfws(); err != nil {
		return 0, err
	}
	key := p.run(isKeyOctet)
	if err := p.sign('='); err != nil || !strings.EqualFold(key, "i") {
		return 0, ErrSyntax
	}
	n, err := strconv.Atoi(p.run(isDigit))
	if err != nil || n < 1 || n > 1000 {
		return 0, ErrSyntax
	}
	return n, p.sign(';')
}

func (p *parser) field() (Field, error) {
	f := Field{Version: 1}
	if len(p.s) > maxField || !utf8.ValidString(p.s) {
		return f, ErrSyntax
	}
	if err := p.id(&f); err != nil {
		return f, err
	}
	none := false
	for !p.ends() {
		if err := p.sign(';'); err != nil {
			return f, err
		}
		if err := p.cfws(); err != nil {
			return f, err
		}
		if p.ends() || p.s[p.i] == ';' {
			continue
		}
		r, is, err := p.result()
		switch {
		case err != nil:
			return f, err
		case !is:
			none = true
		case len(f.Results) == maxResults:
			return f, ErrSyntax
		default:
			f.Results = append(f.Results, r)
		}
		if none && len(f.Results) > 0 {
			return f, ErrAmbiguous
		}
	}
	if !none && len(f.Results) == 0 {
		return f, ErrSyntax
	}
	for _, method := range [...]string{"dmarc", "arc"} {
		if len(f.Of(method)) > 1 {
			return f, ErrAmbiguous
		}
	}
	return f, nil
}

// id reads the authserv-id and its version.
func (p *parser) id(f *Field) (err error) {
	if err = p.cfws(); err != nil {
		return err
	}
	if f.ID, err = p.value(); err != nil {
		return err
	}
	if f.ID == "" || strings.ContainsAny(f.ID, "=") {
		return ErrNoID
	}
	if err = p.cfws(); err != nil {
		return err
	}
	if version := p.run(isDigit); version != "" {
		if f.Version, err = strconv.Atoi(version); err != nil {
			return ErrSyntax
		}
	}
	if err = p.cfws(); err != nil {
		return err
	}
	if p.ends() || p.s[p.i] != ';' {
		return ErrSyntax
	}
	return nil
}

// result reads one result; is is false for the word none.
func (p *parser) result() (r Result, is bool, err error) {
	r.Method = strings.ToLower(p.run(isKeyOctet))
	if err = p.cfws(); err != nil {
		return r, false, err
	}
	if r.Method == "none" && (p.ends() || p.s[p.i] == ';') {
		return r, false, nil
	}
	if !p.ends() && p.s[p.i] == '/' {
		p.i++
		if err = p.cfws(); err != nil {
			return r, false, err
		}
		if p.run(isDigit) != "1" { // RFC 8601 section 2.2: of a version that is not known, nothing is
			return r, false, ErrSyntax
		}
	}
	if err = p.sign('='); err != nil {
		return r, false, err
	}
	r.Result = strings.ToLower(p.run(isKeyOctet))
	if !isKeyword(r.Method) || !isKeyword(r.Result) || !p.atWordEnd() {
		return r, false, ErrSyntax
	}
	p.comment = ""
	if err = p.cfws(); err != nil {
		return r, false, err
	}
	r.Comment = p.comment
	for !p.ends() && p.s[p.i] != ';' {
		if err = p.prop(&r); err != nil {
			return r, false, err
		}
	}
	return r, true, nil
}

// prop reads a reason or a property.
func (p *parser) prop(r *Result) error {
	kind, name := "", strings.ToLower(p.run(isKeyOctet))
	if err := p.cfws(); err != nil {
		return err
	}
	if !p.ends() && p.s[p.i] == '.' {
		p.i++
		if err := p.cfws(); err != nil {
			return err
		}
		kind, name = name, strings.ToLower(p.run(isKeyOctet))
	}
	if name == "" {
		return ErrSyntax
	}
	if err := p.sign('='); err != nil {
		return err
	}
	spaced := p.i > 0 && p.s[p.i-1] != '='
	from := p.i
	value, err := p.value()
	if err != nil {
		return err
	}
	if spaced && strings.ContainsRune(value, '=') && p.s[from] != '"' {
		return ErrAmbiguous // an empty value and the next property, or a value
	}
	if !p.atWordEnd() {
		return ErrSyntax
	}
	if kind == "" && name == "reason" {
		if r.Reason != "" {
			return ErrAmbiguous
		}
		r.Reason = value
		return p.cfws()
	}
	for _, other := range r.Props {
		if other.Type == kind && other.Name == name {
			return ErrAmbiguous
		}
	}
	if len(r.Props) == maxProps {
		return ErrSyntax
	}
	r.Props = append(r.Props, Prop{kind, name, value})
	return p.cfws()
}

// value reads a word, a quoted string, or an address of which the local part is quoted.
func (p *parser) value() (string, error) {
	if p.ends() || p.s[p.i] != '"' {
		return p.run(isValueOctet), nil
	}
	var b strings.Builder
	for p.i++; ; p.i++ {
		if p.ends() {
			return "", ErrSyntax
		}
		c := p.s[p.i]
		switch {
		case c == '"':
			p.i++
			if !p.ends() && p.s[p.i] == '@' {
				return `"` + b.String() + `"` + p.run(isValueOctet), nil
			}
			return b.String(), nil
		case c == '\\' && p.i+1 < len(p.s):
			p.i++
			c = p.s[p.i]
		case c == '\r' && p.folds():
			p.i++
			continue
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", ErrSyntax
		}
		b.WriteByte(c)
	}
}

// cfws skips white space, folds and comments (RFC 5322 section 3.2.2).
func (p *parser) cfws() error {
	for !p.ends() {
		switch c := p.s[p.i]; {
		case c == ' ' || c == '\t':
			p.i++
		case c == '\r' && p.folds():
			p.i += 2
		case c == '(':
			if err := p.skipComment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// folds reports whether a CRLF that white space follows, or that ends the text, stands here.
func (p *parser) folds() bool {
	rest := p.s[p.i:]
	return rest == "\r\n" || len(rest) > 2 && rest[1] == '\n' && (rest[2] == ' ' || rest[2] == '\t')
}

func (p *parser) skipComment() error {
	depth, from := 0, p.i+1
	for ; !p.ends(); p.i++ {
		switch c := p.s[p.i]; {
		case c == '\\':
			p.i++
		case c == '(':
			if depth++; depth > maxDepth {
				return ErrSyntax
			}
		case c == ')':
			if depth--; depth == 0 {
				if p.comment == "" {
					p.comment = strings.ReplaceAll(p.s[from:p.i], "\r\n", "")
				}
				p.i++
				return nil
			}
		case c == '\r' && p.folds():
			p.i++
		case c < ' ' && c != '\t' || c == 0x7f:
			return ErrSyntax
		}
	}
	return ErrSyntax
}

// sign skips a separator with white space and comments around it.
func (p *parser) sign(c byte) error {
	if err := p.cfws(); err != nil {
		return err
	}
	if p.ends() || p.s[p.i] != c {
		return ErrSyntax
	}
	p.i++
	return p.cfws()
}

func (p *parser) ends() bool { return p.i >= len(p.s) }

// atWordEnd reports whether what was read is not glued to something else.
func (p *parser) atWordEnd() bool {
	return p.ends() || strings.IndexByte(" \t\r;(", p.s[p.i]) >= 0
}

// run reads octets of a kind.
func (p *parser) run(is func(byte) bool) string {
	from := p.i
	for !p.ends() && is(p.s[p.i]) {
		p.i++
	}
	return p.s[from:p.i]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isKeyOctet(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || isDigit(c) || c == '-' || c == '_'
}

// isValueOctet is more than RFC 8601 lets stand without quotes, and nothing that separates.
func isValueOctet(c byte) bool {
	return c > ' ' && c != 0x7f && c != ';' && c != '"' && c != '(' && c != ')' && c != '\\' && c != ','
}
