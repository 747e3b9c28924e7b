package control

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"

	"gatepost/internal/access"
)

// NewLocal returns a client that asks a handler in the same process, as an actor: what a Surface without Who serves without a
// prefix. Each answer goes through a pipe, so that what nobody reads is not kept. An operation that takes an upload cannot be asked: its
// time is that of a connection. The log is told what broke.
func NewLocal(h http.Handler, who access.Actor, log *slog.Logger) *Client {
	return &Client{root: "http://gatepost", where: "this gateway", http: &http.Client{Timeout: verbTime + readTime, Transport: &local{h, who, log}}}
}

// local carries requests to a handler.
type local struct {
	handler http.Handler
	who     access.Actor
	log     *slog.Logger
}

// RoundTrip implements http.RoundTripper.
func (l *local) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(access.With(r.Context(), l.who))
	from, to := io.Pipe()
	a := &answering{header: http.Header{}, to: to, began: make(chan struct{})}
	inner := r.Clone(ctx)
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	go func() {
		defer cancel()
		defer inner.Body.Close()
		defer func() {
			err := io.EOF
			if p := recover(); p != nil { // as http.Server has it: one question ends, and nothing else
				l.log.Error("control: a question broke", "method", r.Method, "path", clip(r.URL.Path, 100), "panic", p, "stack", string(debug.Stack()))
				err = errors.New("it broke; the log tells why")
			}
			a.WriteHeader(http.StatusOK)
			_ = to.CloseWithError(err)
		}()
		l.handler.ServeHTTP(a, inner)
	}()
	select {
	case <-a.began:
	case <-ctx.Done():
		_ = from.CloseWithError(ctx.Err())
		return nil, ctx.Err()
	}
	return &http.Response{Status: http.StatusText(a.status), StatusCode: a.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.sent, Body: from, ContentLength: -1, Request: r}, nil
}

// answering is the http.ResponseWriter of local.
type answering struct {
	header, sent http.Header
	to           *io.PipeWriter
	status       int
	once         sync.Once
	began        chan struct{}
}

func (a *answering) Header() http.Header { return a.header }

func (a *answering) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.began)
	})
}

func (a *answering) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.to.Write(b)
}
