package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/internal/cli"
	"gatepost/internal/config"
)

// check runs the path of start and reload without opening or changing anything: it reads both documents, and builds all
// that they name.
func check(ctx context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "check")
	live := f.Bool("live", false, "")
	if _, ok := f.Read(e, args, 0); !ok {
		return cli.Usage
	}
	c, problems := config.Load(f.Config, sections())
	show := cli.Tell
	if f.JSON {
		show = tellJSON
	}
	show(e, problems)
	if c == nil {
		return cli.Found
	}
	p, ok := construct(ctx, c, f.Config, func(problems config.Problems) { show(e, problems) })
	if !ok {
		return cli.Found
	}
	if *live && !askAll(ctx, e, c, p) {
		return cli.Found
	}
	if !f.JSON {
		fmt.Fprintf(e.Err, "%s can be used: policy %s, %d domains, %d routes, mode %s\n", f.Config, c.PolicyVersion,
			len(c.Policy.Domains), len(c.Policy.Routes), c.Policy.Mode)
	}
	return cli.Done
}

// construct builds all that documents name, as a start does, and opens nothing of it. What is wrong is shown; ok says that they can be used.
func construct(ctx context.Context, c *config.Config, path string, show func(config.Problems)) (p *parts, ok bool) {
	show(spoolPlace(c))
	ignored := beside(c, path)
	if show(ignored); ignored.Refused() {
		return nil, false
	}
	p, err := newParts(c.Bootstrap, slog.New(slog.DiscardHandler))
	if err == nil {
		var b *built
		if b, err = assemble(c, p); err == nil {
			err = b.readFiles(ctx)
		}
		show(append(routeWarnings(c), alarmWarnings(c)...))
		show(hostingWarnings(c))
		if err == nil {
			show(policyWarnings(c, b.snapshot.Policy))
		}
		show(engineWarnings(c))
		show(portalWarnings(c))
	}
	if err == nil {
		var warnings config.Problems
		warnings, err = checkCertificates(c, time.Now())
		show(warnings)
	}
	if err == nil {
		_, err = dataOptions(c.Bootstrap, slog.New(slog.DiscardHandler))
	}
	if err == nil {
		_, err = newIssuing(c.Bootstrap, p.resolver, slog.New(slog.DiscardHandler))
	}
	if err == nil {
		_, err = makeLogins(c.Bootstrap, nil, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		show(placed(c, path, err))
		return p, false
	}
	return p, true
}

// placed are the problems that an error is.
func placed(c *config.Config, path string, err error) config.Problems {
	if several, ok := errors.AsType[config.Problems](err); ok {
		return several
	}
	if at, ok := errors.AsType[*documentError](err); ok {
		return config.Problems{at.problem}
	}
	return unplaced(c, path, err)
}

// beside tells that policy.toml does not count since a version was published, and what is wrong with it.
func beside(c *config.Config, path string) (out config.Problems) {
	file := config.PolicyBeside(path)
	if !c.Version || file == nil || string(file) == string(c.PolicyText) {
		return nil
	}
	_, out = config.DecodePolicy(config.PolicyFile, file, sections())
	return append(config.Problems{{File: config.PolicyFile, Warning: true, Message: "is ignored, since a version was published (" + c.PolicyPath + "), which is what is checked here",
		Instead: "publish it, if it shall count: gatepost policy apply policy.toml"}}, out...)
}

// unplaced makes problems of an error of several lines that knows no place. Of what it says of a check, or of a table of gatepost.toml, the document is known.
func unplaced(c *config.Config, path string, err error) (out config.Problems) {
	for text := range strings.Lines(err.Error()) {
		p := config.Problem{File: path, Message: strings.TrimSpace(text)}
		key, rest, ok := strings.Cut(p.Message, ": ")
		table, _, _ := strings.Cut(key, ".")
		switch {
		case ok && table == "checks":
			p.File, p.Key, p.Message = c.PolicyPath, key, rest
		case ok && c.BootstrapPath != "" && slices.Contains(inBootstrap(), table):
			p.File, p.Key, p.Message = c.BootstrapPath, key, rest
			p.Line, p.Column = lineOf(c.BootstrapAt[key])
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				p.Instead = "write the path of a file that the user of the daemon can read"
			}
		}
		out = append(out, p)
	}
	return out
}

// lineOf is where in its document a key stands, of config.Where; zero where nothing is known.
func lineOf(where string) (line, column int) {
	if line, err := strconv.Atoi(where[strings.LastIndexByte(where, ':')+1:]); err == nil {
		return line, 1
	}
	return 0, 0
}

func tellJSON(e cli.Env, problems config.Problems) {
	enc := json.NewEncoder(e.Out)
	for _, p := range problems {
		_ = enc.Encode(map[string]any{"file": p.File, "line": p.Line, "column": p.Column, "key": p.Key, "message": p.Message,
			"instead": p.Instead, "warning": p.Warning})
	}
}

// liveTime bounds each question of --live.
const liveTime = 20 * time.Second

// answer is what one server said.
type answer struct {
	What, Server string
	Err          error
	Said         string
	Warn         bool // it answered, and what it said is not well
	Took         time.Duration
}

// askAll asks every server that the documents name, all at the same time, and reports whether all answered.
func askAll(ctx context.Context, e cli.Env, c *config.Config, p *parts) bool {
	b, err := assemble(c, p)
	if err != nil {
		fmt.Fprintln(e.Err, err)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, liveTime)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { p.resolver.MX(ctx, "example.com") })
	for _, l := range p.loops() {
		wg.Go(func() { l.run(ctx) })
	}
	wg.Go(func() { b.relay.Learn(ctx) })
	unpacker := unpackLive(ctx, p.unpack)
	waitFor(ctx, func() bool { return settled(b, p) })
	askNotices(ctx, b)
	answers := slices.Concat(gather(b, p), unpacker, recipientsLive(ctx, c, b), reportsLive(ctx, c, b, p), askSealingKey(ctx, c, p), listsLive(ctx, b, p), acmeLive(ctx, c, p), loginLive(ctx, c.Bootstrap), learnersLive(ctx, c, p))
	cancel()
	wg.Wait()
	good := true
	for _, a := range answers {
		good = good && a.Err == nil
		printAnswer(e.Out, a)
	}
	return good
}

// waitFor looks again and again until what is waited for is there or the time is over.
func waitFor(ctx context.Context, there func() bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func printAnswer(w io.Writer, a answer) {
	if a.Err != nil {
		fmt.Fprintf(w, "FAIL %-13s %-28s %v\n", a.What, a.Server, a.Err)
		return
	}
	word := "ok  "
	if a.Warn {
		word = "warn"
	}
	fmt.Fprintf(w, "%s %-13s %-28s %s\n", word, a.What, a.Server, a.Said)
}
