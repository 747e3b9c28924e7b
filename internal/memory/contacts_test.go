package memory

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestContacts: a contact is met from the first that was delivered on, over a restart too, until a year without one; when the
// memory began stays known, whatever is forgotten.
func TestContacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keeper := &fakeKeeper{}
		k := NewKnown(KnownOptions{Contacts: 64 * 32})
		k.Keep(keeper)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { k.Run(ctx); close(done) }()
		if !k.Since().IsZero() {
			t.Error("it began before it learned anything")
		}
		began := time.Now().Truncate(time.Second)
		one, two := [16]byte{1}, [16]byte{2}
		k.LearnContacts([][16]byte{one})
		if !k.Met(one) || k.Met(two) || !k.Since().Equal(began) {
			t.Errorf("met %v and %v, since %v", k.Met(one), k.Met(two), k.Since())
		}
		for i := range 20000 { // a flood of others
			k.LearnContacts([][16]byte{{byte(i), byte(i >> 8), byte(i >> 16), 1}})
		}
		if n := k.contacts.len(); n > 64*32 {
			t.Errorf("%d contacts are remembered", n)
		}
		stop()
		<-done
		restart := func(most int) *Known {
			k := NewKnown(KnownOptions{Contacts: most})
			k.Keep(keeper)
			k.Load(context.Background())
			return k
		}
		if k = restart(64 * 32); !k.Since().Equal(began) { // whom a flood pushed out is chance
			t.Errorf("after a flood and a restart: since %v; want %v", k.Since(), began)
		}
		k = restart(1 << 20) // with room for all
		ctx, stop = context.WithCancel(context.Background())
		done = make(chan struct{})
		go func() { k.Run(ctx); close(done) }()
		k.LearnContacts([][16]byte{two})
		stop()
		<-done
		if k = restart(1 << 20); !k.Met(two) || !k.Since().Equal(began) {
			t.Errorf("after a restart: %v, since %v; want %v", k.Met(two), k.Since(), began)
		}
		now := time.Now().Unix()
		for c, ended := range map[contact]bool{{First: now, Last: now - 364*day}: false, {First: now, Last: now - 366*day}: true, {First: now, Last: now - 4000*day, Start: true}: false} {
			if c.ended(now) != ended {
				t.Errorf("%+v ended: %v", c, !ended)
			}
		}
	})
}
