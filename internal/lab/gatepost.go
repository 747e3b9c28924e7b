package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// GatepostOptions say how to start the daemon.
type GatepostOptions struct {
	// Config is the text of gatepost.toml. It must set state_dir to StateDir of
	// the folder, and may give port 0 to every listener.
	Config string
	// Policy is the text of policy.toml; empty: there is none.
	Policy string
	// Binary is the program; empty: Build makes it from these sources.
	Binary string
	// Env is added to its environment, as NAME=VALUE.
	Env []string
	// Stdout gets its journal in place of the log file; the caller keeps it open.
	Stdout *os.File
	// Sockets are passed to it as systemd passes those of a socket unit.
	Sockets []Socket
	// Descriptors is its limit of file descriptors; 0: as ours.
	Descriptors int
}

// Socket is a listening socket that outlives the daemon, as one of systemd does.
type Socket struct {
	Name string // of FileDescriptorName=
	File *os.File
}

// Gatepost is the daemon itself, as a process.
type Gatepost struct {
	*Process
	dir     string
	program string
}

// Addresses are where the daemon listens, by the names of its listeners.
type Addresses struct {
	Listeners map[string]string `json:"listeners"`
	Metrics   string            `json:"metrics"`
	Console   []string          `json:"console"`
	SSH       []string          `json:"ssh"`
	SSHKey    string            `json:"ssh_key"`
}

// StateDir is the state folder of a daemon that is started in dir.
func StateDir(dir string) string { return filepath.Join(dir, "state") }

// ConfigFile is the daemon's gatepost.toml in dir.
func ConfigFile(dir string) string { return filepath.Join(dir, "gatepost.toml") }

// PolicyFile is the daemon's policy.toml in dir.
func PolicyFile(dir string) string { return filepath.Join(dir, "policy.toml") }

// addressesFile is what the daemon writes when all its listeners are bound.
func addressesFile(dir string) string { return filepath.Join(StateDir(dir), "addresses.json") }

// StartGatepost starts the daemon with its documents and its state in dir, and
// waits until it is ready. A configuration that it refuses is an error with its
// own words.
func StartGatepost(ctx context.Context, dir string, o GatepostOptions) (*Gatepost, error) {
	if o.Binary == "" {
		binary, err := Build(ctx)
		if err != nil {
			return nil, err
		}
		o.Binary = binary
	}
	if err := os.MkdirAll(StateDir(dir), 0o700); err != nil {
		return nil, fmt.Errorf("gatepost: %w", err)
	}
	// An old file would tell the addresses of the process before.
	if err := os.Remove(addressesFile(dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("gatepost: %w", err)
	}
	if err := writeDocuments(dir, o.Config, o.Policy); err != nil {
		return nil, err
	}
	c := command{
		name: "gatepost", path: o.Binary, args: []string{"serve", "--config", dir}, dir: dir,
		env: append([]string{raceAtExit}, o.Env...),
		log: filepath.Join(dir, "gatepost.log"), stdout: o.Stdout,
		grace: 70 * time.Second, // it may drain its sessions for 60 s
	}
	o.wrap(&c)
	p, err := start(c)
	if err != nil {
		return nil, err
	}
	g := &Gatepost{Process: p, dir: dir, program: o.Binary}
	return g, p.awaitReady(ctx, func() bool { return g.ready(ctx) })
}

// wrap lets a shell prepare what only the process itself can have, and become the daemon: LISTEN_PID, which is its own id,
// and limits.
func (o *GatepostOptions) wrap(c *command) {
	var prepare []string
	if o.Descriptors > 0 {
		prepare = append(prepare, fmt.Sprintf("ulimit -n %d", o.Descriptors))
	}
	if len(o.Sockets) > 0 {
		var names []string
		for _, s := range o.Sockets {
			names = append(names, s.Name)
			c.files = append(c.files, s.File)
		}
		c.env = append(c.env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		prepare = append(prepare, "export LISTEN_PID=$$")
	}
	if prepare == nil {
		return
	}
	c.args = append([]string{"-c", strings.Join(prepare, " && ") + ` && exec "$0" "$@"`, c.path}, c.args...)
	c.path = "/bin/sh"
}

// writeDocuments writes the two documents; an empty policy is no file.
func writeDocuments(dir, config, policy string) error {
	if err := replaceFile(ConfigFile(dir), config); err != nil {
		return err
	}
	if policy == "" {
		return nil
	}
	return replaceFile(PolicyFile(dir), policy)
}

// replaceFile puts a new text in the place of an old one at once: a daemon that reads it meanwhile gets one of them.
func replaceFile(name, text string) error {
	if err := os.WriteFile(name+".new", []byte(text), 0o644); err != nil {
		return fmt.Errorf("gatepost: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("gatepost: %w", err)
	}
	return nil
}

// Addresses reads where the daemon listens.
func (g *Gatepost) Addresses() (Addresses, error) {
	var a Addresses
	b, err := os.ReadFile(addressesFile(g.dir))
	if err != nil {
		return a, fmt.Errorf("gatepost: addresses: %w", err)
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return a, fmt.Errorf("gatepost: addresses: %w", err)
	}
	return a, nil
}

// Addr is the address of the named listener, and empty when there is none.
func (g *Gatepost) Addr(listener string) string {
	a, err := g.Addresses()
	if err != nil {
		return ""
	}
	return a.Listeners[listener]
}

// ready asks the daemon itself, where it has a metrics listener; without one it
// is ready when its listeners are bound.
func (g *Gatepost) ready(ctx context.Context) bool {
	a, err := g.Addresses()
	if err != nil {
		return false
	}
	if a.Metrics == "" {
		return true
	}
	status, _, err := g.Get(ctx, "/readyz")
	return err == nil && status == http.StatusOK
}

// maxPage bounds what Get reads.
const maxPage = 16 << 20

// Get reads a page of the metrics listener: /metrics, /healthz, /readyz.
func (g *Gatepost) Get(ctx context.Context, path string) (status int, body string, err error) {
	a, err := g.Addresses()
	if err != nil {
		return 0, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Metrics+path, nil)
	if err != nil {
		return 0, "", fmt.Errorf("gatepost: %w", err)
	}
	// A transport of its own: no idle connection outlives the call.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return 0, "", fmt.Errorf("gatepost: %w", err)
	}
	defer answer.Body.Close()
	var b strings.Builder
	if _, err := copyLimited(&b, answer.Body, maxPage); err != nil {
		return 0, "", fmt.Errorf("gatepost: %s: %w", path, err)
	}
	return answer.StatusCode, b.String(), nil
}

// Reload writes the documents anew (an empty text leaves one as it is) and sends
// SIGHUP. The daemon reads them in its own time: wait for what shall change.
func (g *Gatepost) Reload(config, policy string) error {
	if config != "" {
		if err := replaceFile(ConfigFile(g.dir), config); err != nil {
			return err
		}
	}
	if policy != "" {
		if err := replaceFile(PolicyFile(g.dir), policy); err != nil {
			return err
		}
	}
	return g.Signal(syscall.SIGHUP)
}

// Stop ends the daemon with SIGTERM. Besides what Process.Stop says, an exit code
// that is not 0 and a data race that the daemon noticed are errors.
func (g *Gatepost) Stop() error {
	if err := g.Process.Stop(); err != nil {
		return err
	}
	if code := g.ExitCode(); code != 0 {
		return fmt.Errorf("gatepost: exit code %d", code)
	}
	text, err := os.ReadFile(filepath.Join(g.dir, "gatepost.log"))
	if err != nil {
		return fmt.Errorf("gatepost: %w", err)
	}
	if strings.Contains(string(text), "WARNING: DATA RACE") {
		return errors.New("gatepost: a data race, see its log")
	}
	return nil
}

// Program is the path of the program.
func (g *Gatepost) Program() string { return g.program }

// Command runs another command of the program, such as "check" or "trace", with
// this daemon's configuration, and returns stdout, stderr and the exit code.
// An error means that it could not be run.
func (g *Gatepost) Command(ctx context.Context, args ...string) (stdout, stderr string, code int, err error) {
	return RunGatepost(ctx, g.program, g.dir, args...)
}

// raceAtExit keeps a program with the race detector from waiting a second at its end, where nothing runs any more.
const raceAtExit = "GORACE=atexit_sleep_ms=0"

// RunGatepost runs a command of the program (from Build) in dir; --config dir is
// added at its end.
func RunGatepost(ctx context.Context, binary, dir string, args ...string) (stdout, stderr string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append(args, "--config", dir)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), raceAtExit)
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		err = nil
	}
	if err != nil {
		return "", "", 0, fmt.Errorf("gatepost %s: %w", strings.Join(args, " "), err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode(), nil
}
