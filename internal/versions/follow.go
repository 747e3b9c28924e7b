package versions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatepost/internal/config"
)

// How often a Keeper looks at the store untold, and how often at what became of mail and at the time.
const (
	lookEvery  = 15 * time.Second
	guardEvery = time.Second
)

// storeTime bounds one look at the store.
const storeTime = 20 * time.Second

// Run follows what other nodes publish, and undoes what nobody confirms, until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	look, tick := time.NewTicker(lookEvery), time.NewTicker(guardEvery)
	defer look.Stop()
	defer tick.Stop()
	told := k.o.Store.Watch(ctx)
	k.look(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			k.look(ctx)
		case <-look.C:
			k.look(ctx)
		case <-tick.C:
			k.mind(ctx)
		}
	}
}

// look follows the store.
func (k *Keeper) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	k.busy.Lock()
	defer k.busy.Unlock()
	err := k.follow(ctx) // Health tells what concerns us; that the store is away others tell
	if _, wrong := errors.AsType[*Refused](err); err == nil || wrong {
		k.mu.Lock()
		k.looked = true
		k.mu.Unlock()
	}
}

// follow puts in force what the store says. busy is held. The error is of the store, or of a version that cannot be used here.
func (k *Keeper) follow(ctx context.Context) error {
	store := k.o.Store
	head, err := store.Head(ctx)
	if err != nil || head.Number == 0 {
		return err // an empty store has nothing to say: what is in force stays
	}
	if !head.Confirm.IsZero() && head.Back > 0 && !time.Now().Before(head.Confirm) {
		return k.undo(ctx, store, head, unconfirmed)
	}
	k.mu.Lock()
	now, lapsed := k.now, k.lapsed
	k.mu.Unlock()
	if head.Number == now.Number && head.Epoch == now.Epoch {
		if lapsed != "" {
			return k.undo(ctx, store, head, lapsed)
		}
		if k.Health() == nil {
			return nil
		}
	}
	v, err := store.Version(ctx, head.Number)
	if err != nil {
		return err
	}
	before := ""
	if head.Back > 0 {
		back, err := store.Version(ctx, head.Back)
		if err != nil {
			return err
		}
		before = string(back.Text)
	}
	same := v.Number == now.Number && string(v.Text) == now.Text && lapsed == ""
	if !same {
		prepared, _, err := k.o.Target.Prepare(ctx, v.Number, v.Text)
		if err != nil {
			err = fmt.Errorf("version %d, which %s published, cannot be used in this node, and what was in force stays: %w", v.Number, v.Author, &Refused{err})
			k.fail(err)
			return err
		}
		prepared.Install(context.WithoutCancel(ctx))
	}
	k.keep(copyOf(v, head, before), !same)
	if !same {
		k.o.Tell(Event{Version: *v})
	}
	return nil
}

// undo publishes again what was in force before. busy is held.
func (k *Keeper) undo(ctx context.Context, store Store, head Head, why string) error {
	back, err := store.Version(ctx, head.Back)
	if err != nil {
		return err
	}
	bad, err := store.Version(ctx, head.Number)
	if err != nil {
		return err
	}
	_, err = k.publish(ctx, store, head, bad, Proposal{Text: back.Text, Author: "gatepost", Comment: fmt.Sprintf("version %d was undone: %s", head.Number, why),
		Kind: Undo, Of: head.Back, Undid: head.Number})
	if errors.Is(err, ErrMoved) {
		return k.follow(ctx) // another node was faster, or somebody confirmed
	}
	if _, wrong := errors.AsType[*Refused](err); wrong {
		k.fail(fmt.Errorf("version %d was to be undone (%s), and version %d cannot be used any more: %w", head.Number, why, head.Back, err))
	}
	return err
}

// mind looks whether what is in force has to go.
func (k *Keeper) mind(ctx context.Context) {
	k.mu.Lock()
	now, lapsed, begun := k.now, k.lapsed, k.begun
	k.mu.Unlock()
	if now.Number == 0 || now.Back == 0 || lapsed != "" {
		return
	}
	why := ""
	if !now.Confirm.IsZero() && !time.Now().Before(now.Confirm) {
		why = unconfirmed
	} else if k.o.Meter != nil && !begun.IsZero() {
		why = k.o.Meter.fell(k.o.Target.Guard(), begun, time.Now())
	}
	if why == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	k.busy.Lock()
	defer k.busy.Unlock()
	err := k.leave(ctx, now, why)
	if _, wrong := errors.AsType[*Refused](err); err == nil || wrong {
		return
	}
	k.o.Log.Warn("policy versions: a version is undone in this node only, since the store cannot be told", "version", now.Number, "why", why, "error", err)
	if err := k.lapse(ctx, now, why); err != nil {
		k.fail(fmt.Errorf("version %d was to be undone (%s), and could not be: %w", now.Number, why, err))
	}
}

// leave undoes by the store what is in force, if it still is. busy is held.
func (k *Keeper) leave(ctx context.Context, now config.Published, why string) error {
	store := k.o.Store
	head, err := store.Head(ctx)
	if err != nil {
		return err
	}
	if head.Number != now.Number || head.Back == 0 {
		return k.follow(ctx)
	}
	return k.undo(ctx, store, head, why)
}

// lapse undoes in this node alone, since the store cannot be told. It is told later, and may know better: then somebody has
// confirmed at another node, and the version comes again. busy is held.
func (k *Keeper) lapse(ctx context.Context, now config.Published, why string) error {
	if k.Now().Epoch != now.Epoch {
		return nil // it was confirmed, or left, since it was looked at
	}
	text := []byte(now.Before)
	prepared, _, err := k.o.Target.Prepare(ctx, now.Back, text)
	if err != nil {
		return err
	}
	prepared.Install(context.WithoutCancel(ctx))
	k.mu.Lock()
	k.lapsed = why
	k.mu.Unlock()
	k.o.Tell(Event{Version: Version{Number: now.Back, Time: time.Now().UTC(), Author: "gatepost", Kind: Undo, Of: now.Back, Undid: now.Number, Digest: config.Version(text), Text: text},
		Here: true, Why: why, Lapsed: true})
	return nil
}
