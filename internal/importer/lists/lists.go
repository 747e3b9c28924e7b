// Package lists reads allow and block lists that other products export as CSV or as plain lines: whatever columns there are,
// they are known by the names in the first line. It yields facts with their line; it judges nothing.
//
// Known names are those of Exchange (Get-IPAllowListEntry, Get-TenantAllowBlockListItems | Export-Csv: IPRange, Value, Action,
// ExpirationTime, ExpirationDate, Comment, Notes), of Barracuda's bulk edit (address, netmask, comment), and the plain words that
// FortiMail, Cisco and spreadsheets use. It knows nothing of Gatepost.
package lists

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf16"
)

// Bounds of what is read.
const (
	MaxFile  = 16 << 20 // octets
	maxRows  = 200_000
	maxField = 1000 // octets
)

// Verb is what an entry wants.
type Verb uint8

// The verbs.
const (
	Unsaid Verb = iota
	Allow
	Block
	Other // something else: quarantine, tag
)

// Row is one entry.
type Row struct {
	Line    int
	Value   string // an address, a domain, a network, whatever is listed
	Mask    string // of an address: a netmask in a column of its own
	Verb    Verb
	Said    string // what the file says for Verb
	Comment string
	Owner   string
	Expires string // as written
	Text    string // the whole row, to show
}

// column is what a column is known as; 0 for one that is not looked at.
type column uint8

const (
	value column = iota + 1
	mask
	verb
	comment
	owner
	expires
)

// known tells a column by its name, written in whatever way.
func known(name string) column {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
	switch name {
	case "sender", "senderaddress", "address", "addresses", "email", "emailaddress", "mail", "from", "domain", "senderdomain", "domainname", "ip", "ipaddress", "iprange", "ips",
		"client", "clientip", "host", "hostname", "network", "cidr", "subnet", "value", "entry", "pattern", "senderordomain", "item":
		return value
	case "netmask", "mask", "subnetmask":
		return mask
	case "kind", "list", "action", "policy", "listtype", "verdict", "disposition":
		return verb
	case "comment", "comments", "note", "notes", "description", "reason", "remark":
		return comment
	case "owner", "createdby", "modifiedby", "lastmodifiedby", "user", "requester", "addedby":
		return owner
	case "expires", "expiry", "expirationtime", "expirationdate", "expiration", "validuntil", "until":
		return expires
	}
	return 0
}

// Read reads a list. Error: it is too large, or no text.
func Read(r io.Reader) ([]Row, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	if len(data) > MaxFile {
		return nil, errors.New("read list: larger than 16 MiB")
	}
	text := decoded(data)
	if strings.ContainsRune(text, 0) {
		return nil, errors.New("read list: it is no text")
	}
	return rows(text)
}

// decoded turns UTF-16 with a mark, as PowerShell writes it, into UTF-8.
func decoded(data []byte) string {
	if len(data) >= 2 && (data[0] == 0xff && data[1] == 0xfe || data[0] == 0xfe && data[1] == 0xff) {
		low := 0
		if data[0] == 0xfe {
			low = 1
		}
		units := make([]uint16, 0, len(data)/2)
		for i := 2; i+1 < len(data); i += 2 {
			units = append(units, uint16(data[i+low])|uint16(data[i+1-low])<<8)
		}
		return string(utf16.Decode(units))
	}
	return strings.ToValidUTF8(strings.TrimPrefix(string(data), "\xef\xbb\xbf"), "?")
}

func rows(text string) ([]Row, error) {
	separator := ','
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(strings.ToLower(first), "sep=") && len(strings.TrimSpace(first)) == 5 {
		separator, text = rune(first[4]), rest
	} else if first := firstLine(text); strings.Count(first, ";") > strings.Count(first, ",") {
		separator = ';'
	} else if strings.Count(first, "\t") > strings.Count(first, ",") {
		separator = '\t'
	}
	if strings.ContainsRune("\"\r\n#", separator) {
		return nil, errors.New("read list: its separator is none")
	}
	c := csv.NewReader(strings.NewReader(text))
	c.Comma, c.Comment, c.FieldsPerRecord, c.LazyQuotes, c.TrimLeadingSpace = separator, '#', -1, true, separator != '\t'
	var columns []column
	var out []Row
	for first := true; ; first = false {
		record, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read list: %w", err)
		}
		if first {
			if columns = header(record); columns != nil {
				continue
			}
			columns = []column{value, comment}
		}
		if len(out) >= maxRows {
			return nil, fmt.Errorf("read list: more than %d entries", maxRows)
		}
		line, _ := c.FieldPos(0)
		out = append(out, row(columns, record, line)...)
	}
}

func firstLine(text string) string {
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			return l
		}
	}
	return ""
}

// header reads the first record as names, or nil where none of them is a column with values.
func header(record []string) []column {
	columns, has := make([]column, len(record)), false
	for i, name := range record {
		columns[i] = known(name)
		has = has || columns[i] == value
	}
	if !has {
		return nil
	}
	return columns
}

// row makes entries of a record: one for each value in it.
func row(columns []column, record []string, line int) (out []Row) {
	base := Row{Line: line}
	var values, shown []string
	for i, cell := range record {
		cell = strings.Join(strings.Fields(cell), " ")
		if len(cell) > maxField {
			cell = strings.ToValidUTF8(cell[:maxField], "")
		}
		if cell != "" {
			shown = append(shown, cell)
		}
		if i >= len(columns) || cell == "" {
			continue
		}
		switch columns[i] {
		case value:
			values = append(values, cell)
		case mask:
			base.Mask = cell
		case verb:
			base.Said, base.Verb = cell, verbOf(cell)
		case comment:
			base.Comment = strings.TrimSpace(base.Comment + " " + cell)
		case owner:
			base.Owner = cell
		case expires:
			base.Expires = cell
		}
	}
	base.Text = strings.Join(shown, ", ")
	for _, v := range values {
		base.Value = v
		out = append(out, base)
	}
	return out
}

func verbOf(said string) Verb {
	switch strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(said)) {
	case "allow", "allowed", "whitelist", "whitelisted", "allowlist", "safelist", "safe", "welcomelist", "accept", "exempt", "permit", "bypass", "relay", "trusted", "ok":
		return Allow
	case "block", "blocked", "deny", "denied", "reject", "blacklist", "blacklisted", "blocklist", "drop", "refuse":
		return Block
	}
	return Other
}

// Day reads a date as products write it. never is set for one that stands for "never"; ok is false for one that cannot be
// read, or that could be two days (03/04/2027).
func Day(text string) (day time.Time, never, ok bool) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "never", "none", "-", "no expiration":
		return time.Time{}, true, true
	}
	date, _, _ := strings.Cut(strings.Replace(text, "T", " ", 1), " ")
	for _, layout := range []string{time.DateOnly, "2006/01/02", "02.01.2006", "2.1.2006"} {
		if day, err := time.Parse(layout, date); err == nil {
			return day, day.Year() >= 9000, true
		}
	}
	american, err := time.Parse("1/2/2006", date)
	european, err2 := time.Parse("2/1/2006", date)
	switch {
	case err == nil && err2 == nil && !american.Equal(european):
		return time.Time{}, false, false
	case err == nil:
		return american, american.Year() >= 9000, true
	case err2 == nil:
		return european, european.Year() >= 9000, true
	}
	return time.Time{}, false, false
}
