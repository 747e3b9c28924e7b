package filters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"gatepost/gateway"
)

// Servers hands a call to one of several servers that can stand in for each other, and once more to another where nothing
// was sent.
type Servers[T any] interface {
	Do(ctx context.Context, call func(ctx context.Context, client T) error) error
}

// Instance is one of several engines of one check, each with servers of its own.
type Instance[T any] struct {
	Name     string
	Optional bool // mail does not wait for it while it is away
	Servers  Servers[T]
}

// unanswered is the finding of a check whose engine could not be asked, or gave no answer that counts.
func unanswered(err error) gateway.Finding {
	text := err.Error()
	if errors.Is(err, context.DeadlineExceeded) {
		text = "no answer in time: " + text
	}
	return gateway.CouldNotTell(gateway.ScannerFailed).Show("error", text)
}

// seen is what one instance saw.
type seen struct {
	name     string
	optional bool
	finding  gateway.Finding
}

// askEach asks all instances at the same time. One that panics could not tell.
func askEach[T any](instances []Instance[T], ask func(i *Instance[T]) gateway.Finding) []seen {
	out := make([]seen, len(instances))
	var all sync.WaitGroup
	for i := range instances {
		one := &instances[i]
		out[i] = seen{name: one.Name, optional: one.Optional, finding: gateway.CouldNotTell(gateway.CheckPanicked)}
		look := func() {
			defer func() {
				if r := recover(); r != nil {
					out[i].finding = gateway.CouldNotTell(gateway.CheckPanicked).Show("panic", fmt.Sprint(r))
				}
			}()
			out[i].finding = ask(one)
		}
		if i == len(instances)-1 {
			look() // the last one needs no goroutine
			break
		}
		all.Go(look)
	}
	all.Wait()
	return out
}

// worstOf makes one finding of what the instances of a check saw: that which the reasons in order name first, then that one
// could not tell which must, then any other failure, then that an optional one could not tell. So a refusal counts whatever
// the others say, and what somebody only doubts never hides that nobody looked. Measures and evidence of all are kept.
func worstOf(all []seen, order ...gateway.Reason) gateway.Finding {
	rank := func(s *seen) int {
		at := slices.Index(order, s.finding.Reason)
		switch {
		case s.finding.Result == gateway.Fail && at >= 0:
			return 100 - at
		case s.finding.Result == gateway.Unknown && !s.optional:
			return 50
		case s.finding.Result == gateway.Fail:
			return 40
		case s.finding.Result == gateway.Unknown:
			return 30
		}
		return 0
	}
	worst := &all[0]
	for i := range all {
		if rank(&all[i]) > rank(worst) {
			worst = &all[i]
		}
	}
	f := gateway.Finding{Result: worst.finding.Result, Reason: worst.finding.Reason, Args: worst.finding.Args}
	if f.Result == gateway.Unknown && worst.optional {
		f.Reason, f.Args = gateway.ScannerPartly, nil
	}
	for i := range all {
		s := &all[i]
		f = f.With(s.finding.Measures...)
		for _, e := range s.finding.Evidence {
			if len(all) > 1 && e.Name != gateway.EvidenceScanner && e.Name != gateway.EvidenceRules {
				e.Name = s.name + ": " + e.Name
			}
			f.Evidence = append(f.Evidence, e)
		}
		f.Parts = append(f.Parts, s.finding.Parts...)
	}
	return f
}
