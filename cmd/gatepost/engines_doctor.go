package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"gatepost/internal/doctor"
)

// addresses is how many addresses they have together.
func (e *engines) addresses() (n int) {
	for _, one := range e.all {
		n += len(one.health())
	}
	return n
}

// engines asks each engine as its probes do, where its check is used.
func (b *behind) engines(ctx context.Context, needed, used func(check string) bool) (out []doctor.Scanner) {
	run, cancel := context.WithTimeout(ctx, liveTime)
	defer cancel()
	var wg sync.WaitGroup
	for _, e := range b.p.engines.all {
		wg.Go(func() { e.run(run) })
	}
	waitFor(run, b.p.engines.asked)
	for _, e := range b.p.engines.all {
		check, _, _ := strings.Cut(e.name, " ")
		if !used(check) {
			continue
		}
		for _, h := range e.health() {
			s := doctor.Scanner{Kind: "engine", Address: e.name + " at " + h.Address, Said: h.Info, Needed: needed(check) && !e.optional}
			switch {
			case h.Probes > 0 && h.ProbeErrors == h.Probes:
				s.Err = h.LastError
			case h.Probes == 0:
				s.Err = errors.New("did not answer")
			}
			out = append(out, s)
		}
	}
	cancel()
	wg.Wait()
	return out
}

// asked reports whether each address has answered or failed.
func (e *engines) asked() bool {
	for _, one := range e.all {
		for _, h := range one.health() {
			if h.Probes == 0 {
				return false
			}
		}
	}
	return true
}
