package control

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// uploadIdle is how long nothing may come of what is uploaded.
const uploadIdle = 30 * time.Second

// DefineUpload is Define of an operation whose body is octets that are read as they come, at most o.Body of them: its fields stand in
// the path, in the header and in the query. What it has not read when it returns is thrown away.
func DefineUpload[In, Out any](o Operation, call func(ctx context.Context, in *In, body io.Reader) (Out, error)) Operation {
	o.Upload = true
	return Define(o, func(ctx context.Context, in *In) (Out, error) {
		body, ok := ctx.Value(bodyKey{}).(io.Reader)
		if !ok {
			var none Out
			return none, &Fault{Status: http.StatusBadRequest, Message: "there is no body"}
		}
		return call(ctx, in, body)
	})
}

type bodyKey struct{}

// WithBody is the context of a call whose operation takes an upload, as pages of the console make it.
func WithBody(ctx context.Context, body io.Reader) context.Context {
	return context.WithValue(ctx, bodyKey{}, body)
}

// incoming is the body of a request that may take longer than the server has for others, and may not be silent for long.
type incoming struct {
	io.Reader
	conn *http.ResponseController
	last time.Time // it ends by then; zero: when the operation does
}

func (b *incoming) Read(p []byte) (int, error) {
	until := time.Now().Add(uploadIdle)
	if !b.last.IsZero() && b.last.Before(until) {
		until = b.last
	}
	if err := b.conn.SetReadDeadline(until); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

// Receive makes a reader of the body of a request, which may take longer than the server has for others: most, and no more than half a
// minute without an octet. drain is called before the answer: who still sends would see a connection that is reset, and never the reason,
// so what is left is read on, for as long as a whole one may take. body is that of r, or what is read of it.
func Receive(w http.ResponseWriter, body io.Reader, most time.Duration) (in io.Reader, drain func(), err error) {
	conn := http.NewResponseController(w)
	if err := conn.SetWriteDeadline(time.Now().Add(2*most + uploadIdle)); err != nil {
		return nil, nil, err
	}
	b := &incoming{Reader: body, conn: conn}
	return b, func() {
		b.last = time.Now().Add(most)
		_, _ = io.Copy(io.Discard, b)
	}, nil
}

// receive has the operation of a request read its body.
func (o *Operation) receive(w http.ResponseWriter, r *http.Request) (out *http.Request, over func(), err error) {
	body, over, err := Receive(w, r.Body, o.Time)
	if err != nil {
		return r, nil, err
	}
	return r.WithContext(WithBody(r.Context(), body)), over, nil
}

// Upload asks an operation that takes one. What Ask says of the error holds here too.
func (c *Client) Upload(ctx context.Context, o *Operation, in any, body io.Reader, out any) error {
	if !o.Upload {
		return errors.New("control: " + o.Name + " takes no upload")
	}
	r, err := o.Request(in)
	if err != nil {
		return err
	}
	r.Raw = body
	long := *c.http
	long.Timeout = 2*o.Time + uploadIdle
	slow := *c
	slow.http = &long
	return slow.send(ctx, r, out)
}
