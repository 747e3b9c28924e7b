package quarantine

import (
	"context"
	"fmt"
	"time"

	"gatepost/gateway"
	"gatepost/internal/durable"
)

// roomTime is how long what the file system said of its room is believed.
const roomTime = time.Second

// evictAtOnce is how many messages go at once when the vault is full.
const evictAtOnce = 100

// makeRoom makes sure that a message of that many octets finds room: where policy allows the vault no more, the oldest of the
// mildest class goes; where the disk has no room, nothing can be taken.
func (v *Vault) makeRoom(ctx context.Context, size int64) error {
	if v.stuck.Load() > 0 {
		return fmt.Errorf("a flush does not end: %w", ErrNoRoom)
	}
	if err := v.diskRoom(size); err != nil {
		return err
	}
	t := v.tuned()
	most := orElse(t.MaxSize, 10<<30)
	if size > most {
		return ErrNoRoom
	}
	if v.octets.Load()+size > most {
		v.evict(ctx, most-size)
	}
	if v.octets.Load()+size > most {
		return ErrNoRoom
	}
	return nil
}

// diskRoom is why the file system has no room.
func (v *Vault) diskRoom(size int64) error {
	v.roomMu.Lock()
	defer v.roomMu.Unlock()
	if now := time.Now(); v.roomAt.IsZero() || now.Sub(v.roomAt) >= roomTime || now.Before(v.roomAt) {
		r, err := durable.RoomOf(v.opts.Dir)
		if err != nil {
			return err
		}
		v.room, v.roomAt = r, now
	}
	if v.room.Octets-size < orElse(v.opts.Reserve, 1<<30) || v.room.Inodes >= 0 && v.room.Inodes < orElse(v.opts.ReserveInodes, 10_000) {
		return ErrNoRoom
	}
	return nil
}

// evict erases the oldest messages of the mildest classes until no more than most octets are left.
func (v *Vault) evict(ctx context.Context, most int64) {
	for _, c := range Classes() {
		for v.octets.Load() > most {
			rows, err := v.opts.Index.Oldest(ctx, c, time.Now().Add(time.Hour), evictAtOnce)
			if err != nil {
				v.log.Error("quarantine: index", "error", err)
				return
			}
			gone := 0
			for i := range rows {
				if v.octets.Load() <= most {
					return
				}
				if v.end(rows[i].ID, Evicted, "the vault is full") == nil {
					gone++
				}
			}
			if gone == 0 {
				break
			}
		}
	}
}

// end erases a message whose time is over.
func (v *Vault) end(id gateway.ID, what What, why string) error {
	free, err := v.lease(id)
	if err != nil {
		return err
	}
	defer free()
	c := &Change{What: what, ID: id, Said: why}
	if m, err := v.message(context.Background(), id, false); err == nil {
		c.From, c.Class, c.Rcpts = m.From.Text, m.Class, addresses(m.row())
		m.Close()
	}
	if c.Octets, err = v.erase(id); err != nil {
		v.log.Error("quarantine: a message that should go stays", "id", id.String(), "error", err)
		return err
	}
	v.tell(c)
	return nil
}
