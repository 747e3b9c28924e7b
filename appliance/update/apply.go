package update

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"gatepost/appliance/bundle"
	"gatepost/internal/durable"
)

// spare is what a file system must have left beside what is written to it, in octets.
const spare = 1 << 20

// Apply takes an update: it verifies the bundle, keeps it on the data partition until it is whole, and writes it then. With an error of
// what was sent nothing was changed. With any error the running version is booted next; from when old entries are removed on, which
// tell is called with "writes" before, there is no older one to return to until an update was applied. tell may be nil; it is called with receives, writes
// and verifies.
//
// It returns the manifest where it was verified, also with an error.
func (m *Machine) Apply(from io.Reader, tell func(step string)) (*bundle.Manifest, error) {
	if tell == nil {
		tell = func(string) {}
	}
	lock, err := m.os().Lock(filepath.Join(m.Work, "lock"))
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := m.mayUpdate(); err != nil {
		return nil, err
	}
	r, err := bundle.Open(from, m.Keys)
	if err != nil {
		return nil, err
	}
	if err := m.fits(r.Manifest); err != nil {
		return r.Manifest, err
	}
	tell("receives")
	if err := m.receive(r); err != nil {
		return r.Manifest, errors.Join(err, m.clean())
	}
	// What was kept of an earlier try of the same version is not what this one will be configured by. Snapshot flushes that it is gone.
	if err := durable.Remove(m.os(), filepath.Join(m.slots(r.Manifest.Version), "snapshot.json")); err != nil {
		return r.Manifest, errors.Join(err, m.clean())
	}
	if err := m.Snapshot(); err != nil {
		return r.Manifest, errors.Join(fmt.Errorf("the configuration cannot be kept: %w", err), m.clean())
	}
	tell("writes")
	if err := m.write(r.Manifest, tell); err != nil {
		return r.Manifest, errors.Join(fmt.Errorf("version %s runs on: %w", m.Running, err), m.clean())
	}
	return r.Manifest, m.clean()
}

// mayUpdate says why nothing may be updated now.
func (m *Machine) mayUpdate() error {
	if len(m.Keys) == 0 {
		return errors.New("this image carries no key that updates could be signed by")
	}
	s, err := m.Status()
	if err != nil {
		return err
	}
	if s.Trial {
		return fmt.Errorf("version %s is on trial: wait until its health check found it good, or roll it back", m.Running)
	}
	return nil
}

// fits says why a bundle cannot be applied here. Nothing was written when it is asked.
func (m *Machine) fits(b *bundle.Manifest) error {
	switch c := b.Version.Compare(m.Running); {
	case c == 0:
		return fmt.Errorf("version %s runs already", m.Running)
	case c < 0:
		return fmt.Errorf("version %s is older than %s, which runs: the boot loader takes the newest; go back by a rollback", b.Version, m.Running)
	case m.Running.Compare(b.From) < 0:
		return fmt.Errorf("version %s updates %s and later, and %s runs: update to %s first", b.Version, b.From, m.Running, b.From)
	}
	size, err := m.os().Size(m.other().Device)
	if err != nil {
		return err
	}
	if root := b.Part(bundle.Root); root.Size > size {
		return fmt.Errorf("the root image has %d octets, and slot %s has %d: install it as a new image, from a backup", root.Size, m.other().Name, size)
	}
	room, err := m.roomOnESP()
	if err != nil {
		return err
	}
	if uki := b.Part(bundle.UKI); uki.Size+spare > room {
		return fmt.Errorf("the kernel has %d octets, and the EFI system partition would have %d for it", uki.Size, room)
	}
	if room, err = m.os().Room(m.Work); err != nil {
		return err
	}
	if room += m.kept(); b.Size()+spare > room {
		return fmt.Errorf("the update has %d octets, and the data partition has %d left", b.Size(), room)
	}
	return nil
}

// roomOnESP is what it has once all but the running version is gone.
func (m *Machine) roomOnESP() (int64, error) {
	room, err := m.os().Room(m.ESP)
	if err != nil {
		return 0, err
	}
	names, err := m.stale()
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		n, err := m.os().Size(name)
		if err != nil {
			return 0, err
		}
		room += n
	}
	return room, nil
}

// stale are the files of the ESP that an update removes: entries but that of the running version, what was not finished, and what
// fsck.fat salvaged of such.
func (m *Machine) stale() (out []string, err error) {
	names, err := m.os().List(m.ESP)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if upper := strings.ToUpper(name); strings.HasPrefix(upper, "FSCK") && strings.HasSuffix(upper, ".REC") {
			out = append(out, filepath.Join(m.ESP, name))
		}
	}
	names, err = m.os().List(m.linux())
	for _, name := range names {
		e, ok := ParseEntry(name)
		if ok && e.Version != m.Running || strings.HasPrefix(name, "gatepost_") && strings.HasSuffix(name, durable.Half) {
			out = append(out, filepath.Join(m.linux(), name))
		}
	}
	return out, err
}

func (m *Machine) other() Slot {
	if m.Slots[0].Name == m.Slot {
		return m.Slots[1]
	}
	return m.Slots[0]
}

func (m *Machine) download(part string) string { return filepath.Join(m.Work, "update-"+part) }

// kept is what an update that was cut off left on the data partition, and the next one replaces.
func (m *Machine) kept() (n int64) {
	for _, part := range [...]string{bundle.Root, bundle.UKI} {
		size, err := m.os().Size(m.download(part))
		if err == nil {
			n += size
		}
	}
	return n
}

// clean removes what was received.
func (m *Machine) clean() (err error) {
	for _, part := range [...]string{bundle.Root, bundle.UKI} {
		err = errors.Join(err, durable.Remove(m.os(), m.download(part)))
	}
	return err
}

// receive keeps the parts on the data partition. They are whole where there is no error.
func (m *Machine) receive(r *bundle.Reader) error {
	for _, part := range r.Manifest.Parts {
		f, err := m.os().Create(m.download(part.Name))
		if err != nil {
			return err
		}
		_, err = r.Next(f)
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	if _, err := r.Next(io.Discard); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// write replaces what does not run. Until the last rename no entry names what is written, and the entry of the running version stays
// as it is.
func (m *Machine) write(b *bundle.Manifest, tell func(string)) error {
	stale, err := m.stale()
	if err != nil {
		return err
	}
	for _, name := range stale {
		if err := m.os().Remove(name); err != nil {
			return err
		}
	}
	if err := m.os().Sync(m.ESP); err != nil {
		return err
	}
	slot := m.other()
	to, err := m.os().Device(slot.Device)
	if err != nil {
		return err
	}
	if err := m.copy(b.Part(bundle.Root), to); err != nil {
		return fmt.Errorf("slot %s: %w", slot.Name, err)
	}
	entry := Entry{Version: b.Version, Counted: true, Left: Tries}
	name := filepath.Join(m.linux(), entry.File())
	// The boot loader reads .efi only.
	if to, err = m.os().Create(name + durable.Half); err != nil {
		return err
	}
	if err := m.copy(b.Part(bundle.UKI), to); err != nil {
		return fmt.Errorf("the kernel: %w", err)
	}
	// Where on a FAT the kernel lies is flushed by this: it must be there before the name is.
	if err := m.os().Sync(m.ESP); err != nil {
		return err
	}
	tell("verifies")
	if err := m.same(b.Part(bundle.Root), slot.Device); err != nil {
		return fmt.Errorf("slot %s: %w", slot.Name, err)
	}
	if err := m.same(b.Part(bundle.UKI), name+durable.Half); err != nil {
		return fmt.Errorf("the kernel: %w", err)
	}
	if err := m.os().Rename(name+durable.Half, name); err != nil {
		return err
	}
	return m.os().Sync(m.ESP)
}

// copy copies a part that was received, and flushes it.
func (m *Machine) copy(p bundle.Part, to durable.File) error {
	from, err := m.os().Open(m.download(p.Name))
	if err != nil {
		return errors.Join(err, to.Close())
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Sync(), to.Close())
}

// same reads what was written back from the disk.
func (m *Machine) same(p bundle.Part, name string) error {
	from, err := m.os().Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	sum := sha256.New()
	if _, err := io.CopyN(sum, from, p.Size); err != nil {
		return fmt.Errorf("what was written cannot be read: %w", err)
	}
	if hex.EncodeToString(sum.Sum(nil)) != p.SHA256 {
		return errors.New("what is read is not what was written: the disk is not to be trusted")
	}
	return nil
}
