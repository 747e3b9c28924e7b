package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// dial connects to the next hop. Of one that was found in DNS, and of one that DANE is for, the addresses are looked up as its
// other records are, and tried in turn, the two families by turns; none may use up the time of all.
func (h *hop) dial(ctx context.Context) (net.Conn, error) {
	host, port, err := net.SplitHostPort(h.address)
	_, named := netip.ParseAddr(host)
	dane := (h.settings.tls == DANE || h.settings.tls == DANEOnly) && h.pools.resolver != nil && err == nil && named != nil
	if !h.found && !dane {
		return h.pools.dial(ctx, h.network, strings.TrimPrefix(h.address, unixPrefix))
	}
	if err != nil {
		return nil, err
	}
	addresses, err := h.lookUp(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("addresses of %s: %w", host, err)
	}
	for i, a := range addresses {
		one, cancel := context.WithTimeout(ctx, time.Until(deadline(ctx))/time.Duration(len(addresses)-i))
		socket, failed := h.pools.dial(one, "tcp", net.JoinHostPort(a.String(), port))
		cancel()
		if failed == nil {
			return socket, nil
		}
		if err = errors.Join(err, failed); ended(ctx) != nil {
			break
		}
	}
	return nil, err
}

// deadline of a context that has one.
func deadline(ctx context.Context) time.Time {
	until, _ := ctx.Deadline()
	return until
}

// lookUp returns the addresses of a host, the families by turns; those of the last time while DNS fails.
func (h *hop) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline(ctx))/2)
	defer cancel()
	found, err := h.pools.resolver.Addresses(ctx, host)
	if err == nil && len(found) == 0 {
		err = errors.New("it has none")
	}
	if err != nil {
		if known := h.addresses.Load(); known != nil {
			return *known, nil
		}
		return nil, err
	}
	var four, six, out []netip.Addr
	for _, a := range found {
		if a.Is6() && !a.Is4In6() {
			six = append(six, a)
		} else {
			four = append(four, a.Unmap())
		}
	}
	for i := range max(len(four), len(six)) {
		out = append(out, four[min(i, len(four)):min(i+1, len(four))]...)
		out = append(out, six[min(i, len(six)):min(i+1, len(six))]...)
	}
	out = out[:min(len(out), maxDialled)]
	h.addresses.Store(&out)
	return out, nil
}
