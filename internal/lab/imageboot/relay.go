package main

import (
	"errors"
	"io"
	"net"
	"os"
)

// relay joins stdin and stdout, which are one connection of a guest, with a server of this machine. A server that is not there ends it.
func relay(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	down := make(chan error, 1)
	go func() {
		_, err := io.Copy(os.Stdout, c)
		down <- err
		os.Stdout.Close() // qemu tells the guest
		os.Stdin.Close()
	}()
	_, err = io.Copy(c, os.Stdin)
	if t, ok := c.(*net.TCPConn); ok {
		err = errors.Join(err, t.CloseWrite())
	}
	return errors.Join(err, <-down)
}
