// Package cli is what the commands of gatepost share: what they write to, their options, how they ask the running daemon,
// how they tell what went wrong, and with which code they exit.
//
// It knows no noun: what a command means stands with its noun, in cmd/gatepost/NOUN. It never ends the process. No RFC
// applies.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gatepost/internal/config"
	"gatepost/internal/control"
)

// Exit codes of every command.
const (
	Done        = 0
	Found       = 1 // something was found, or failed
	Usage       = 2
	Unreachable = 3 // the daemon does not run
	NotAllowed  = 4
)

// Env is what a command works with: data goes to Out, talk and progress to Err.
type Env struct {
	Out, Err io.Writer
	Sections func() config.Sections // the tables of policy.toml that the checks describe; nil: none
	Remote   *control.Client        // who is asked in place of the daemon of this machine; nil: that one
	In       io.Reader              // in place of the standard input; nil: that
	Apart    bool                   // whoever asks is not at this machine: its files and documents are none of his
}

// Open opens a file that whoever asks named; - is the standard input.
func (e Env) Open(name string) (io.ReadCloser, error) {
	switch {
	case name == "-" && e.In != nil:
		return io.NopCloser(e.In), nil
	case name == "-" && !e.Apart:
		return io.NopCloser(os.Stdin), nil
	case e.Apart:
		return nil, errors.New("files of the gateway cannot be named from here: write - and send yours as standard input")
	}
	return os.Open(name)
}

// Read reads a file that whoever asks named, as Open opens it: one octet more than it may have at most, so that whoever takes it sees that it
// has too many.
func (e Env) Read(name string, most int64) ([]byte, error) {
	f, err := e.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

// sections are those of the checks.
func (e Env) sections() config.Sections {
	if e.Sections == nil {
		return config.Sections{}
	}
	return e.Sections()
}

// Load reads both documents. nil: they cannot be used, and why was told.
func (e Env) Load(path string) *config.Config {
	if e.Apart {
		fmt.Fprintln(e.Err, "the documents of the gateway cannot be read from here")
		return nil
	}
	c, problems := config.Load(path, e.sections())
	if c == nil {
		Tell(e, problems)
	}
	return c
}

// Terminal reports whether the output goes to one.
func (e Env) Terminal() bool {
	f, ok := e.Out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Command is one subcommand: its words, its arguments and options, one line of what it does, and how it runs.
type Command struct {
	Words string
	Args  string
	Doc   string
	Run   func(ctx context.Context, e Env, args []string) int
	Note  string // what its usage says below: what the letters of Args stand for; "" for nothing
	Asks  bool   // it asks operations and nothing of this machine, so that it can ask another's; true for those named as one
}

// Group is what belongs together in the help.
type Group struct {
	Title    string
	Commands []Command
}

// Usage shows the options of the command.
func (c *Command) Usage(w io.Writer) {
	fmt.Fprintf(w, "%s\n\n%s.\n", strings.TrimSpace("gatepost "+c.Words+" "+c.Args), c.Doc)
	if c.Note != "" {
		fmt.Fprintln(w, c.Note+".")
	}
}

// Tell prints problems of a document, one a line, on Err.
func Tell(e Env, problems config.Problems) {
	for _, p := range problems {
		fmt.Fprintln(e.Err, p)
	}
}

// JSONLines writes what a command lists with --json: one object a line. It returns the exit code.
func JSONLines[T any](e Env, list []T) int {
	enc := json.NewEncoder(e.Out)
	for i := range list {
		if enc.Encode(&list[i]) != nil {
			return Found
		}
	}
	return Done
}

// JSON writes one object. It returns the exit code.
func JSON(e Env, x any) int {
	if json.NewEncoder(e.Out).Encode(x) != nil {
		return Found
	}
	return Done
}
