package filters

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"

	"gatepost/gateway"
)

// shape looks at the header section as a whole.
func shape() Definition {
	return Definition{
		Name: "shape", Stage: gateway.Data,
		Doc:     "Is the header section one that every mail client reads the same way: exactly one Date, no other field twice that may stand once, lines that are fields, not too many of them, no 8-bit text without SMTPUTF8, no mail loop through this host? The check author looks at From; the size is limited by limits.header.",
		RFC:     "RFC 5322 section 3.6, RFC 6532, RFC 5321 section 6.3",
		Action:  gateway.ActionScore,
		Unknown: gateway.ActionDefer,
		Reasons: map[gateway.Reason]gateway.Action{gateway.ShapeLoop: gateway.ActionReject},
		Moved:   map[string]string{"shape.from": `write checks.author.reasons."author.ambiguous"`},
		Measures: []Measure{
			{"date", "not exactly one Date field", 1},
			{"repeated", "a field that may stand once stands more often", 1},
			{"malformed", "lines that are no field", 2},
			{"many", "more fields than the option fields allows", 2},
			{"spaced", "white space before a colon", 1},
			{"eightbit", "8-bit text in the header section without SMTPUTF8", 1},
			{"incomplete", "no empty line behind the header section; RFC 5322 section 3.5 allows it for a message without a body", 0},
		},
		Options: &ShapeOptions{Passes: 5, Fields: 500},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*ShapeOptions)
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return o.look(d.Hostname, in.Envelope) },
				Ready: always}, nil
		},
	}
}

// ShapeOptions are the options of checks.shape.
type ShapeOptions struct {
	Passes int `toml:"passes" default:"5" min:"1" max:"100" unit:"Received fields" doc:"How often a message may have passed this host before, by its own Received fields; more is a loop: 554 5.4.6." rfc:"RFC 5321 section 6.3"`
	Fields int `toml:"fields" default:"500" min:"50" max:"10000" unit:"fields" doc:"How many fields the header section may have before it costs the points of the measure many."`
}

// once are the fields that may stand once (RFC 5322 section 3.6, RFC 2045 section 3), besides From (of the check author) and Date.
var once = [...]string{"Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject", "MIME-Version",
	"Content-Type", "Content-Transfer-Encoding"}

// shapeFinding gathers what is wrong; the first reason is the one that is told.
type shapeFinding struct{ gateway.Finding }

func (f *shapeFinding) fail(reason gateway.Reason, arg string) {
	if f.Result != gateway.Fail {
		f.Result, f.Reason, f.Args = gateway.Fail, reason, []string{arg}
	}
	f.Finding = f.Show("wrong", string(reason)+": "+arg)
}

func (f *shapeFinding) costs(m gateway.Measure) { f.Finding = f.With(m) }

func (o *ShapeOptions) look(hostname string, e *gateway.Envelope) gateway.Finding {
	h := e.Header
	f := &shapeFinding{gateway.Passed()}
	if n := passes(h, hostname); n > o.Passes {
		f.fail(gateway.ShapeLoop, strconv.Itoa(n)+" times")
	}
	o.lines(f, h)
	if n := h.Count("Date"); n != 1 {
		f.fail(gateway.ShapeDate, strconv.Itoa(n))
		f.costs(gateway.Yes("date"))
	}
	for _, name := range once {
		if n := h.Count(name); n > 1 {
			f.fail(gateway.ShapeFields, strconv.Itoa(n)+" fields "+name)
			f.costs(gateway.Measure{Name: "repeated", Value: 1, Text: name})
		}
	}
	if !e.Options.UTF8 && hasEightBit(h.Raw) {
		f.fail(gateway.ShapeFields, "8-bit text without SMTPUTF8")
		f.costs(gateway.Yes("eightbit"))
	}
	if !h.Complete {
		f.costs(gateway.Yes("incomplete"))
	}
	return f.Show("header", strconv.Itoa(len(h.Fields))+" fields, "+strconv.Itoa(len(h.Raw))+" octets")
}

// lines looks at what is no field, what disguises itself, and how many there are.
func (o *ShapeOptions) lines(f *shapeFinding, h *gateway.Header) {
	if h.Malformed > 0 {
		f.fail(gateway.ShapeFields, "lines that are no field: "+strconv.Itoa(h.Malformed))
		f.costs(gateway.Yes("malformed"))
	}
	if n := len(h.Fields); n > o.Fields {
		f.fail(gateway.ShapeFields, strconv.Itoa(n)+" fields")
		f.costs(gateway.Yes("many"))
	}
	for i := range h.Fields {
		if name := h.Fields[i].Name; h.Fields[i].SpacedName {
			f.fail(gateway.ShapeFields, "white space between "+name+" and its colon")
			f.costs(gateway.Measure{Name: "spaced", Value: 1, Text: name})
			break
		}
	}
}

// passes counts the Received fields that this host wrote: only our own word tells of a loop.
func passes(h *gateway.Header, hostname string) int {
	n, own := 0, "by "+hostname+" (Gatepost) "
	for _, f := range h.All("Received") {
		if strings.Contains(h.Value(f), own) {
			n++
		}
	}
	return n
}

// hasEightBit looks at eight octets at a time: it reads every header section whole.
func hasEightBit(raw []byte) bool {
	for ; len(raw) >= 8; raw = raw[8:] {
		if binary.NativeEndian.Uint64(raw)&0x8080808080808080 != 0 {
			return true
		}
	}
	for _, c := range raw {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
