package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"gatepost/internal/access"
)

// Surface is a set of operations as somebody serves them: on the socket, or below /api/v1.
type Surface struct {
	Operations []Operation
	// Who says who asks; its error, if it is a *Fault, is the reply. nil: the context of the request knows.
	Who func(*http.Request) (access.Actor, error)
	// Audit is told what was changed, looked into, and refused. It waits for nothing that can hang.
	Audit func(context.Context, Entry)
	// Inner says that whoever asks may read errors as they are: root, by the socket. Others get a number that the log has too.
	Inner bool
	Log   *slog.Logger
}

// Handler serves the operations below a prefix, such as "/api/v1"; "" for none.
func (s *Surface) Handler(prefix string) http.Handler {
	mux := http.NewServeMux()
	for i := range s.Operations {
		o := &s.Operations[i]
		mux.HandleFunc(o.Method+" "+prefix+o.Path, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, o) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, &Fault{Status: http.StatusNotFound, Message: "there is no " + r.Method + " " + clip(r.URL.Path, 100)})
	})
	return mux
}

// serve answers one request.
func (s *Surface) serve(w http.ResponseWriter, r *http.Request, o *Operation) {
	if s.Who != nil {
		actor, err := s.Who(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		r = r.WithContext(access.With(r.Context(), actor))
	}
	if actor := access.Of(r.Context()); !actor.May(o.Right) { // before anything is read of him
		_, err := s.run(r.Context(), o, reflect.New(o.In).Interface())
		s.fail(w, r, err)
		return
	}
	limit := o.Body
	if limit == 0 {
		limit = maxBody
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	in, err := o.read(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if o.Streams() {
		s.serveStream(w, r, o, in)
		return
	}
	over := func() {}
	if o.Upload {
		if r, over, err = o.receive(w, r); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	out, err := s.run(r.Context(), o, in)
	over()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	reply(w, out)
}

// reply sends what an operation returned.
func reply(w http.ResponseWriter, out any) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if t, ok := out.(Tagged); ok {
		h.Set("ETag", `"`+t.ETag()+`"`)
	}
	if f, ok := out.(*File); ok {
		f.Send(w)
		return
	}
	h.Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // a client that went away needs no answer
}

// plainName leaves of a name what no browser reads in two ways.
func plainName(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			return c
		}
		return '_'
	}, name)
}

// fail answers with a problem (RFC 9457).
func (s *Surface) fail(w http.ResponseWriter, r *http.Request, err error) {
	fault, ok := errors.AsType[*Fault](err)
	switch {
	case ok:
	case errors.Is(err, context.DeadlineExceeded):
		fault = &Fault{Status: http.StatusGatewayTimeout, Message: "it took too long, and was given up"}
	case s.Inner:
		fault = &Fault{Status: http.StatusInternalServerError, Message: err.Error()}
	default:
		id := rand.Text()[:10]
		if s.Log != nil {
			s.Log.Error("request failed", "id", id, "method", r.Method, "path", clip(r.URL.Path, 100), "error", err)
		}
		fault = &Fault{Status: http.StatusInternalServerError, Message: "it failed; the log tells why under " + id, Instance: id}
	}
	sendFault(w, fault)
}

// sendFault sends a problem.
func sendFault(w http.ResponseWriter, f *Fault) {
	out := *f
	if out.Status < 400 || out.Status > 599 {
		out.Status = http.StatusInternalServerError
	}
	out.Title = http.StatusText(out.Status)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	out.TellRetry(w.Header())
	w.WriteHeader(out.Status)
	_ = json.NewEncoder(w).Encode(&out)
}

// serveStream sends events until one side ends it.
func (s *Surface) serveStream(w http.ResponseWriter, r *http.Request, o *Operation, in any) {
	ctx, note, err := s.begin(r.Context(), o)
	if err != nil {
		s.tell(ctx, o, in, note, err)
		s.fail(w, r, err)
		return
	}
	out, err := OpenStream(ctx, w, nil)
	if err != nil {
		return
	}
	defer out.Close()
	err = o.stream(out.Context(), in, func(id, event string, data any) error {
		text, err := json.Marshal(data)
		if err != nil {
			return err
		}
		return out.Send(id, event, string(text))
	})
	if err == nil || out.Context().Err() != nil {
		return
	}
	said, fault := []byte("{}"), new(Fault)
	told := errors.As(err, &fault)
	if told {
		said, _ = json.Marshal(fault) // it has nothing that has no JSON
	}
	_ = out.Send("", "error", string(said))
	if s.Log != nil && !told {
		s.Log.Error("stream failed", "path", clip(r.URL.Path, 100), "error", err)
	}
}

// clip cuts a text that a client chose.
func clip(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
