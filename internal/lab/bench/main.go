// Command bench measures how fast Gatepost passes mail on: messages a second,
// latency, CPU time a message and memory, beside the same load sent straight to
// the next hop, which is a sink. It also fails when a message is refused, lost,
// doubled or changed on its way.
//
// Client, gateway and sink share this machine, so only figures of one run can be
// compared. It listens on loopback only. scripts/bench starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"gatepost/internal/lab"
	"gatepost/internal/lab/bench/sink"
	"gatepost/internal/lab/dnslab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var p plan
	err := p.parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil && p.role != role{}:
		signal.Ignore(os.Interrupt) // it ends with its input
		err = p.role.serve(os.Stdin, os.Stdout)
	case err == nil && p.from != "":
		err = p.again(os.Stdout)
	case err == nil:
		err = run(ctx, p, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// serve is what a child process of a run does.
func (r role) serve(in io.Reader, out io.Writer) error {
	switch {
	case r.sink:
		return sink.Serve(in, out)
	case r.sinkAt != "":
		return sink.ServeAt(r.sinkAt, in, out)
	case r.hold:
		return serveHold(in, out)
	case r.names:
		return serveNames(in, out)
	case r.lists:
		return serveLists(in, out)
	}
	return servePipe(r.pipe, in, out)
}

// run starts all parts, measures, and ends them.
func run(ctx context.Context, p plan, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, p.limit, fmt.Errorf("not done within %v", p.limit))
	defer cancel()
	b := &bench{plan: p}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.sink, err = sink.StartChild(exec.Command(b.self, "-sink")); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.sink.Close()) }()
	names, err := dnslab.Start(zones())
	if err != nil {
		return err
	}
	defer names.Close()
	b.dns = names.Addr()
	if b.dir, err = lab.NewRoomyDir(room); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.leave(b.dir)) }()
	if b.programs = p.binaries; len(b.programs) == 0 {
		path, err := lab.Build(ctx)
		if err != nil {
			return err
		}
		b.programs = binaries{{"gatepost", path}}
	}
	return b.measure(ctx, out)
}

// room is what the bodies of 200 messages of 10 MB take on disk, and the logs.
const room = 6 << 30

// measure measures every section, and writes what it shows. A section that failed
// does not keep the others from being measured; its error is told, and is an error
// of the run.
func (b *bench) measure(ctx context.Context, out io.Writer) error {
	b.report = report{Machine: thisMachine(), Rounds: b.plan.rounds, Length: b.plan.length.String()}
	for _, program := range b.programs {
		b.report.Programs = append(b.report.Programs, program.name)
	}
	if b.plan.json == "-" {
		out = io.Discard
	}
	sections := map[string]func(context.Context, io.Writer) error{
		gridSection: b.grid, logSection: b.logCost, pacedSection: b.paced, idleSection: b.idle, tlsSection: b.handshakes, stormSection: b.storm, listsSection: b.lists,
		memorySection: b.memory, bootSection: b.boot, spoolSection: b.spool,
	}
	var failed error
	for _, name := range allSections() {
		section := sections[name]
		if !slices.Contains(b.plan.sections, name) || section == nil {
			continue
		}
		if err := section(ctx, out); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
			b.report.Failed = append(b.report.Failed, fmt.Sprintf("%s: %v", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	b.report.Machine.Ended = time.Now().UTC().Truncate(time.Second)
	if b.plan.full {
		if _, err := fmt.Fprintf(out, "\n%s", goalTable(b.report.goals(b.report.Programs[len(b.programs)-1]))); err != nil {
			return err
		}
	}
	if b.plan.write {
		failed = errors.Join(failed, b.report.writeDocument(b.plan.folder))
	}
	if b.plan.json != "" {
		failed = errors.Join(failed, b.report.write(b.plan.json))
	}
	return failed
}

// again shows the figures of an earlier run.
func (p plan) again(out io.Writer) error {
	r, err := readReport(p.from)
	if err != nil {
		return err
	}
	if n := len(r.Programs); n > 0 {
		if _, err := io.WriteString(out, goalTable(r.goals(r.Programs[n-1]))); err != nil {
			return err
		}
	}
	if !p.write {
		return nil
	}
	return r.writeDocument(p.folder)
}

// leave removes the daemons' folder, unless it is to be kept.
func (p plan) leave(dir string) error {
	if p.keep {
		_, err := fmt.Fprintln(os.Stderr, "bench: kept", dir)
		return err
	}
	return os.RemoveAll(dir)
}
