package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Postgres is a private PostgreSQL, on a unix socket only.
type Postgres struct {
	*Process // of its last start

	dir, bin string
	who      owner
}

// postgresConf are its settings: a test's data survive a kill and need no more.
const postgresConf = `listen_addresses = ''
unix_socket_directories = '%[1]s'
fsync = off
full_page_writes = off
max_connections = 100
shared_buffers = 16MB
max_wal_size = 256MB
autovacuum = off
log_min_messages = warning
`

// StartPostgres starts a PostgreSQL with its state in dir and waits until it answers. The path of dir may have at most 80
// bytes.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	bin, err := postgresBin(ctx)
	if err != nil {
		return nil, err
	}
	who, err := ownerNamed("postgres", "nobody") // it refuses to be root
	if err != nil {
		return nil, err
	}
	if len(dir) > 80 {
		return nil, fmt.Errorf("postgres: folder %s: too long for a unix socket", dir)
	}
	p := &Postgres{dir: dir, bin: bin, who: who}
	if err := who.makeDirs(dir); err != nil {
		return nil, err
	}
	if err := p.tool(ctx, "initdb", "-D", filepath.Join(dir, "data"), "-U", "gatepost", "-A", "trust", "-N", "-E", "UTF8", "--no-locale", "--no-instructions"); err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "data", "postgresql.conf")
	if err := os.WriteFile(conf, []byte(fmt.Sprintf(postgresConf, dir)), 0o644); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return p, p.Restart(ctx)
}

// tool runs one of PostgreSQL's programs to its end, as the server's user.
func (p *Postgres) tool(ctx context.Context, name string, args ...string) error {
	r, err := start(command{name: name, path: filepath.Join(p.bin, name), args: args, dir: p.dir, owner: p.who, log: filepath.Join(p.dir, name+".log")})
	if err != nil {
		return err
	}
	select {
	case <-r.Done():
	case <-ctx.Done():
	case <-time.After(startTimeout):
	}
	ended := r.ExitCode()
	if err := r.Stop(); err != nil || ended != 0 {
		return errors.Join(fmt.Errorf("%s: exit %d\n%s", name, ended, r.Log()), err)
	}
	return nil
}

// Restart starts it again after Stop or Kill, with what it had.
func (p *Postgres) Restart(ctx context.Context) error {
	if p.Process != nil && p.Running() {
		return errors.New("postgres: it runs already")
	}
	if err := os.Remove(filepath.Join(p.dir, "data", "postmaster.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("postgres: %w", err) // of one that was killed
	}
	r, err := start(command{name: "postgres", path: filepath.Join(p.bin, "postgres"), args: []string{"-D", filepath.Join(p.dir, "data")}, dir: p.dir,
		owner: p.who, log: filepath.Join(p.dir, "postgres.log")})
	if err != nil {
		return err
	}
	p.Process = r
	return r.awaitReady(ctx, func() bool {
		c := exec.CommandContext(ctx, filepath.Join(p.bin, "pg_isready"), "-q", "-h", p.dir, "-U", "gatepost", "-d", "postgres")
		return c.Run() == nil
	})
}

// Pause stops the server and all its processes, which are in groups of their own.
func (p *Postgres) Pause() error {
	if err := p.Process.Pause(); err != nil {
		return err
	}
	return p.toChildren(syscall.SIGSTOP)
}

// Resume ends a Pause.
func (p *Postgres) Resume() error {
	return errors.Join(p.Process.Resume(), p.toChildren(syscall.SIGCONT))
}

// Kill ends all of it at once, as a crash would.
func (p *Postgres) Kill() error {
	if err := p.Pause(); err != nil { // so that it makes no other
		return err
	}
	return errors.Join(p.toChildren(syscall.SIGKILL), p.Process.Kill())
}

// toChildren sends a signal to each process of the server.
func (p *Postgres) toChildren(sig syscall.Signal) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", p.PID()))
	if err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("postgres: %w", err)
		}
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("postgres: signal %v: %w", sig, err)
		}
	}
	return nil
}

// Stop ends it without waiting for its clients (SIGINT, "fast shutdown").
func (p *Postgres) Stop() error {
	if p.Running() {
		_ = p.Resume()
		_ = p.Signal(syscall.SIGINT)
		select {
		case <-p.Done():
		case <-time.After(p.grace):
		}
	}
	return p.Process.Stop()
}

// Database makes an empty database and returns its URL.
func (p *Postgres) Database(ctx context.Context, name string) (string, error) {
	if err := p.tool(ctx, "createdb", "-h", p.dir, "-U", "gatepost", "-T", "template0", name); err != nil {
		return "", err
	}
	return p.URL(name), nil
}

// URL is that of one of its databases.
func (p *Postgres) URL(database string) string {
	return "postgres://gatepost@/" + database + "?host=" + p.dir
}

// postgresBin is the folder of PostgreSQL's programs, which Debian keeps out of PATH. Where there are several versions
// it is the newest.
func postgresBin(ctx context.Context) (string, error) {
	var dirs []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.Sort(debian)
	slices.Reverse(debian)
	dirs = append(dirs, debian...)
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	for _, dir := range dirs {
		if !slices.ContainsFunc([]string{"initdb", "postgres", "pg_isready", "createdb"}, func(name string) bool {
			_, err := os.Stat(filepath.Join(dir, name))
			return err != nil
		}) {
			return dir, nil
		}
	}
	return "", errors.New("program postgres: not found; install Debian's package postgresql (scripts/install does)")
}
