package config

import "sync/atomic"

// Snapshot is a value with the version it was made from. Neither changes.
type Snapshot[T any] struct {
	Value   *T
	Version string
}

// Holder gives every reader the newest snapshot, without a lock. Who took one keeps it as long as he likes: a session
// ends under the policy it began with. The zero Holder holds the zero Snapshot.
type Holder[T any] struct {
	current atomic.Pointer[Snapshot[T]]
}

// Get is the newest snapshot.
func (h *Holder[T]) Get() Snapshot[T] {
	if s := h.current.Load(); s != nil {
		return *s
	}
	return Snapshot[T]{}
}

// Swap makes s the newest snapshot and returns the one before. The value must not be changed afterwards.
func (h *Holder[T]) Swap(s Snapshot[T]) Snapshot[T] {
	if old := h.current.Swap(&s); old != nil {
		return *old
	}
	return Snapshot[T]{}
}
