package dns

import "context"

// Manner is how lookups under a context are done.
type Manner struct {
	// Secret keeps the names out of logs: they hold what others must not see, as the key of a list.
	Secret bool
	// Lasting lets a lookup go on to its own deadline when its caller gives up: who asks again finds the answer.
	Lasting bool
	// Anew asks although the answer is remembered, for what may have changed since. Servers may remember.
	Anew bool
}

type mannerKey struct{}

// With returns a context whose lookups are done so.
func With(ctx context.Context, m Manner) context.Context {
	return context.WithValue(ctx, mannerKey{}, m)
}

func mannerOf(ctx context.Context) Manner {
	m, _ := ctx.Value(mannerKey{}).(Manner)
	return m
}

// logged is a name as a log may have it.
func logged(ctx context.Context, name string) string {
	if mannerOf(ctx).Secret {
		return "(secret)"
	}
	return name
}
