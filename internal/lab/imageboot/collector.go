package main

import (
	"bytes"
	"net"
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

// lacks is the first of some texts that has not come yet; "" for none.
func (c *collector) lacks(texts ...string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range texts {
		if !bytes.Contains(c.text.Bytes(), []byte(t)) {
			return t
		}
	}
	return ""
}

func (c *collector) close() { c.l.Close() }
