package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/internal/access"
)

type wantIn struct {
	ID      string        `path:"id" json:"-" doc:"which"`
	Version string        `header:"If-Match" json:"-" doc:"that it has"`
	Limit   int           `json:"limit" doc:"how many" default:"10" min:"1" max:"100"`
	State   string        `json:"state" doc:"in which" enum:"held|dead"`
	Rcpts   []string      `json:"rcpt" doc:"whose"`
	Since   time.Time     `json:"since" doc:"from when on"`
	Older   time.Duration `json:"older" doc:"at least"`
	Code    string        `json:"code" doc:"of the day" secret:"true"`
}

func (w *wantIn) Check() error {
	if w.State == "dead" && w.Limit > 50 {
		return errors.New("not so many dead ones")
	}
	return nil
}

type tagged struct {
	Version string
	In      wantIn
}

func (t *tagged) ETag() string { return t.Version }

// surface serves operations of each kind for one actor, and notes what is audited.
func surface(actor access.Actor, audited *[]Entry) *Surface {
	op := func(method, path string, right access.Right) Operation {
		return Operation{Name: method + " " + path, Method: method, Path: path, Doc: "Do it", Right: right}
	}
	echo := func(ctx context.Context, in *wantIn) (*tagged, error) {
		if in.ID == "none" {
			return nil, &Fault{Status: 404, Message: "there is none", Hint: "look elsewhere"}
		}
		if in.ID == "broken" {
			return nil, errors.New("disk /var/lib is on fire")
		}
		Changed(ctx, Change{Object: in.ID, Before: 1, After: 2})
		return &tagged{Version: "7", In: *in}, nil
	}
	shows := op("GET", "/inside/{id}", access.QuarantineView)
	shows.Shows = true
	return &Surface{Who: func(*http.Request) (access.Actor, error) {
		if actor.Name == "" {
			return actor, &Fault{Status: 401, Message: "who are you"}
		}
		return actor, nil
	}, Audit: func(_ context.Context, e Entry) { *audited = append(*audited, e) }, Operations: []Operation{
		Define(op("GET", "/mail/{id}", access.LogRead), echo),
		Define(op("POST", "/mail/{id}", access.QueueChange), echo),
		Define(shows, func(context.Context, *struct {
			ID string `path:"id" json:"-" doc:"which"`
		}) (*File, error) {
			return &File{Name: "a\"b/../<c>.eml", Type: "text/plain", Data: []byte("<script>")}, nil
		}),
	}}
}

// TestOperations shows what requests come to: read, refused with the name of the field, and audited where they change.
func TestOperations(t *testing.T) {
	owner := access.Actor{Name: "anna", Role: access.Owner}
	for name, c := range map[string]struct {
		actor   access.Actor
		request string // method, path, body
		header  string
		status  int
		want    string // in the reply
		audited string // operation, object and error of what is audited; "" for nothing
	}{
		"a query":             {owner, "GET /mail/7?limit=20&rcpt=a&rcpt=b&state=held&since=2026-11-27T00:00:00Z&older=90s", `"5"`, 200, `"limit":20,"state":"held","rcpt":["a","b"]`, ""},
		"its default":         {owner, "GET /mail/7", "", 200, `"limit":10`, ""},
		"too many":            {owner, "GET /mail/7?limit=101", "", 400, "limit: is at most 100", ""},
		"too few":             {owner, "GET /mail/7?limit=0", "", 400, "limit: is at least 1", ""},
		"no number":           {owner, "GET /mail/7?limit=x", "", 400, "limit: is a whole number", ""},
		"twice":               {owner, "GET /mail/7?limit=1&limit=2", "", 400, "limit: stands more than once", ""},
		"no word of the list": {owner, "GET /mail/7?state=gone", "", 400, "state: is one of held, dead", ""},
		"no time":             {owner, "GET /mail/7?since=yesterday", "", 400, "since: ", ""},
		"no span":             {owner, "GET /mail/7?older=90", "", 400, "older: is a time such as", ""},
		"unknown":             {owner, "GET /mail/7?lmit=5", "", 400, `unknown field \"lmit\"`, ""},
		"both":                {owner, "GET /mail/7?state=dead&limit=60", "", 400, "not so many dead ones", ""},
		"none":                {owner, "GET /mail/none", "", 404, `"hint":"look elsewhere"`, ""},
		"broken":              {owner, "GET /mail/broken", "", 500, "the log tells why", ""},
		"no such path":        {owner, "GET /nothing", "", 404, "there is no GET /nothing", ""},
		"a body":              {owner, `POST /mail/7 {"limit":5,"code":"x"}`, "", 200, `"limit":5`, "POST /mail/{id} 7 "},
		"no body":             {owner, "POST /mail/7", "", 200, `"limit":10`, "POST /mail/{id} 7 "},
		"a body too much":     {owner, `POST /mail/7 {} {}`, "", 400, "there is more", ""},
		"unknown in a body":   {owner, `POST /mail/7 {"lmit":5}`, "", 400, "unknown field", ""},
		"path in a body":      {owner, `POST /mail/7 {"ID":"8"}`, "", 400, "unknown field", ""},
		"query of a body":     {owner, `POST /mail/7?limit=5`, "", 400, "unknown field", ""},
		"large":               {owner, `POST /mail/7 {"code":"` + strings.Repeat("x", maxBody) + `"}`, "", 413, "too large", ""},
		"not done":            {owner, "POST /mail/none", "", 404, "there is none", "POST /mail/{id}  there is none; look elsewhere"},
		"not allowed":         {access.Actor{Name: "hans", Role: access.HelpDesk}, "POST /mail/7", "", 403, "roles that have it: owner, operator", "POST /mail/{id}  POST /mail/{id} needs the right queue.change; roles that have it: owner, operator"},
		"a token":             {access.Actor{Name: "t", Role: access.Owner, Rights: []access.Right{access.StatusRead}}, "GET /mail/7", "", 403, "not by this token", "GET /mail/{id}  GET /mail/{id} needs the right log.read; your role has it, but not for some domains only, or not by this token"},
		"nobody":              {access.Actor{}, "GET /mail/7", "", 401, "who are you", ""},
		"a look inside":       {owner, "GET /inside/7", "", 200, "<script>", "GET /inside/{id}  "},
	} {
		t.Run(name, func(t *testing.T) {
			var audited []Entry
			s := surface(c.actor, &audited)
			method, rest, _ := strings.Cut(c.request, " ")
			path, body, _ := strings.Cut(rest, " ")
			r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
			if c.header != "" {
				r.Header.Set("If-Match", c.header)
			}
			w := httptest.NewRecorder()
			s.Handler("/api/v1").ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), strings.ReplaceAll(c.want, "/nothing", "/api/v1/nothing")) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if w.Code >= 400 && (w.Header().Get("Content-Type") != "application/problem+json" || strings.Contains(w.Body.String(), "on fire")) {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
			told := ""
			for _, e := range audited {
				told += e.Operation + " " + e.Change.Object + " " + e.Error
				if in, _ := json.Marshal(e.In); strings.Contains(string(in), `"x"`) {
					t.Errorf("a secret is audited: %s", in)
				}
			}
			if told != c.audited {
				t.Errorf("audited %q, want %q", told, c.audited)
			}
		})
	}
}

// TestFile shows that what is in mail is handed out as a file that no browser runs, under a name that breaks no field.
func TestFile(t *testing.T) {
	var audited []Entry
	w := httptest.NewRecorder()
	surface(access.Actor{Name: "anna", Role: access.Owner}, &audited).Handler("").ServeHTTP(w, httptest.NewRequest("GET", "/inside/1", nil))
	h := w.Header()
	if h.Get("Content-Disposition") != `attachment; filename="a_b_..__c_.eml"` || h.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%v", h)
	}
}

// TestCallInside shows that pages have the same bounds as the API.
func TestCallInside(t *testing.T) {
	var audited []Entry
	s := surface(access.Actor{}, &audited)
	ctx := access.With(t.Context(), access.Actor{Name: "anna", Role: access.Owner})
	if out, err := s.Call(ctx, "POST /mail/{id}", &wantIn{ID: "7", Limit: 1}); err != nil || out.(*tagged).In.ID != "7" || len(audited) != 1 {
		t.Errorf("%v, %v, %v", out, err, audited)
	}
	if _, err := s.Call(ctx, "POST /mail/{id}", &wantIn{Limit: 1000}); err == nil {
		t.Error("a thousand are shown")
	}
	if _, err := s.Call(t.Context(), "GET /mail/{id}", &wantIn{Limit: 1}); err == nil {
		t.Error("nobody is let in")
	}
	if _, err := s.Call(ctx, "GET /mail/{id}", "7"); err == nil {
		t.Error("another In is taken")
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
}

// TestValidate shows what a programmer is told that he forgot.
func TestValidate(t *testing.T) {
	o := Define(Operation{Name: "x", Method: "GET", Path: "/x/{id}", Right: "read"}, func(context.Context, *struct {
		ID string `path:"ID"`
		N  int    `json:"n" default:"x"`
	}) (int, error) {
		return 0, nil
	})
	err := (&Surface{Operations: []Operation{o, o}}).Validate()
	for _, want := range []string{"a sentence", `right "read"`, `wants json:"-"`, "ID is not in the path", "says not what it means", "default of n", "[id]", "x is there twice", "GET /x/{} is there twice"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing of %s in %v", want, err)
		}
	}
}

// TestStream shows events as they go out, signs of life between them, and the end when the client goes.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		o := DefineStream(Operation{Name: "live", Method: "GET", Path: "/live", Doc: "Show it", Right: access.LogRead},
			func(ctx context.Context, in *struct {
				Last string `header:"Last-Event-ID" json:"-" doc:"seen"`
			}, send Send) error {
				if err := send("5\n6", "mail", in.Last); err != nil {
					return err
				}
				<-ctx.Done()
				gone <- send("7", "mail", nil)
				return ctx.Err()
			})
		s := &Surface{Operations: []Operation{o}}
		r := httptest.NewRequestWithContext(access.With(ctx, access.Actor{Role: access.Owner}), "GET", "/live", nil)
		r.Header.Set("Last-Event-ID", "4")
		w := httptest.NewRecorder()
		done := make(chan struct{})
		go func() { defer close(done); s.Handler("").ServeHTTP(w, r) }()
		time.Sleep(streamBeat + time.Second)
		cancel()
		<-done
		if got := w.Body.String(); got != ": begin\n\nid: 56\nevent: mail\ndata: \"4\"\n\n:\n\n" || <-gone == nil {
			t.Errorf("%q", got)
		}
		w = httptest.NewRecorder()
		s.Handler("").ServeHTTP(w, httptest.NewRequest("GET", "/live", nil))
		if w.Code != 403 {
			t.Errorf("nobody is let in: %d", w.Code)
		}
	})
}
