package filters

import (
	"context"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// shape looks at the header section as a whole.
func shape() Definition {
	return Definition{
		Name: "shape", Stage: gateway.Data,
		Doc:     "Is the header section one that every mail client reads the same way: exactly one From and one Date, fields that are fields, no 8-bit without SMTPUTF8, no mail loop through this host?",
		RFC:     "RFC 5322 section 3.6, RFC 6532",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionDefer,
		Reasons: map[gateway.Reason]gateway.Action{gateway.ShapeFrom: gateway.ActionReject, gateway.ShapeLoop: gateway.ActionReject},
		Measures: []Measure{
			{"date", "not exactly one Date field", 1},
			{"repeated", "a field that may stand once stands more often", 1},
			{"malformed", "lines that are no field", 2},
			{"spaced", "white space before a colon", 1},
			{"eightbit", "8-bit text in the header section without SMTPUTF8", 1},
			{"incomplete", "no empty line behind the header section", 1},
		},
		Options: &ShapeOptions{},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*ShapeOptions)
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return o.look(d.Hostname, in.Envelope) }}, nil
		},
	}
}

// ShapeOptions are the options of checks.shape.
type ShapeOptions struct {
	Passes int `toml:"passes" default:"5" min:"1" max:"100" unit:"Received fields" doc:"How often a message may have passed this host before, by its own Received fields; more is a loop: 554 5.4.6." rfc:"RFC 5321 section 6.3"`
}

// once are the fields that may stand once (RFC 5322 section 3.6), besides From and Date.
var once = [...]string{"Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject", "MIME-Version",
	"Content-Type", "Content-Transfer-Encoding"}

func (o *ShapeOptions) look(hostname string, e *gateway.Envelope) gateway.Finding {
	h := e.Header
	f := gateway.Passed()
	fail := func(reason gateway.Reason, args ...string) {
		if f.Result != gateway.Fail {
			f.Result, f.Reason, f.Args = gateway.Fail, reason, args
		}
	}
	if n := o.passes(h, hostname); n > o.Passes {
		fail(gateway.ShapeLoop, strconv.Itoa(n)+" times")
	}
	if n := h.Count("From"); n != 1 {
		fail(gateway.ShapeFrom, strconv.Itoa(n))
		f = f.Show("From fields", strconv.Itoa(n))
	} else if h.Get("From") == "" {
		fail(gateway.ShapeFrom, "an empty one")
	}
	if h.Malformed > 0 {
		fail(gateway.ShapeFields, strconv.Itoa(h.Malformed)+" lines are no field")
		f = f.With(gateway.Yes("malformed"))
	}
	if n := h.Count("Date"); n != 1 {
		fail(gateway.ShapeDate, strconv.Itoa(n))
		f = f.With(gateway.Yes("date"))
	}
	for _, name := range once {
		if n := h.Count(name); n > 1 {
			fail(gateway.ShapeFields, strconv.Itoa(n)+" fields "+name)
			f = f.With(gateway.Measure{Name: "repeated", Value: 1, Text: name})
		}
	}
	if i := spaced(h); i != "" {
		f = f.With(gateway.Yes("spaced")).Show("white space before the colon", i)
	}
	if !e.Options.UTF8 && hasEightBit(h.Raw) {
		f = f.With(gateway.Yes("eightbit"))
	}
	if !h.Complete {
		f = f.With(gateway.Yes("incomplete"))
	}
	return f.Show("header", strconv.Itoa(len(h.Fields))+" fields, "+strconv.Itoa(len(h.Raw))+" octets")
}

// passes counts the Received fields that this host wrote: only our own word tells of a loop.
func (o *ShapeOptions) passes(h *gateway.Header, hostname string) int {
	n := 0
	for _, f := range h.All("Received") {
		if strings.Contains(h.Value(f), "by "+hostname+" (Gatepost)") {
			n++
		}
	}
	return n
}

func spaced(h *gateway.Header) string {
	for _, f := range h.Fields {
		if f.SpacedName {
			return f.Name
		}
	}
	return ""
}

func hasEightBit(raw []byte) bool {
	for _, c := range raw {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
