package dns

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
)

// answer makes the caller's own Answer out of a shared result.
func answer[T any](f found, pick func(*Record) T) Answer[T] {
	a := Answer[T]{
		Status: f.status, Kind: f.kind, Name: f.name, Cut: f.cut, AD: f.ad, TTL: f.ttl,
		Server: f.server, Duration: f.took, Cached: f.cached, Detail: f.detail,
		Chain: slices.Clone(f.chain),
	}
	if len(f.records) > 0 {
		a.Records = make([]T, len(f.records))
		for i := range f.records {
			a.Records[i] = pick(&f.records[i])
		}
	}
	return a
}

// Query looks up records of any type that a zone can hold, for those that have
// no method of their own, as SRV and TLSA. A type that stands for several
// (ANY, AXFR and their like) is Failed: an answer to it proves nothing.
func (r *Resolver) Query(ctx context.Context, name string, typ Type) Answer[Record] {
	if typ.meta() {
		return noSuchType(name)
	}
	return answer(r.resolve(ctx, name, typ), (*Record).own)
}

// Ask is Query without what this resolver remembers, for what people have just changed: Manner.Anew.
func (r *Resolver) Ask(ctx context.Context, name string, typ Type) Answer[Record] {
	m := mannerOf(ctx)
	m.Anew = true
	return r.Query(With(ctx, m), name, typ)
}

// meta reports whether a type stands for several, or for none (RFC 6895 section 3.1).
func (t Type) meta() bool {
	const opt, firstMeta, lastMeta = 41, 128, 255
	return t == 0 || t == opt || firstMeta <= t && t <= lastMeta
}

func noSuchType(name string) Answer[Record] {
	return Answer[Record]{Kind: Refused, Name: printable(name, maxName), Detail: "type cannot be looked up"}
}

// A looks up the IPv4 addresses of a name.
func (r *Resolver) A(ctx context.Context, name string) Answer[netip.Addr] {
	return answer(r.resolve(ctx, name, TypeA), func(rec *Record) netip.Addr { return rec.Addr })
}

// KnownA is A where the answer is remembered; false where somebody would have to be asked.
func (r *Resolver) KnownA(name string) (Answer[netip.Addr], bool) {
	f, ok := r.remembered(name, TypeA)
	if !ok {
		return Answer[netip.Addr]{}, false
	}
	return answer(f, func(rec *Record) netip.Addr { return rec.Addr }), true
}

// KnownReverse is ConfirmedReverse where all answers are remembered; false where somebody would have to be asked.
func (r *Resolver) KnownReverse(addr netip.Addr) (Reverse, bool) {
	m := r.Remembered()
	out := ConfirmedReverse(context.Background(), m, addr)
	return out, !m.Missed()
}

// Memory answers from a resolver's cache alone, and notes that something was not there.
type Memory struct {
	r      *Resolver
	missed atomic.Bool
}

// Remembered returns what answers from the cache, and asks nobody.
func (r *Resolver) Remembered() *Memory { return &Memory{r: r} }

// Missed reports whether somebody would have had to be asked, so that an answer was Failed which need not be.
func (m *Memory) Missed() bool { return m.missed.Load() }

// remember answers one question.
func remember[T any](m *Memory, name string, typ Type, pick func(*Record) T) Answer[T] {
	f, ok := m.r.remembered(name, typ)
	if !ok {
		m.missed.Store(true)
		return Answer[T]{}
	}
	return answer(f, pick)
}

// A is that of the Resolver; likewise the others.
func (m *Memory) A(_ context.Context, name string) Answer[netip.Addr] {
	return remember(m, name, TypeA, (*Record).addr)
}

// AAAA is that of the Resolver.
func (m *Memory) AAAA(_ context.Context, name string) Answer[netip.Addr] {
	return remember(m, name, TypeAAAA, (*Record).addr)
}

// PTR is that of the Resolver.
func (m *Memory) PTR(_ context.Context, addr netip.Addr) Answer[string] {
	return remember(m, ReverseName(addr), TypePTR, func(rec *Record) string { return rec.Host })
}

// TXT is that of the Resolver.
func (m *Memory) TXT(_ context.Context, name string) Answer[string] {
	return remember(m, name, TypeTXT, func(rec *Record) string { return rec.Text })
}

// MX is that of the Resolver.
func (m *Memory) MX(_ context.Context, name string) Answer[MX] {
	return inOrder(remember(m, name, TypeMX, (*Record).mx))
}

// Query is that of the Resolver.
func (m *Memory) Query(_ context.Context, name string, typ Type) Answer[Record] {
	return remember(m, name, typ, (*Record).own)
}

func (rec *Record) addr() netip.Addr { return rec.Addr }

func (rec *Record) mx() MX { return MX{Host: rec.Host, Pref: rec.Pref} }

// own is a copy that shares nothing.
func (rec *Record) own() Record {
	own := *rec
	own.Data = slices.Clone(rec.Data)
	return own
}

// AAAA looks up the IPv6 addresses of a name.
func (r *Resolver) AAAA(ctx context.Context, name string) Answer[netip.Addr] {
	return answer(r.resolve(ctx, name, TypeAAAA), func(rec *Record) netip.Addr { return rec.Addr })
}

// TXT looks up the texts of a name, each with its strings joined, raw octets.
func (r *Resolver) TXT(ctx context.Context, name string) Answer[string] {
	return answer(r.resolve(ctx, name, TypeTXT), func(rec *Record) string { return rec.Text })
}

// MX looks up the mail exchangers of a domain, most preferred first, those of
// equal preference by name. NullMX says whether they are a refusal.
func (r *Resolver) MX(ctx context.Context, name string) Answer[MX] {
	return inOrder(answer(r.resolve(ctx, name, TypeMX), (*Record).mx))
}

// inOrder sorts mail exchangers.
func inOrder(a Answer[MX]) Answer[MX] {
	slices.SortFunc(a.Records, func(x, y MX) int {
		return cmp.Or(cmp.Compare(x.Pref, y.Pref), cmp.Compare(x.Host, y.Host))
	})
	return a
}

// NullMX reports whether the MX records of a domain say that it takes no mail
// (RFC 7505 section 3): a single one whose host is the root. The preference is
// not looked at; it should be 0, and where it is not the intent is the same.
func NullMX(records []MX) bool { return len(records) == 1 && records[0].Host == "." }

// PTR looks up the names of an address. They are whatever the holder of the
// address wrote; see ConfirmedReverse.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) Answer[string] {
	return answer(r.resolve(ctx, ReverseName(addr), TypePTR), func(rec *Record) string { return rec.Host })
}

// AddrLookup is the part of a Resolver that Addrs needs.
type AddrLookup interface {
	A(ctx context.Context, name string) Answer[netip.Addr]
	AAAA(ctx context.Context, name string) Answer[netip.Addr]
}

// Addrs looks up the IPv4 and IPv6 addresses of a name at the same time.
// Found: at least one family has addresses, Cut if the other could not be
// looked up. None: neither has. Otherwise Bogus or Failed, as the family that
// could not be looked up.
func Addrs(ctx context.Context, r AddrLookup, name string) Answer[netip.Addr] {
	six := make(chan Answer[netip.Addr], 1)
	go func() { six <- r.AAAA(ctx, name) }()
	return mergeAddrs(r.A(ctx, name), <-six)
}

// Addrs is the function Addrs over this resolver.
func (r *Resolver) Addrs(ctx context.Context, name string) Answer[netip.Addr] {
	return Addrs(ctx, r, name)
}

func mergeAddrs(four, six Answer[netip.Addr]) Answer[netip.Addr] {
	// The one that decides is the first of: found, bogus, failed, none.
	rank := func(s Status) int { return slices.Index([]Status{Found, Bogus, Failed, None}, s) }
	out, other := four, six
	if rank(six.Status) < rank(four.Status) {
		out, other = six, four
	}
	if out.Status == Found && other.Status != Found && other.Status != None {
		out.Cut = true
		out.Detail = "one address family: " + other.Kind.String()
	}
	if out.Status == Found && other.Status == Found {
		out.Records = append(out.Records, other.Records...)
		out.Cut = out.Cut || other.Cut
	}
	if out.Status == None && other.Kind == NXDomain {
		out.Kind = NXDomain
	}
	out.AD = four.AD && six.AD
	out.TTL = min(four.TTL, six.TTL)
	out.Duration = max(four.Duration, six.Duration)
	out.Cached = four.Cached && six.Cached
	return out
}
