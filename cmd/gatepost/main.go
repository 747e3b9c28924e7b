// Command gatepost is an inbound mail gateway: a hardened SMTP proxy in front of an internal mail server. This package
// wires everything and holds nothing: main finds the subcommand, serve.go is the daemon from top to bottom, and each
// other file is one subcommand.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes of every command.
const (
	exitDone        = 0
	exitFound       = 1 // something was found, or failed
	exitUsage       = 2
	exitUnreachable = 3 // the daemon does not run
	exitNotAllowed  = 4
)

// version is set by the build.
var version = "dev"

// env is what a command works with: data goes to out, talk and progress to errOut.
type env struct {
	out, errOut io.Writer
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "unpack" && os.Args[2] == unpackJob { // before anything else: one is started for each message with attachments
		os.Exit(serveUnpack(os.Args[3:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal drains, a second one ends at once
	code := run(ctx, env{os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run finds the longest words of a command that the arguments begin with.
func run(ctx context.Context, e env, args []string) int {
	if len(args) == 0 || args[0] == "--help" || args[0] == "-h" {
		args = []string{"help"}
	}
	if args[0] == "help" && len(args) == 1 {
		help(e.out, "")
		return exitDone
	}
	asked := args[0] == "help" // for one command, or for those of a noun
	if asked {
		args = args[1:]
	}
	for _, c := range commands() {
		words := strings.Fields(c.words)
		if len(args) < len(words) || strings.Join(args[:len(words)], " ") != c.words {
			continue
		}
		rest := args[len(words):]
		if asked || asksForHelp(rest) {
			c.usage(e.out)
			return exitDone
		}
		return c.run(ctx, e, rest)
	}
	if asked || asksForHelp(args) {
		if help(e.out, args[0]) {
			return exitDone
		}
	} else if len(args) == 1 && help(e.errOut, args[0]) {
		return exitUsage
	}
	of := "" // those that begin so
	if help(io.Discard, args[0]) {
		of = " " + args[0]
	}
	fmt.Fprintf(e.errOut, "gatepost: there is no command %q; gatepost help%s lists them\n", strings.Join(args[:min(len(args), 2)], " "), of)
	return exitUsage
}

func printVersion(_ context.Context, e env, _ []string) int {
	fmt.Fprintln(e.out, "gatepost "+version)
	return exitDone
}
