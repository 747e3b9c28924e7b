package routing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// Bounds of a file of aliases.
const (
	MaxLines = 1_000_000
	maxLine  = 64 << 10 // octets of a line with those that continue it: a hundred addresses of the longest kind, and some
)

// ReadFile reads lines in the form of Postfix's virtual(5): an address, white space, and the addresses that it stands for,
// with commas or white space between them; "@old.example @new.example" for a domain that stands for another. A line that
// begins with white space continues the one before; lines that begin with # are comments. name is only for what is told.
//
// What Postfix reads as something else, or not at all, is a problem: a file that is half understood sends mail to nobody.
func ReadFile(name string, from io.Reader) (aliases []Rule, maps []Map, problems []Problem, err error) {
	f := &file{name: name, domains: make(map[string]string)}
	in := bufio.NewReaderSize(from, maxLine+2)
	for n := int32(1); ; n++ {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			f.report(n, "is longer than "+strconv.Itoa(maxLine)+" octets", "check that it is a file of aliases")
			return nil, nil, f.problems, nil
		case err != nil && err != io.EOF:
			return nil, nil, nil, fmt.Errorf("read %s: %w", name, err)
		}
		if n > MaxLines && len(line) > 0 {
			f.report(n, "the file has more than "+strconv.Itoa(MaxLines)+" lines", "let the server behind the gateway know the others")
			return nil, nil, f.problems, nil
		}
		f.line(n, string(line))
		if err == io.EOF || len(f.problems) == maxProblems {
			f.entry()
			return f.aliases, f.maps, f.problems, nil
		}
	}
}

// file is one file while it is read.
type file struct {
	name     string
	at       int32 // the line at which what is gathered begins
	text     []byte
	tooLong  bool              // which is told once
	domains  map[string]string // one string for each: a file has few domains and many addresses
	aliases  []Rule
	maps     []Map
	problems []Problem
}

func (f *file) place(n int32, k gateway.PlaceKind) gateway.Place {
	return gateway.Place{File: f.name, Line: n, Kind: k}
}

func (f *file) report(n int32, message, instead string) {
	if len(f.problems) < maxProblems {
		f.problems = append(f.problems, Problem{f.place(n, gateway.AliasPlace), message, instead})
	}
}

// line gathers one line to the entry that it belongs to.
func (f *file) line(n int32, text string) {
	if n == 1 {
		text = strings.TrimPrefix(text, "\ufeff")
	}
	text = strings.TrimRight(text, "\r\n\t ")
	switch first := strings.TrimLeft(text, "\t "); {
	case first == "" || first[0] == '#':
	case len(first) < len(text) && f.tooLong:
	case len(first) < len(text) && len(f.text) == 0:
		f.report(n, "begins with white space, and continues no line", "write it at the beginning of the line")
	case len(first) < len(text) && len(f.text)+len(first) >= maxLine:
		f.report(n, "is longer than "+strconv.Itoa(maxLine)+" octets with what it continues", "let a list server behind the gateway do that")
		f.text, f.tooLong = f.text[:0], true
	case len(first) < len(text):
		f.text = append(append(f.text, ' '), first...)
	default:
		f.entry()
		f.at, f.text, f.tooLong = n, append(f.text[:0], text...), false
	}
}

// entry reads what was gathered.
func (f *file) entry() {
	text := string(f.text)
	f.text = f.text[:0]
	words, fault := split(text)
	switch {
	case text == "":
	case fault != "":
		f.report(f.at, fault, "write an address, white space and the addresses that it stands for")
	case len(words) == 1:
		f.report(f.at, shown(words[0])+" stands for nobody", "write an address, white space and the addresses that it stands for")
	case words[0][0] == '@':
		f.domain(words)
	default:
		f.alias(words)
	}
}

// split cuts an entry at white space and commas outside of quotes.
func split(text string) (words []string, fault string) {
	start, quoted := -1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
			if start < 0 {
				start = i
			}
		case !quoted && (c == ' ' || c == '\t' || c == ','):
			if start >= 0 {
				words = append(words, text[start:i])
			} else if c == ',' && len(words) == 0 {
				return nil, "begins with a comma"
			}
			start = -1
		case start < 0:
			start = i
		}
	}
	if quoted {
		return nil, "has a quote that does not end"
	}
	if start >= 0 {
		words = append(words, text[start:])
	}
	return words, ""
}

// domain reads "@old.example @new.example".
func (f *file) domain(words []string) {
	from, err := DomainName(words[0][1:])
	if err != nil {
		f.report(f.at, shown(words[0])+" is no domain", "write for example @old.example @new.example")
		return
	}
	if len(words) > 2 || words[1][0] != '@' {
		f.report(f.at, shown(words[0])+" would take all of a domain's mail to single addresses",
			`write catch_all = "`+strings.TrimPrefix(shown(words[1]), `"`)+` in the [[domain]] of policy.toml, which takes only what is for nobody; or the domain that it stands for, as @old.example @new.example`)
		return
	}
	to, err := DomainName(words[1][1:])
	if err != nil {
		f.report(f.at, shown(words[1])+" is no domain", "write for example @old.example @new.example")
		return
	}
	f.maps = append(f.maps, Map{From: from, To: to, At: f.place(f.at, gateway.DomainMapPlace)})
}

// alias reads an address and those that it stands for.
func (f *file) alias(words []string) {
	r := Rule{At: f.place(f.at, gateway.AliasPlace)}
	var ok bool
	if r.Address, ok = f.address(words[0]); !ok {
		return
	}
	if len(words) > gateway.MaxTargets+1 {
		f.report(f.at, r.Address.Text+" stands for more than "+strconv.Itoa(gateway.MaxTargets)+" addresses", "let a list server behind the gateway do that")
		return
	}
	r.To = make([]gateway.Address, 0, len(words)-1)
	for _, w := range words[1:] {
		a, ok := f.address(w)
		if !ok {
			return
		}
		r.To = append(r.To, a)
	}
	f.aliases = append(f.aliases, r)
}

// address reads one address, and says what is wrong with what is none.
func (f *file) address(word string) (gateway.Address, bool) {
	a, err := Address(word)
	if err == nil {
		if known, ok := f.domains[a.Domain]; ok {
			a.Domain = known
		} else {
			f.domains[a.Domain] = a.Domain
		}
		return a, true
	}
	instead := "write the whole address, as info@example.org"
	switch {
	case strings.HasSuffix(word, ":"):
		instead = "this is the form of aliases(5); write the whole address and no colon, as info@example.org"
	case strings.HasPrefix(word, "|") || strings.HasPrefix(word, "/") || strings.HasPrefix(word, ":include:"):
		instead = "programs, files and lists of files are for the server behind the gateway"
	case word[0] == '@':
		instead = "a domain stands for a domain alone: @old.example @new.example"
	case !strings.Contains(word, "@") && strings.Contains(word, "."):
		instead = "a domain is served by a [[domain]] in policy.toml; " + instead
	}
	f.report(f.at, shown(word)+" is no address", instead)
	return gateway.Address{}, false
}

// Address reads an address as an operator writes it: whole, its domain in A-labels or letters of any script.
func Address(text string) (gateway.Address, error) {
	a, err := smtpwire.ParseAddress(text, true)
	if err != nil {
		return gateway.Address{}, err
	}
	if a.Literal.IsValid() {
		return gateway.Address{}, errors.New("address: of no domain")
	}
	out := gateway.Address{Text: text, Local: a.Local, Domain: a.ASCII}
	if wire := smtpwire.QuoteLocal(a.Local) + "@" + a.ASCII; wire != text {
		out.Text = wire
	}
	out.UTF8 = strings.ContainsFunc(a.Local, func(r rune) bool { return r > '~' })
	return out, nil
}

// DomainName reads a domain and returns its A-labels.
func DomainName(text string) (string, error) {
	a, err := smtpwire.ParseAddress("postmaster@"+text, true)
	if err != nil || a.Literal.IsValid() {
		return "", errors.New("no domain")
	}
	return a.ASCII, nil
}

// shown quotes a text of the operator's, on one line and not too long.
func shown(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}
