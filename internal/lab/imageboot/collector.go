package main

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"sync"
)

// mostCollected is how much of what comes is kept, in octets: a journal of some boots.
const mostCollected = 64 << 20

// collector is a syslog server: it keeps what the machine's journal says to it, over TCP, as it comes.
type collector struct {
	l    net.Listener
	mu   sync.Mutex
	text bytes.Buffer
}

func newCollector() (*collector, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &collector{l: l}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go c.take(from)
		}
	}()
	return c, nil
}

func (c *collector) take(from net.Conn) {
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		c.mu.Lock()
		c.text.Write(b[:min(n, mostCollected-c.text.Len())])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// lacks is an error while nothing has come of one of some programs, each a pattern of its APP-NAME and PROCID (RFC 5424 section 6.2).
func (c *collector) lacks(programs ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range programs {
		if !regexp.MustCompile(`>1 \S+ \S+ ` + p + ` - - `).Match(c.text.Bytes()) {
			return fmt.Errorf("nothing of %q has come", p)
		}
	}
	return nil
}

func (c *collector) close() { c.l.Close() }
