package control

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"gatepost/internal/access"
)

// Operation is one thing that can be asked of the daemon: by the command line over the socket, by programs over the API, by
// the console's pages in the same process. All three ask the same one, with the same rights, bounds and audit.
type Operation struct {
	// Name is the command's words, as in "queue retry"; it names the operation in the audit log and in the API's description.
	Name   string
	Method string // GET changes nothing
	Path   string // below the root of whoever serves it, as a pattern of net/http: "/queue/{id}"
	Doc    string // one sentence in the imperative, without a full stop
	Right  access.Right
	Shows  bool          // it shows what is in mail or in keys: audited although nothing changes
	Body   int64         // octets that it takes; 0: a megabyte
	Upload bool          // its body is octets and no JSON: DefineUpload
	In     reflect.Type  // a struct; see Define
	Out    reflect.Type  // what is sent as JSON; a File is sent as it is; nil of a stream
	Time   time.Duration // that it may take; 0: a minute
	fields []Field       // of In
	call   func(ctx context.Context, in any) (any, error)
	stream func(ctx context.Context, in any, send Send) error
}

// Send sends an event of a stream. The id is what a client that comes back says it saw last. An error means that nobody
// listens any more.
type Send func(id, event string, data any) error

// Look is the head of a question that changes nothing, by GET.
func Look(name, path, doc string, right access.Right) Operation {
	return Operation{Name: name, Method: http.MethodGet, Path: path, Doc: doc, Right: right}
}

// Do is the head of one that changes something, by POST.
func Do(name, path, doc string, right access.Right) Operation {
	return Operation{Name: name, Method: http.MethodPost, Path: path, Doc: doc, Right: right}
}

// Define makes an operation of a function. In is a struct whose fields are read by their tags: path:"id" of the path,
// header:"If-Match" of a field of the request, all others by their json name from the query of GET and DELETE and else from
// the body, which is JSON and may have no other. doc says what a field means; min, max and default bound numbers; enum lists
// the words of a string, with "|" between them; required:"true" refuses the zero value; secret:"true" keeps it out of the
// audit log. An In with Check() error is asked as well.
//
// call gets the actor by access.Of, bounds what it shows and changes by Actor.Sees, and returns a *Fault where the caller
// can do something about it. Where it changes something it says so by Changed.
func Define[In, Out any](o Operation, call func(ctx context.Context, in *In) (Out, error)) Operation {
	o.takes(reflect.TypeFor[In]())
	o.Out = reflect.TypeFor[Out]()
	o.call = func(ctx context.Context, in any) (any, error) { return call(ctx, in.(*In)) }
	return o
}

// DefineStream makes an operation that sends events until the client goes away or the context is done, as server-sent
// events. Its In may have a field with header:"Last-Event-ID".
func DefineStream[In any](o Operation, call func(ctx context.Context, in *In, send Send) error) Operation {
	o.takes(reflect.TypeFor[In]())
	o.stream = func(ctx context.Context, in any, send Send) error { return call(ctx, in.(*In), send) }
	return o
}

// Changes reports whether the operation changes something.
func (o *Operation) Changes() bool { return o.Method != http.MethodGet }

// Streams reports whether it sends events.
func (o *Operation) Streams() bool { return o.stream != nil }

// File is a reply that is no JSON. Browsers are told to keep it as a file and to run nothing of it.
type File struct {
	Name string // that it is kept under; letters, digits, dots, hyphens
	Type string // of media
	Data []byte
	From io.ReadCloser // in place of Data, where that would be large: it is sent as it comes, and closed
	Size int64         // of From, in octets
}

// Tagged is what a reply implements that has a version: If-Match of the request that changes it names that.
type Tagged interface{ ETag() string }

// checked is what an In may implement.
type checkedIn interface{ Check() error }

// Call runs the operation for whoever is behind the context, as pages of the console do: with his rights, and audited. in is a
// pointer to the operation's In.
func (s *Surface) Call(ctx context.Context, name string, in any) (any, error) {
	o := s.find(name)
	if o == nil || o.Streams() {
		return nil, fmt.Errorf("control: no operation %q", name)
	}
	if reflect.TypeOf(in) != reflect.PointerTo(o.In) {
		return nil, fmt.Errorf("control: %s takes %s", name, o.In)
	}
	if err := o.check(reflect.ValueOf(in).Elem()); err != nil {
		return nil, err
	}
	return s.run(ctx, o, in)
}

// find is the operation of a name; nil where there is none.
func (s *Surface) find(name string) *Operation {
	for i := range s.Operations {
		if o := &s.Operations[i]; o.Name == name {
			return o
		}
	}
	return nil
}

// run checks the right, calls, and audits.
func (s *Surface) run(ctx context.Context, o *Operation, in any) (any, error) {
	ctx, note, err := s.begin(ctx, o)
	if err != nil {
		s.tell(ctx, o, in, note, err)
		return nil, err
	}
	limit := o.Time
	if limit == 0 {
		limit = verbTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := o.call(ctx, in)
	s.tell(ctx, o, in, note, err)
	return out, err
}

// begin lets in whoever has the right.
func (s *Surface) begin(ctx context.Context, o *Operation) (context.Context, *Change, error) {
	actor, note := access.Of(ctx), &Change{}
	ctx = context.WithValue(ctx, changeKey{}, note)
	if actor.May(o.Right) {
		return ctx, note, nil
	}
	var who []string
	for _, r := range access.Roles() {
		if r.Has(o.Right) {
			who = append(who, string(r))
		}
	}
	f := &Fault{Status: http.StatusForbidden, Message: fmt.Sprintf("%s needs the right %s", o.Name, o.Right), Hint: "roles that have it: " + strings.Join(who, ", ")}
	if actor.Role.Has(o.Right) {
		f.Hint = "your role has it, but not for some domains only, or not by this token"
	}
	return ctx, note, f
}

// Change is what an operation says it changed.
type Change struct {
	Object        string // what, as people name it: a reference, an address, a version
	Before, After any    // as JSON; nil where there is none
	Domain        string // to which it belongs, where it does: an auditor of a domain sees it
}

type changeKey struct{}

// Changed notes for the audit log what an operation changed. It is called once, by the operation.
func Changed(ctx context.Context, c Change) {
	if note, ok := ctx.Value(changeKey{}).(*Change); ok {
		*note = c
	}
}

// MaxWhy is how long a person may be about what he reads a message for.
const MaxWhy = 200

// Why holds against what a person says that he reads a message for, which the audit log keeps. Whoever asks by the socket is root,
// and may read the file.
func Why(ctx context.Context, why string) error {
	if access.Of(ctx).Via != access.BySocket && strings.TrimSpace(why) == "" || len(why) > MaxWhy {
		return &Fault{Status: http.StatusBadRequest, Message: fmt.Sprintf("why: say in at most %d characters what you read the message for", MaxWhy), Field: "why"}
	}
	return nil
}

// Entry is what the audit log is told of a call.
type Entry struct {
	Actor     access.Actor
	Operation string
	In        any // as it came, without what is secret
	Change    Change
	Error     string // "" where it was done
}

// tell audits what changes something, what shows the inside of mail, and what was refused for want of a right. The context may
// be done by now.
func (s *Surface) tell(ctx context.Context, o *Operation, in any, note *Change, err error) {
	if s.Audit == nil || !o.Changes() && !o.Shows && err == nil {
		return
	}
	e := Entry{Actor: access.Of(ctx), Operation: o.Name, In: o.public(in), Change: *note}
	if err != nil {
		f, refused := err.(*Fault)
		if !o.Changes() && !o.Shows && (!refused || f.Status != http.StatusForbidden) {
			return
		}
		e.Error = err.Error()
	}
	s.Audit(context.WithoutCancel(ctx), e)
}
