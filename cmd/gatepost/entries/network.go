package entries

import (
	"errors"
	"net/netip"
)

// Network reads a network, or an address, which is a network of one, in the form in which findings name it.
func Network(text string) (string, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()).String(), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return "", errors.New("is no address and no network")
	}
	return p.Masked().String(), nil
}
