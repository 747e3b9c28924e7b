package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The networks of clients in a network of our own. Nothing in it reaches anybody, and its clients have addresses that DNS
// lists can be asked about, which loopback's are not.
func clientNetworks() []netip.Prefix { return []netip.Prefix{onAll(), onLast(), onAllNew()} }

// apart prepares the network and the mounts of this process, which it has for itself: addresses for clients, and a
// resolv.conf that asks port 53 of loopback, since that is whom Postfix asks.
func apart(dir string) error {
	conf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"), 0o644); err != nil {
		return fmt.Errorf("apart: %w", err)
	}
	theirs, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return fmt.Errorf("apart: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("apart: mounts: %w", err)
	}
	if err := unix.Mount(conf, theirs, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("apart: resolv.conf: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("apart: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("apart: %w", err)
	}
	lo.SetUint16(unix.IFF_UP)
	err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
	for i, network := range clientNetworks() {
		err = errors.Join(err, address(fd, fmt.Sprintf("lo:%d", i), network))
	}
	if err != nil {
		return fmt.Errorf("apart: loopback: %w", err)
	}
	return nil
}

// address makes all addresses of a network local: those of a network on loopback are.
func address(fd int, name string, network netip.Prefix) error {
	mask := ^uint32(0) << (32 - network.Bits())
	for _, set := range []struct {
		what uint
		addr netip.Addr
	}{
		{unix.SIOCSIFADDR, network.Masked().Addr().Next()},
		{unix.SIOCSIFNETMASK, netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)})},
	} {
		request, err := unix.NewIfreq(name)
		if err == nil {
			err = request.SetInet4Addr(set.addr.AsSlice())
		}
		if err == nil {
			err = unix.IoctlIfreq(fd, set.what, request)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", network, err)
		}
	}
	return nil
}
