package labtest

import (
	"net"
	"sync"
	"testing"

	"gatepost/internal/lab"
)

// Rspamd starts an rspamd for the test.
func Rspamd(tb testing.TB, o lab.RspamdOptions) *lab.Rspamd {
	tb.Helper()
	r, err := lab.StartRspamd(Context(tb), Dir(tb), o)
	started(tb, r, err)
	return r
}

// Server starts a server on loopback that gives each connection to serve and closes it then, and returns its host:port. At
// the end of the test the connections are closed, and serve must return.
func Server(tb testing.TB, serve func(net.Conn)) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	open, over := map[net.Conn]bool{}, false
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			if over {
				c.Close()
			}
			mu.Unlock()
			all.Go(func() {
				defer func() {
					c.Close()
					mu.Lock()
					delete(open, c)
					mu.Unlock()
				}()
				serve(c)
			})
		}
	})
	tb.Cleanup(func() {
		l.Close()
		mu.Lock()
		over = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// ICAP starts a c-icap for the test.
func ICAP(tb testing.TB, o lab.ICAPOptions) *lab.ICAP {
	tb.Helper()
	c, err := lab.StartICAP(Context(tb), Dir(tb), o)
	started(tb, c, err)
	return c
}
