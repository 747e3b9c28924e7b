package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Piece is an item that is to be opened, and its content.
type Piece struct {
	Item
	Content io.Reader // read once
}

// Config is how processes are started and bounded.
type Config struct {
	Program   string   // what is executed; "" for our own program
	Args      []string // behind its name
	Env       []string // all that it gets beside what bounds the runtime of Go
	Limits    Limits
	Time      time.Duration // after which a process tells what it has; a while later it is killed
	Memory    int64         // octets of data that a process may hold
	Processes int           // at most at once; 0: two for each processor
}

// grace is how much longer than Config.Time a process may take: to start, to be sent its job and to tell.
const grace = 5 * time.Second

// Client starts a process for each message that has something to look into. It is safe for use by many.
type Client struct {
	c     Config
	grace time.Duration
	room  chan struct{}
	stats Stats
	last  atomic.Pointer[Hello] // what the last process said of itself
	mu    sync.Mutex
}

// Stats are what became of processes so far.
type Stats struct {
	Started int64
	Running int
	Took    time.Duration         // of all that ended
	Failed  map[FailureKind]int64 // by what was the matter
	Limits  map[Limit]int64       // reports that a limit ended
	// LastFailure is the last failure, cleaned.
	LastFailure string
}

// NewClient makes a client; it starts nothing.
func NewClient(c Config) *Client {
	if c.Processes <= 0 {
		c.Processes = 2 * runtime.NumCPU()
	}
	if c.Program == "" {
		c.Program = "/proc/self/exe"
	}
	return &Client{c: c, grace: grace, room: make(chan struct{}, c.Processes), stats: Stats{Failed: map[FailureKind]int64{}, Limits: map[Limit]int64{}}}
}

// FailureKind is why a process told nothing.
type FailureKind string

// The failures. The first two are ours, and tell nothing of the message; of the others it may be the cause.
const (
	Busy       FailureKind = "busy"    // no process was free in time
	NotStarted FailureKind = "start"   // it could not be started, or not be confined
	Crashed    FailureKind = "crashed" // it ended with an error, or was killed
	Hung       FailureKind = "hung"    // it had to be killed, after its time
	Garbage    FailureKind = "garbage" // what it said makes no sense, or is too much
	NotRead    FailureKind = "read"    // the message could not be read
)

// FailureKinds are all of them.
func FailureKinds() []FailureKind {
	return []FailureKind{Busy, NotStarted, Crashed, Hung, Garbage, NotRead}
}

// Failure is why nothing is known of a message.
type Failure struct {
	Kind FailureKind
	Err  error
	Said string // the end of what the process wrote to stderr, cleaned
}

func (f *Failure) Error() string {
	text := "unpack: " + string(f.Kind) + ": " + f.Err.Error()
	if f.Said != "" {
		text += ": " + f.Said
	}
	return text
}

// Unwrap returns what was the matter.
func (f *Failure) Unwrap() error { return f.Err }

// Ours reports whether the failure tells nothing of the message: the next try may go well.
func (f *Failure) Ours() bool { return f.Kind == Busy || f.Kind == NotStarted || f.Kind == NotRead }

// Unpack has pieces looked into by a process of their own. An error is always a *Failure: nothing is known then.
func (c *Client) Unpack(ctx context.Context, pieces []Piece) (Report, error) {
	return c.unpack(ctx, pieces, nil)
}

func (c *Client) unpack(ctx context.Context, pieces []Piece, look func(contents [][]byte)) (Report, error) {
	select {
	case c.room <- struct{}{}:
	default:
		select {
		case c.room <- struct{}{}:
		case <-ctx.Done():
			return Report{}, c.count(0, &Failure{Kind: Busy, Err: ctx.Err()}, "")
		}
	}
	defer func() { <-c.room }()
	began := time.Now()
	limits := c.c.Limits
	if look == nil {
		limits.Show = 0
	}
	r, contents, err := c.run(ctx, pieces, limits)
	failed := c.count(time.Since(began), err, r.Limit)
	if len(contents) > 0 && failed == nil {
		look(contents)
	}
	return r, failed
}

// count keeps the numbers. It returns nil where all went well, as an error that is nil.
func (c *Client) count(took time.Duration, f *Failure, l Limit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Took += took
	if f == nil || f.Kind != Busy {
		c.stats.Started++
	}
	if l != "" {
		c.stats.Limits[l]++
	}
	if f == nil {
		return nil
	}
	c.stats.Failed[f.Kind]++
	c.stats.LastFailure = Clean(f.Error())
	return f
}

// Stats returns a copy of the numbers.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Running = len(c.room)
	s.Failed, s.Limits = make(map[FailureKind]int64, len(c.stats.Failed)), make(map[Limit]int64, len(c.stats.Limits))
	for k, n := range c.stats.Failed {
		s.Failed[k] = n
	}
	for k, n := range c.stats.Limits {
		s.Limits[k] = n
	}
	return s
}

// Hello is what the last process said of its confinement; ok is false before there was one.
func (c *Client) Hello() (h Hello, ok bool) {
	if p := c.last.Load(); p != nil {
		return *p, true
	}
	return h, false
}

// run starts a process, gives it the job and reads what it says.
func (c *Client) run(ctx context.Context, pieces []Piece, limits Limits) (Report, [][]byte, *Failure) {
	ctx, cancel := context.WithTimeout(ctx, c.c.Time+c.grace)
	defer cancel()
	cmd := c.command(ctx)
	var said beginning
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		return Report{}, nil, &Failure{Kind: NotStarted, Err: err}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Report{}, nil, &Failure{Kind: NotStarted, Err: err}
	}
	if err := cmd.Start(); err != nil {
		return Report{}, nil, &Failure{Kind: NotStarted, Err: err}
	}
	t := talk{c: c, sent: make(chan error, 1)}
	go func() {
		t.sent <- send(in, Job{Limits: limits, Time: c.c.Time}, pieces)
		in.Close()
	}()
	r, contents, err := t.hear(out, limits.Show)
	over := ctx.Err()
	if err != nil {
		cancel() // what speaks like that is not waited for
	}
	ended := cmd.Wait()
	if over == nil && err == nil {
		over = ctx.Err()
	}
	cancel()
	sent := <-t.sent // it reads the message, which goes away when this has returned
	f := t.failure(over, err, ended, sent)
	if f != nil {
		f.Said = said.String()
		return Report{}, nil, f
	}
	return r, contents, nil
}

// command is the process, which has nothing of ours but three pipes.
func (c *Client) command(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.c.Program)
	cmd.Args = append([]string{"gatepost"}, c.c.Args...)
	// One processor, and no garbage collection before most of the memory is used: most jobs are done before.
	cmd.Env = append([]string{"GOMAXPROCS=1", "GOGC=off", fmt.Sprintf("GOMEMLIMIT=%d", c.c.Memory*3/4), "GOTRACEBACK=single"}, c.c.Env...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = time.Second
	return cmd
}

// talk is what is said with one process.
type talk struct {
	c     *Client
	hello bool
	sent  chan error
}

// hear reads what the process says.
func (t *talk) hear(out io.Reader, show int64) (r Report, contents [][]byte, err error) {
	var h Hello
	if err := readJSON(out, maxHeader, &h); err != nil {
		return r, nil, err
	}
	t.hello = true
	t.c.last.Store(&h)
	if err := readJSON(out, maxReport, &r); err != nil {
		return r, nil, noEOF(err)
	}
	for i := range r.Objects { // what others rely on
		if o := &r.Objects[i]; o.Parent >= i || o.Parent < -1 {
			return Report{}, nil, fmt.Errorf("%w: an object before what holds it", errFrame)
		}
	}
	if contents, err = readShown(out, &r, show); err != nil {
		return Report{}, nil, err
	}
	var one [1]byte
	if n, _ := io.ReadFull(out, one[:]); n > 0 {
		return Report{}, nil, fmt.Errorf("%w: more behind the report", errFrame)
	}
	return r, contents, nil
}

// failure tells what was the matter: nil for nothing.
func (t *talk) failure(over, heard, ended, sent error) *Failure {
	var read *readError
	switch {
	case errors.As(sent, &read):
		return &Failure{Kind: NotRead, Err: read.err}
	case heard == nil && ended == nil:
		return nil // that it did not want to read all of the job is its report's matter
	case errors.Is(heard, errFrame):
		return &Failure{Kind: Garbage, Err: heard}
	case errors.Is(over, context.DeadlineExceeded):
		return &Failure{Kind: Hung, Err: over}
	case over != nil: // nobody waits for the answer any more
		return &Failure{Kind: Busy, Err: over}
	case !t.hello:
		return &Failure{Kind: NotStarted, Err: errors.Join(ended, heard)}
	}
	return &Failure{Kind: Crashed, Err: errors.Join(ended, heard)}
}

// readError is an error of a piece, not of the process.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// send writes a job.
func send(w io.Writer, j Job, pieces []Piece) error {
	if err := writeJSON(w, j); err != nil {
		return err
	}
	room := make([]byte, 4+32<<10)
	for i := range pieces {
		if err := writeJSON(w, pieces[i].Item); err != nil {
			return err
		}
		for {
			n, err := pieces[i].Content.Read(room)
			if n > 0 {
				if err := writeFrame(w, room[:n]); err != nil {
					return err
				}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return &readError{err}
			}
		}
		if err := writeFrame(w, nil); err != nil {
			return err
		}
	}
	return writeFrame(w, nil)
}

// beginning keeps the beginning of what is written: a crash begins with its cause.
type beginning struct{ b strings.Builder }

func (t *beginning) Write(p []byte) (int, error) {
	if room := 4096 - t.b.Len(); room > 0 {
		t.b.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

func (t *beginning) String() string {
	line, _, _ := strings.Cut(strings.TrimSpace(t.b.String()), "\n")
	return Clean(line)
}
