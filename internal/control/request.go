package control

import (
	"context"
	"encoding"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Request is an operation as it goes over the wire: what read makes an In of.
type Request struct {
	Method string
	Path   string // below the root of whoever serves it, with the query
	Header http.Header
	Body   any       // goes as JSON; nil for none
	Raw    io.Reader // goes as it is, in place of Body
}

// Asking is the operation for whoever asks it of a daemon, and has no function for it.
func Asking[In any](o Operation) Operation {
	o.takes(reflect.TypeFor[In]())
	return o
}

// Request makes the request that asks the operation. in is a pointer to its In.
func (o *Operation) Request(in any) (*Request, error) {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem() != o.In {
		return nil, fmt.Errorf("control: %s takes *%s", o.Name, o.In)
	}
	v = v.Elem()
	r, path, query := &Request{Method: o.Method, Header: http.Header{}}, o.Path, url.Values{}
	for _, f := range o.fields {
		x := v.FieldByIndex(f.index)
		if f.From == "body" {
			r.Body = in
			continue
		}
		if x.IsZero() && f.Default == "" && f.From != "path" {
			continue
		}
		texts, err := texts(x)
		if err != nil {
			return nil, fmt.Errorf("control: %s: %s: %w", o.Name, f.Name, err)
		}
		switch f.From {
		case "path":
			if texts[0] == "" || strings.Trim(texts[0], ".") == "" { // a router would clean it away
				return nil, &Fault{Status: http.StatusBadRequest, Message: f.Name + ": is needed", Field: f.Name}
			}
			path = strings.Replace(path, "{"+f.Name+"}", url.PathEscape(texts[0]), 1)
		case "header":
			r.Header.Set(f.Name, strconv.Quote(texts[0]))
		default:
			query[f.Name] = texts
		}
	}
	if r.Path = path; len(query) > 0 {
		r.Path += "?" + query.Encode()
	}
	return r, nil
}

// texts is how a value stands in a query: what setText reads.
func texts(v reflect.Value) ([]string, error) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8 {
		var out []string
		for i := range v.Len() {
			one, err := texts(v.Index(i))
			if err != nil {
				return nil, err
			}
			out = append(out, one...)
		}
		return out, nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case encoding.TextMarshaler:
		text, err := x.MarshalText()
		return []string{string(text)}, err
	case time.Duration:
		return []string{x.String()}, nil
	case float64:
		return []string{strconv.FormatFloat(x, 'g', -1, 64)}, nil
	}
	return []string{fmt.Sprint(v.Interface())}, nil
}

// Ask asks an operation of the daemon. in is a pointer to its In, out to what it returns; a *File gets what is sent as it is.
// The error is ErrNotRunning when nobody answers, a *Fault when the daemon says no, os.ErrPermission when the socket is another
// user's.
func (c *Client) Ask(ctx context.Context, o *Operation, in, out any) error {
	r, err := o.Request(in)
	if err != nil {
		return err
	}
	return c.send(ctx, r, out)
}
