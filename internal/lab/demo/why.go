package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// story is the part of gatepost trace --json that the table shows.
type story struct {
	Why    string `json:"why"`
	Record struct {
		TLS      string `json:"tls"`
		Findings []struct {
			Check string `json:"c"`
			Is    string `json:"is"`
			Why   string `json:"why"`
		} `json:"findings"`
	} `json:"record"`
	Relayed struct {
		TLS string `json:"tls"`
	} `json:"relayed"`
	Verdict struct {
		decision
		Rcpts  []decision `json:"rcpts"`
		Priced []priced   `json:"priced"`
	} `json:"verdict"`
}

// priced is a measure that cost points.
type priced struct {
	Check   string  `json:"check"`
	Measure string  `json:"measure"`
	Points  float64 `json:"points"`
}

// decision is what decided, for the message or for one recipient.
type decision struct {
	Check  string `json:"check"`
	Reason string `json:"reason"`
	Line   string `json:"line"`
}

// storyTime is how long the log may take to be written: it never holds mail up.
const storyTime = 10 * time.Second

// why asks Gatepost for the story of a reply's reference, and says what decided.
// Checks that had nothing to look at are put into skipped.
func (w *world) why(ctx context.Context, told string, skipped map[string]bool) (string, error) {
	reference := referenceIn(told)
	if reference == "" {
		return "", fmt.Errorf("no reference in %q", told)
	}
	s, err := w.trace(ctx, reference)
	if err != nil {
		return "", err
	}
	for _, f := range s.Record.Findings {
		if f.Is == "not run" && f.Why == "no_input" {
			skipped[f.Check] = true
		}
	}
	d := s.Verdict.decision
	if d.Check == "" && len(s.Verdict.Rcpts) > 0 {
		d = s.Verdict.Rcpts[0]
	}
	if d.Check == "" || d.Line == "" {
		if s.Record.TLS != "" && s.Relayed.TLS != "" {
			return s.Why + " Came by " + s.Record.TLS + ", went on by " + s.Relayed.TLS + ".", nil
		}
		return s.Why + sum(s.Verdict.Priced), nil
	}
	return fmt.Sprintf("%s: %s; %s", d.Check, d.Reason, d.Line), nil
}

// sum says what points come from; nothing of a single one, which the sum tells.
func sum(all []priced) string {
	if len(all) < 2 {
		return ""
	}
	var parts []string
	for _, p := range all {
		parts = append(parts, fmt.Sprintf("%s %s %.1f", p.Check, p.Measure, p.Points))
	}
	return " " + strings.Join(parts, ", ") + "."
}

// referenceIn finds the reference in a reply.
func referenceIn(told string) string {
	return regexp.MustCompile(`\b[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{4}\b`).FindString(told)
}

// trace reads the story as soon as it is written.
func (w *world) trace(ctx context.Context, reference string) (s story, err error) {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	for {
		out, complaint, code, err := w.gatepost.Command(ctx, "trace", reference, "--json")
		if err != nil {
			return s, err
		}
		if code == 0 {
			if err := json.Unmarshal([]byte(out), &s); err != nil {
				return s, fmt.Errorf("gatepost trace %s: %w", reference, err)
			}
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("gatepost trace %s: exit code %d: %s", reference, code, complaint)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
