package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// startWeb serves the listeners that are not for mail.
func (d *daemon) startWeb(background context.Context, running *loops, sockets *listeners, failed chan<- error) {
	if sockets.metrics != nil {
		web := d.pulsed(sockets.metrics)
		running.start("web.metrics", func() { failed <- serveWeb(background, web, d.journal.HTTP()) })
	}
	for i, l := range slices.Concat(sockets.publicHTTP, sockets.publicHTTPS) {
		web, secure := d.pulsed(l), i >= len(sockets.publicHTTP)
		running.start("web.public", func() { failed <- d.public.serve(background, web, secure) })
	}
	for _, l := range sockets.portal {
		web := d.pulsed(l)
		running.start("web.portal", func() { failed <- d.servePortal(background, web) })
	}
	for _, l := range sockets.console {
		web := d.pulsed(l)
		running.start("web.console", func() { failed <- d.console.Serve(background, web) })
	}
	if len(sockets.ssh) == 0 {
		return
	}
	door := d.newSSH()
	sshInstruments(door, d.journal.Metrics())
	for _, l := range sockets.ssh {
		web := d.pulsed(l)
		running.start("web.ssh", func() { failed <- door.Serve(background, web) })
	}
}

// serveWeb serves the listener for monitoring.
func serveWeb(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	return answerOn(ctx, "web.metrics", s, l)
}

// answerOn has a server answer on a listener until the context is done; its error names the key of the listener.
func answerOn(ctx context.Context, key string, s *http.Server, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}
