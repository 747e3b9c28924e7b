package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/internal/access"
	"gatepost/internal/api"
)

// Bounds of what is listed of an operation's answer.
const (
	maxListed  = 1000
	maxColumns = 12
)

// section is the answer of an operation as a page lists it, by its JSON: facts, and the first list in it as a table.
type section struct {
	Title, Empty string
	Facts        []listed
	Columns      []string
	Rows         []listedRow
	More         bool
	List         bool   // there is one, be it empty
	Verb, Field  string // of a button in each row, which posts the column Field
	Does         string // what it says
}

type listedRow struct {
	Cells []listed
	Value string // of the column Field
}

// listed is a value with its name.
type listed struct {
	Name, Text string
	Time       time.Time
	Number     bool
	Yes, No    bool
}

// object is a JSON object in its own order.
type object []member

type member struct {
	name  string
	value any
}

// listing is a page of sections.
type listing struct {
	Title, Note string
	Sections    []section
	Ask         *asking
	Doctor      *api.DoctorLook // nil on all pages but that of TLS and DNS
}

// asking is a form of one field above the sections.
type asking struct{ Action, Name, Label, Value string }

// listSection asks an operation, and lists what it answers.
func (c *Console) listSection(r *http.Request, title, empty, op string, fields url.Values) (section, error) {
	got, err := ask[any](c, r, op, fields)
	if err != nil {
		return section{}, err
	}
	s := section{Title: title, Empty: empty}
	text, err := json.Marshal(got)
	if err != nil {
		return s, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := ordered(d)
	if err != nil {
		return s, err
	}
	s.fill(v)
	return s, nil
}

// ordered reads a JSON value, whose objects keep their order.
func ordered(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		out := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			out = append(out, member{fmt.Sprint(name), v})
		}
		_, err = d.Token()
		return out, err
	case json.Delim('['):
		out := []any{}
		for d.More() {
			v, err := ordered(d)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		_, err = d.Token()
		return out, err
	}
	return t, nil
}

// fill sorts a value into facts and a table.
func (s *section) fill(v any) {
	switch x := v.(type) {
	case []any:
		s.table(x)
	case object:
		for _, m := range x {
			if list, is := m.value.([]any); is && s.Columns == nil && len(list) > 0 {
				if _, rows := list[0].(object); rows {
					s.table(list)
					continue
				}
			}
			if list, is := m.value.([]any); (is && len(list) == 0) || m.value == nil {
				s.List = true
				continue
			}
			s.Facts = append(s.Facts, valueOf(m.name, m.value))
		}
	case nil:
	default:
		s.Facts = append(s.Facts, valueOf("", x))
	}
}

func (s *section) table(list []any) {
	if s.More = len(list) > maxListed; s.More {
		list = list[:maxListed]
	}
	for _, row := range list {
		o, _ := row.(object)
		for _, m := range o {
			if !slices.Contains(s.Columns, m.name) && len(s.Columns) < maxColumns {
				s.Columns = append(s.Columns, m.name)
			}
		}
	}
	for _, row := range list {
		o, is := row.(object)
		if !is {
			o = object{{"", row}}
		}
		cells := make([]listed, len(s.Columns))
		for _, m := range o {
			if i := slices.Index(s.Columns, m.name); i >= 0 {
				cells[i] = valueOf(m.name, m.value)
			}
		}
		s.Rows = append(s.Rows, listedRow{Cells: cells})
	}
}

// button gives each row one, which posts a column of it.
func (s *section) button(verb, field, does string) {
	at := slices.Index(s.Columns, field)
	if at < 0 {
		return
	}
	s.Verb, s.Field, s.Does = verb, field, does
	for i := range s.Rows {
		s.Rows[i].Value = s.Rows[i].Cells[at].Text
	}
}

// valueOf is a value as it is shown.
func valueOf(name string, v any) listed {
	out := listed{Name: strings.ReplaceAll(name, "_", " ")}
	switch x := v.(type) {
	case nil:
	case bool:
		out.Yes, out.No = x, !x
	case json.Number:
		out.Text, out.Number = x.String(), true
		if n, err := strconv.Atoi(x.String()); err == nil && name == "rest" { // a time, in nanoseconds
			out.Text = tookText(time.Duration(n))
		} else if err == nil && name != "id" {
			out.Text = countText(n)
		}
	case string:
		if t, err := time.Parse(time.RFC3339Nano, x); err == nil {
			if !t.IsZero() {
				out.Time = t
			}
			break
		}
		out.Text = x
	case []any:
		var parts []string
		for _, p := range x {
			parts = append(parts, valueText(valueOf("", p)))
		}
		out.Text = strings.Join(parts, ", ")
	case object:
		var parts []string
		for _, m := range x {
			if text := valueText(valueOf(m.name, m.value)); text != "" {
				parts = append(parts, strings.ReplaceAll(m.name, "_", " ")+" "+text)
			}
		}
		out.Text = strings.Join(parts, ", ")
	}
	return out
}

func valueText(v listed) string {
	switch {
	case v.Yes:
		return "yes"
	case v.No:
		return "no"
	case !v.Time.IsZero():
		return v.Time.Local().Format("2 Jan 15:04:05")
	}
	return v.Text
}

// listed shows a page of sections; those that the daemon does not have, or whoever asks may not see, are left out.
func (c *Console) listedPage(w http.ResponseWriter, r *http.Request, l *listing, parts ...func() (section, error)) {
	for _, part := range parts {
		s, err := part()
		if err != nil {
			c.failed(w, r, err)
			return
		}
		if s.Title != "" {
			l.Sections = append(l.Sections, s)
		}
	}
	c.show(w, r, http.StatusOK, "listing", l.Title, l)
}

// sectionOf is a section for whoever has a right, of an operation that there is.
func (c *Console) sectionOf(r *http.Request, right access.Right, title, empty, op string, fields url.Values) func() (section, error) {
	return func() (section, error) {
		if actor := access.Of(r.Context()); !actor.May(right) || !c.offers(op) {
			return section{}, nil
		}
		return c.listSection(r, title, empty, op, fields)
	}
}
