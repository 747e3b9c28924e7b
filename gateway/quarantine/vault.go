package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// Options are what a Vault needs. Dir, Keys and Index must be set; what releases, NextHop, Way and IDs as well.
type Options struct {
	Dir   string
	Keys  *Keys
	Index Index
	Log   *slog.Logger // faults of ours; nil for none
	// Reserve are octets that stay free in the file system, 0 is 1 GiB; ReserveInodes files that can still be made, 0 is 10,000.
	Reserve, ReserveInodes int64
	Tuning

	// Done says of each recipient of a message whether the ledger remembers that it has it; nil: nothing is remembered.
	Done func(message string, keys []string) []bool
	// Claim is the ledger for releases; nil for none.
	Ledger  gateway.Ledger
	NextHop func() gateway.NextHop
	// Way is where mail of an address goes now: the addresses that the next hop is told, of one route. An error says in words
	// why it goes nowhere.
	Way func(to gateway.Address) (final []gateway.Address, route string, err error)
	// Spool takes what its route cannot take now; nil for none. Spools says of which routes.
	Spool  gateway.Spool
	Spools func(route string) bool
	// Scan looks a message through for malware before it goes out. It returns the name of what it found; nil: nobody looks.
	Scan func(ctx context.Context, m io.Reader, size int64) (found string, err error)
	// Teacher has engines learn from what people do with messages; nil for none. Learn teaches.
	Teacher  Teacher
	IDs      *gateway.IDs
	Hostname string
	// Told hears of every change, from several goroutines, and must not wait; nil for nobody.
	Told func(*Change)

	disk durable.Disk      // nil is the file system
	step func(name string) // is called before each step, by tests that die there
}

// Tuning is what may change while the vault is in use. The zero value are the defaults.
type Tuning struct {
	Keep    time.Duration           // 0 is 30 days
	KeepOf  map[Class]time.Duration // of classes that differ; malware is 7 days
	MaxSize int64                   // octets of all files; 0 is 10 GiB
}

// keep is how long messages of a class are kept.
func (t *Tuning) keep(c Class) time.Duration {
	if d := t.KeepOf[c]; d > 0 {
		return d
	}
	if c == Malware && t.Keep <= 0 {
		return 7 * 24 * time.Hour
	}
	return orElse(t.Keep, 30*24*time.Hour)
}

func orElse[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// What keeps the vault from doing what it was asked for.
var (
	// ErrLatched says that the disk failed to flush what it had taken: nothing more is promised on it until a person has
	// looked (Unlatch).
	ErrLatched = errors.New("quarantine: shut since its disk failed")
	// ErrNoRoom says that the disk, or what policy allows of it, is full.
	ErrNoRoom = errors.New("quarantine: no room")
	// ErrNone says that there is no such message.
	ErrNone = errors.New("not in quarantine")
	// ErrBusy says that somebody else is at work on the message.
	ErrBusy = errors.New("somebody else is at work on that message")
)

// Vault is the quarantine. One process owns its folder. It is safe for concurrent use.
type Vault struct {
	opts    Options
	disk    durable.Disk
	log     *slog.Logger
	writers sync.Pool
	counts  counts
	octets  atomic.Int64 // of all files
	files   atomic.Int64
	stuck   atomic.Int32 // flushes whose callers did not wait for them
	lessons lessons
	noting  sync.Mutex // held while the state of a message is written by nobody's order

	roomMu sync.Mutex
	room   durable.Vacancy
	roomAt time.Time

	folderMu sync.Mutex
	made     map[string]bool // folders whose names are flushed

	mu      sync.Mutex
	tuning  Tuning
	pending map[gateway.ID]*entry
	leases  map[gateway.ID]bool
	unknown []gateway.ID // files that the index does not know as they are
	latched error
	damaged map[gateway.ID]string
}

var _ gateway.Vault = (*Vault)(nil)

// Open opens the vault in a folder, makes it where it is not there, and finds what lies in it. When the disk cannot flush,
// it is open for what lies in it and shut for more. What the index does not know it is told by Run.
func Open(o Options) (*Vault, error) {
	if o.Dir == "" || o.Keys == nil || o.Index == nil {
		return nil, errors.New("quarantine: no folder, no keys or no index")
	}
	v := &Vault{opts: o, disk: o.disk, log: o.Log, tuning: o.Tuning, made: make(map[string]bool), pending: make(map[gateway.ID]*entry),
		leases: make(map[gateway.ID]bool), damaged: make(map[gateway.ID]string), lessons: lessons{bell: make(chan struct{}, 1)}}
	if v.disk == nil {
		v.disk = durable.Real{}
	}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	if err := v.disk.Mkdir(o.Dir); err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	if err := v.load(context.Background()); err != nil {
		return nil, fmt.Errorf("quarantine: %w", err)
	}
	if err := v.probe(); err != nil {
		v.latch("probe", err)
	}
	return v, nil
}

// Tune changes what may change.
func (v *Vault) Tune(t Tuning) {
	v.mu.Lock()
	v.tuning = t
	v.mu.Unlock()
}

func (v *Vault) tuned() Tuning {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.tuning
}

// Keep is how long messages of a class are kept now.
func (v *Vault) Keep(c Class) time.Duration {
	t := v.tuned()
	return t.keep(c)
}

// at names a step, for tests that die there.
func (v *Vault) at(step string) {
	if v.opts.step != nil {
		v.opts.step(step)
	}
}

// latch shuts the vault for new messages.
func (v *Vault) latch(step string, err error) {
	v.mu.Lock()
	first := v.latched == nil
	if first {
		v.latched = fmt.Errorf("%s: %w", step, err)
	}
	v.mu.Unlock()
	if first {
		v.log.Error("quarantine: shut for new messages", "step", step, "error", err)
		v.tell(&Change{What: Latched, Said: gateway.CleanText(step+": "+err.Error(), 300)})
	}
}

// shut is why the vault takes nothing.
func (v *Vault) shut() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.latched != nil {
		return fmt.Errorf("%w: %w", ErrLatched, v.latched)
	}
	return nil
}

// Unlatch opens the vault again, once a file could be written, flushed and renamed on its disk.
func (v *Vault) Unlatch() error {
	if err := v.probe(); err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	v.mu.Lock()
	was := v.latched != nil
	v.latched = nil
	v.mu.Unlock()
	if was {
		v.tell(&Change{What: Unlatched})
	}
	return nil
}

// probe takes the way of a message with a file of nothing.
func (v *Vault) probe() error {
	name := filepath.Join(v.opts.Dir, "probe")
	if err := durable.Remove(v.disk, name); err != nil {
		return err
	}
	f, err := v.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(magic))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = v.disk.Rename(name, name+"d")
	}
	if err == nil {
		err = v.disk.SyncDir(v.opts.Dir)
	}
	if err == nil {
		err = v.disk.Remove(name + "d")
	}
	return err
}

// failed judges an error of the disk.
func (v *Vault) failed(step string, err error) error {
	if durable.NoRoom(err) {
		return fmt.Errorf("%s: %w: %w", step, ErrNoRoom, err)
	}
	v.latch(step, err)
	return fmt.Errorf("%s: %w", step, err)
}

// The names of a message's files behind its id.
const (
	ext        = ".gpq"
	extPending = ".gpq.pending"
	extTmp     = ".gpq.tmp"
	extState   = ".state"
	extHalf    = ".tmp" // behind extState, while it is written
)

// folder is where a message lies: by the day of its id, which is that of its arrival.
func (v *Vault) folder(id gateway.ID) string {
	return filepath.Join(v.opts.Dir, id.Time().UTC().Format("2006/01/02"))
}

func (v *Vault) name(id gateway.ID, ext string) string {
	return filepath.Join(v.folder(id), id.String()+ext)
}

// File is where a message lies, for whoever looks with other tools.
func (v *Vault) File(id gateway.ID) string { return v.name(id, ext) }

// makeFolder makes the folder of a day, and flushes the names of those that it made, before a message is promised in it.
func (v *Vault) makeFolder(dir string) error {
	v.folderMu.Lock()
	defer v.folderMu.Unlock()
	if v.made[dir] {
		return nil
	}
	month := filepath.Dir(dir)
	for _, d := range [...]string{filepath.Dir(month), month, dir} {
		if err := v.disk.Mkdir(d); err != nil {
			return err
		}
		if err := v.disk.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	v.made[dir] = true
	return nil
}

// writer lends what writes files.
func (v *Vault) writer() (*writer, error) {
	if w, ok := v.writers.Get().(*writer); ok {
		return w, nil
	}
	return newWriter()
}
