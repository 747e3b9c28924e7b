package journal

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// daemonLine tells what the daemon did: time, kind, then the attributes in the order they were given.
func daemonLine(t time.Time, verb Verb, sev severity, attrs []slog.Attr) *Line {
	o := object{most: maxText}
	o.moment("time", t)
	o.always("kind", string(verb))
	for _, a := range attrs[:min(len(attrs), 40)] {
		o.attr("", a, 0)
	}
	return &Line{Time: t, Verb: verb, JSON: o.end(), severity: sev}
}

// attr writes one attribute. Groups become "group.name"; names that the line has already are the caller's mistake and get
// a mark in front.
func (o *object) attr(prefix string, a slog.Attr, depth int) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, in := range v.Group() {
			if depth < 4 {
				o.attr(prefix, in, depth+1)
			}
		}
		return
	}
	name := prefix + a.Key
	switch name {
	case "":
		return
	case "time", "kind":
		name = "_" + name
	}
	name = o.short(name)
	switch v.Kind() {
	case slog.KindInt64:
		o.key(name)
		o.b = strconv.AppendInt(o.b, v.Int64(), 10)
	case slog.KindUint64:
		o.key(name)
		o.b = strconv.AppendUint(o.b, v.Uint64(), 10)
	case slog.KindFloat64:
		o.float(name, v.Float64())
	case slog.KindBool:
		o.key(name)
		o.b = strconv.AppendBool(o.b, v.Bool())
	case slog.KindTime:
		o.moment(name, v.Time())
	default:
		o.always(name, o.short(text(v)))
	}
}

// text is a value in words; a value whose own method panics must not end the one who logs.
func text(v slog.Value) (s string) {
	defer func() {
		if p := recover(); p != nil {
			s = fmt.Sprintf("(panic: %v)", p)
		}
	}()
	return v.String()
}

// Handler returns a slog.Handler for the other parts of the program: what they say becomes a note.
func (j *Journal) Handler(level slog.Leveler) slog.Handler { return &handler{j: j, level: level} }

// handler keeps the attributes it was given already under the groups they were given in.
type handler struct {
	j      *Journal
	level  slog.Leveler
	attrs  []slog.Attr
	prefix string
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return h.level == nil && l >= slog.LevelInfo || h.level != nil && l >= h.level.Level()
}

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	sev := severityInfo
	switch {
	case r.Level >= slog.LevelError:
		sev = severityError
	case r.Level >= slog.LevelWarn:
		sev = severityWarning
	case r.Level < slog.LevelInfo:
		sev = severityDebug
	}
	attrs := append([]slog.Attr{slog.String("level", r.Level.String()), slog.String("message", r.Message)}, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.prefix + a.Key
		attrs = append(attrs, a)
		return true
	})
	h.j.tell(daemonLine(r.Time, Note, sev, attrs))
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = append([]slog.Attr(nil), h.attrs...)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}
