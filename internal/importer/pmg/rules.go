package pmg

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// The kinds of objects (otype of src/PMG/RuleDB/*.pm).
const (
	WhoRegex        = 1000
	EMail           = 1001
	Domain          = 1002
	IPAddress       = 1003
	IPNet           = 1004
	LDAP            = 1005
	LDAPUser        = 1006
	Receiver        = 1007
	ReceiverDomain  = 1008
	ReceiverRegex   = 1009
	TimeFrame       = 2000
	Spam            = 3000
	Virus           = 3001
	MatchField      = 3002
	ContentType     = 3003
	MatchFilename   = 3004
	ArchiveFilter   = 3005
	ArchiveFilename = 3006
	Accept          = 4000
	Block           = 4001
	Notify          = 4002
	ModField        = 4003
	BCC             = 4005
	Quarantine      = 4006
	Remove          = 4007
	Disclaimer      = 4009
)

// Kind is the name of a kind of object, as the web interface has it.
func Kind(otype int) string {
	switch otype {
	case WhoRegex, ReceiverRegex:
		return "regular expression"
	case EMail, Receiver:
		return "mail address"
	case Domain, ReceiverDomain:
		return "domain"
	case IPAddress:
		return "IP address"
	case IPNet:
		return "IP network"
	case LDAP, LDAPUser:
		return "LDAP"
	case TimeFrame:
		return "time frame"
	case Spam:
		return "spam filter"
	case Virus:
		return "virus filter"
	case MatchField:
		return "match field"
	case ContentType:
		return "content type filter"
	case MatchFilename, ArchiveFilename:
		return "match filename"
	case ArchiveFilter:
		return "archive filter"
	case Accept:
		return "accept"
	case Block:
		return "block"
	case Notify:
		return "notification"
	case ModField:
		return "header attribute"
	case BCC:
		return "BCC"
	case Quarantine:
		return "quarantine"
	case Remove:
		return "remove attachments"
	case Disclaimer:
		return "disclaimer"
	}
	return "object " + strconv.Itoa(otype)
}

// Object is one object of a group.
type Object struct {
	ID, Type int
	Value    string
}

// Group is a group of objects.
type Group struct {
	ID                int
	Name, Info, Class string // the class: who, what, when, action, greylist
	Objects           []Object
	// Negated or All: the group is joined in another way than "any of" (pmg 8.2).
	Joined bool
}

// Rule is a rule: mail of From to To at When with What, then Actions. An empty list is any.
type Rule struct {
	ID, Priority, Direction       int // the direction: 0 in, 1 out, 2 both
	Name                          string
	Active                        bool
	From, To, When, What, Actions []*Group
	Joined                        bool // with attributes of its own (pmg 8.2)
}

// Rules is the rule database.
type Rules struct {
	Rules  []Rule // the highest priority first
	Groups map[int]*Group
	Users  []Preference
}

// Preference is a user's own list: WL or BL.
type Preference struct{ User, Name, Data string }

// table is one COPY of the dump.
type table struct {
	columns []string
	rows    [][]string
}

func (t *table) cell(row []string, column string) string {
	if i := slices.Index(t.columns, column); i >= 0 && i < len(row) {
		return row[i]
	}
	return ""
}

func (t *table) number(row []string, column string) int {
	n, _ := strconv.Atoi(t.cell(row, column))
	return n
}

// copies reads the COPY ... FROM stdin statements of a dump (PostgreSQL, COPY, text format).
func (b *Backup) copies(text []byte) map[string]*table {
	tables := map[string]*table{}
	var in *table
	name := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case in != nil && line == `\.`:
			in = nil
		case in != nil:
			if len(in.rows) >= maxRows {
				if len(in.rows) == maxRows {
					b.fault("Proxmox_ruledb.sql: "+name, "has more than "+strconv.Itoa(maxRows)+" rows; the rest is not read")
					in.rows = append(in.rows, nil)
				}
				continue
			}
			row := strings.Split(line, "\t")
			for i := range row {
				row[i] = uncopied(row[i])
			}
			in.rows = append(in.rows, row)
		default:
			rest, ok := strings.CutPrefix(line, "COPY ")
			head, columns, paren := strings.Cut(rest, "(")
			list, behind, end := strings.Cut(columns, ")")
			if !ok || !paren || !end || !strings.HasPrefix(strings.TrimSpace(behind), "FROM stdin") {
				continue
			}
			in, name = &table{}, strings.ToLower(strings.TrimSpace(head))
			name = strings.TrimPrefix(name, "public.")
			for _, c := range strings.Split(list, ",") {
				in.columns = append(in.columns, strings.Trim(strings.ToLower(strings.TrimSpace(c)), `"`))
			}
			tables[name] = in
		}
	}
	return tables
}

// uncopied undoes the escapes of COPY; NULL is "".
func uncopied(s string) string {
	if s == `\N` {
		return ""
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'b', 'f', 'v':
			b.WriteByte(' ')
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// octets reads a bytea as it is printed: \x and hexadecimal digits, or escaped with octal digits.
func octets(s string) string {
	if digits, ok := strings.CutPrefix(s, `\x`); ok {
		if data, err := hex.DecodeString(digits); err == nil {
			return strings.ToValidUTF8(string(data), "?")
		}
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if i+3 < len(s) {
				if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
					b.WriteByte(byte(n))
					i += 3
					continue
				}
			}
			i++
		}
		b.WriteByte(s[i])
	}
	return strings.ToValidUTF8(b.String(), "?")
}

// readRules joins the tables of the rule database.
func (b *Backup) readRules(text []byte) Rules {
	tables := b.copies(text)
	get := func(name string) *table {
		if t := tables[name]; t != nil {
			return t
		}
		return &table{}
	}
	r := Rules{Groups: map[int]*Group{}}
	groups := get("objectgroup")
	for _, row := range groups.rows {
		id := groups.number(row, "id")
		r.Groups[id] = &Group{ID: id, Name: clean(groups.cell(row, "name")), Info: clean(groups.cell(row, "info")), Class: groups.cell(row, "class")}
	}
	objects := get("object")
	for _, row := range objects.rows {
		g := r.Groups[objects.number(row, "objectgroup_id")]
		if g == nil {
			continue
		}
		g.Objects = append(g.Objects, Object{objects.number(row, "id"), objects.number(row, "objecttype"), clean(octets(objects.cell(row, "value")))})
	}
	joined := get("objectgroup_attributes")
	for _, row := range joined.rows {
		if g := r.Groups[joined.number(row, "objectgroup_id")]; g != nil && octets(joined.cell(row, "value")) != "0" {
			g.Joined = true
		}
	}
	rules, at := get("rule"), map[int]int{}
	for _, row := range rules.rows {
		id := rules.number(row, "id")
		at[id] = len(r.Rules)
		r.Rules = append(r.Rules, Rule{ID: id, Priority: rules.number(row, "priority"), Direction: rules.number(row, "direction"),
			Name: clean(rules.cell(row, "name")), Active: rules.number(row, "active") != 0})
	}
	attributes := get("rule_attributes")
	for _, row := range attributes.rows {
		if i, ok := at[attributes.number(row, "rule_id")]; ok && octets(attributes.cell(row, "value")) != "0" {
			r.Rules[i].Joined = true
		}
	}
	links := get("rulegroup")
	for _, row := range links.rows {
		i, ok := at[links.number(row, "rule_id")]
		g := r.Groups[links.number(row, "objectgroup_id")]
		if !ok || g == nil {
			continue
		}
		lists := []*[]*Group{&r.Rules[i].From, &r.Rules[i].To, &r.Rules[i].When, &r.Rules[i].What, &r.Rules[i].Actions}
		if kind := links.number(row, "grouptype"); kind >= 0 && kind < len(lists) {
			*lists[kind] = append(*lists[kind], g)
		}
	}
	users := get("userprefs")
	for _, row := range users.rows {
		r.Users = append(r.Users, Preference{clean(users.cell(row, "pmail")), users.cell(row, "name"), clean(users.cell(row, "data"))})
	}
	slices.SortStableFunc(r.Rules, func(a, b Rule) int { return cmp.Compare(b.Priority, a.Priority) })
	return r
}

// clean makes one line of a text of bounded length.
func clean(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "")
	}
	return s
}

// Has reports whether one of the groups has an object of a kind.
func Has(groups []*Group, otype int) bool {
	for _, g := range groups {
		for _, o := range g.Objects {
			if o.Type == otype {
				return true
			}
		}
	}
	return false
}
