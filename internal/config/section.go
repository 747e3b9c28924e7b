package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Action is what the operator wants done with what a check found.
type Action string

// The actions of a check, from none to the hardest. Pass is only for what Unknown costs.
const (
	Off        Action = "off"        // the check does not run
	Observe    Action = "observe"    // it runs, and what it would have done is written down
	Score      Action = "score"      // its measures are priced and added up
	Tag        Action = "tag"        // a Fail marks the message
	Quarantine Action = "quarantine" // a Fail keeps the message
	Defer      Action = "defer"      // a Fail is answered with 4xx
	Reject     Action = "reject"     // a Fail is answered with 5xx
	Drop       Action = "drop"       // a Fail closes the connection
	Strip      Action = "strip"      // the parts of a Fail are taken out of the message
	Pass       Action = "pass"       // Unknown counts as nothing, with a mark
)

// Section describes the table [checks.NAME] of one check. The check's package makes it; this package binds it.
type Section struct {
	Name     string    // the check's name, also with a dot: "rbl.client" is [checks.rbl.client]
	Doc      string    // one or two sentences
	RFC      string    // may be empty
	Action   Action    // default of the key action; "" is Score
	Unknown  Action    // default of the key unknown; "" is Defer, because what cannot be told is never silently passed
	Measures []Measure // what the key prices may name
	// Reasons are the reasons of a Fail that have an action of their own, with its default. Only these may be named by
	// the key reasons; a section without any has no such key.
	Reasons map[string]Action
	// Moved are names that the keys reasons and prices once took, with what to write instead.
	Moved map[string]string
	// Options is nil or a pointer to a struct with the tags of this package. Every decode binds into a fresh copy of
	// it: the pointed-to struct is the start, its default tags are laid over the fields that are zero.
	Options any
	Costly  bool   // it has the key when
	Parts   bool   // its findings name parts of the message, so that strip can take them out
	Firm    bool   // nothing makes milder what it finds
	Least   Action // the mildest action; "" for any
}

// Measure is one thing a check measures and what it costs unless the operator says otherwise.
type Measure struct {
	Name  string  // a closed word, or a prefix and "*" where names depend on the options: "list.*"
	Doc   string  // one sentence
	Price float64 // points; a name with "*" has no default price
}

// Sections are the checks that a policy may configure, by name.
type Sections map[string]Section

// Check is one bound section.
type Check struct {
	Name    string
	Action  Action
	Unknown Action
	Prices  map[string]float64 // every measure with a price, the operator's laid over the defaults
	Reasons map[string]Action  // every reason with an action of its own, the operator's laid over the defaults; may be nil
	Options any                // the same type as Section.Options, fresh for each decode; nil if the section has none
	When    When               // "" for a check that has no such key
}

// Checks are the bound sections by name: one entry for every known check, whether the document mentions it or not.
type Checks map[string]*Check

// generic are the keys that every section has.
type generic struct {
	Action  Action             `toml:"action" enum:"off,observe,score,tag,strip,quarantine,defer,reject,drop" doc:"What a Fail of this check does. off: it does not run; observe: what it would have done is only written down; score: its measures are priced; strip, of checks of attachments: what it found is taken out."`
	Unknown Action             `toml:"unknown" enum:"pass,observe,score,tag,quarantine,defer,reject,drop" doc:"What it costs when the check cannot tell. pass: nothing, with a mark in the journal."`
	Prices  map[string]float64 `toml:"prices" unit:"points" min:"-100" max:"100" doc:"Points for each measure of this check, laid over the defaults. Negative points speak for the message."`
}

// byReason is the key of a section whose check has reasons with actions of their own.
type byReason struct {
	Reasons map[string]Action `toml:"reasons" enum:"observe,score,tag,strip,quarantine,defer,reject,drop" doc:"What a Fail for this reason does instead of action, laid over the defaults."`
}

// When is when an engine runs.
type When string

// The values of when.
const (
	Always    When = "always"
	Undecided When = "undecided"
)

// costly is the key of a section whose check is an engine.
type costly struct {
	When When `toml:"when" enum:"always,undecided" default:"always" doc:"always: it looks at all mail that is not refused before. undecided: it leaves out mail of which nothing but good is known: plain text without links or attachments, from a domain that DMARC proves and whose mail was good, to somebody who had mail of the author before, nothing found against it; one in 20 of these it sees all the same. Never free mail and shared senders (docs/policy.md)."`
}

func (s Section) generic() generic {
	g := generic{Action: s.Action, Unknown: s.Unknown, Prices: map[string]float64{}}
	if g.Action == "" {
		g.Action = Score
	}
	if g.Unknown == "" {
		g.Unknown = Defer
	}
	for _, m := range s.Measures {
		if !strings.HasSuffix(m.Name, "*") {
			g.Prices[m.Name] = m.Price
		}
	}
	return g
}

// structs are what a section's table is bound to, with their defaults: the generic keys, then reasons and the options,
// where there are any.
func (s Section) structs() []reflect.Value {
	g := s.generic()
	all := []reflect.Value{reflect.ValueOf(&g).Elem()}
	if len(s.Reasons) > 0 {
		all = append(all, reflect.ValueOf(&byReason{Reasons: maps.Clone(s.Reasons)}).Elem())
	}
	if s.Costly {
		c := &costly{When: Always}
		all = append(all, reflect.ValueOf(c).Elem())
	}
	if own := s.options(); own.IsValid() {
		setDefaults(own.Elem())
		all = append(all, own.Elem())
	}
	return all
}

// options makes the fresh copy that a decode binds into; nil if the section has none.
func (s Section) options() reflect.Value {
	if s.Options == nil {
		return reflect.Value{}
	}
	p := reflect.New(reflect.TypeOf(s.Options).Elem())
	p.Elem().Set(reflect.ValueOf(s.Options).Elem())
	return p
}

// names lists what the key prices or reasons may name; a name that ends with "*" stands for all that begin so.
func (s Section) names(key string) []string {
	var names []string
	if key == "reasons" {
		names = slices.Collect(maps.Keys(s.Reasons))
	}
	for _, m := range s.Measures {
		if key == "prices" {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return names
}

// among says whether a name is one of those, or begins as one that ends with "*".
func among(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		prefix, open := strings.CutSuffix(n, "*")
		return n == name || open && len(name) > len(prefix) && strings.HasPrefix(name, prefix)
	})
}

func (s Sections) names() []string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Verify finds mistakes in the sections themselves: a name that differs from its key, a wrong default, options that
// are no pointer to a struct, an option that hides a generic key, a field without doc. It is for the tests of the
// package that defines checks.
func (s Sections) Verify() error {
	var errs []error
	for _, name := range s.names() {
		if err := s[name].verify(name); err != nil {
			errs = append(errs, fmt.Errorf("section %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (s Section) verify(name string) error {
	if s.Name != name {
		return fmt.Errorf("its Name is %q", s.Name)
	}
	if s.Doc == "" {
		return errors.New("no Doc")
	}
	g := s.generic()
	if err := VerifyTags(&g); err != nil {
		return err
	}
	for _, f := range fieldsOf(reflect.TypeFor[byReason]()) {
		for reason, action := range s.Reasons {
			if !contains(f.enum, string(action)) {
				return fmt.Errorf("reason %s has the action %q", reason, action)
			}
		}
	}
	if s.Options == nil {
		return nil
	}
	t := reflect.TypeOf(s.Options)
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("options are %s, not a pointer to a struct", t)
	}
	for _, f := range fieldsOf(t.Elem()) {
		if slices.Contains([]string{"action", "unknown", "prices", "reasons", "when"}, f.name) {
			return fmt.Errorf("option %s hides the generic key", f.name)
		}
	}
	return VerifyTags(s.Options)
}
