package smtpd

import (
	"errors"
	"os"
	"time"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// firstOctets is how much of what comes before the banner is looked at. It is all the memory that a waiting client costs,
// beside its goroutine.
const firstOctets = 64

// early is how a connection ends before its banner: with a word and a reason to count it by. The zero value goes on.
type early struct {
	why   gateway.Reason
	reply gateway.Reply // zero: there is nobody to hear one
}

// hold keeps the banner back for a client that is not known: who talks first is no mail server.
func (c *session) hold() early {
	if c.Trusted {
		return early{}
	}
	wait := c.Snapshot.Gate.Wait
	if c.srv.Stressed() {
		wait = min(wait, c.Snapshot.Gate.StressWait)
	}
	if len(c.early) == 0 {
		if wait <= 0 || c.Conduct.Known {
			return early{}
		}
		if end := c.listen(wait); end.why != "" || len(c.early) == 0 {
			return end
		}
	}
	c.Conduct.EarlyAfter = time.Since(c.Started)
	c.Conduct.Early = gateway.CleanText(string(c.early[:min(len(c.early), firstOctets)]), firstOctets)
	if c.Conduct.Early == "" {
		c.Conduct.Early = "white space"
	}
	switch smtpwire.Sniff(c.early) {
	case smtpwire.AlienTLS:
		return early{gateway.EarlyTLS, gateway.SayNoTLSHello.Reply()}
	case smtpwire.AlienHTTP:
		return early{gateway.EarlyAlien, gateway.SayNoHTTP.Reply()}
	case smtpwire.AlienBinary:
		return early{gateway.EarlyAlien, gateway.SayNoSMTP.Reply()}
	}
	return early{}
}

// listen waits for a client that should be silent, and keeps what it says.
func (c *session) listen(wait time.Duration) early {
	c.mu.Lock()
	c.idle = true // Shutdown wakes it
	draining := c.srv.draining.Load()
	if !draining {
		c.deadline = time.Now().Add(wait)
		_ = c.raw.SetReadDeadline(c.deadline)
	}
	c.mu.Unlock()
	var n int
	var err error
	if !draining {
		first := make([]byte, firstOctets)
		n, err = c.raw.Read(first)
		c.early = first[:n]
		c.busy()
	}
	switch {
	case n > 0:
		return early{}
	case c.srv.draining.Load():
		return early{gateway.ShuttingDown, gateway.Word(gateway.Drop, gateway.ShuttingDown, nil)}
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.Conduct.Waited = wait
		return early{}
	}
	return early{why: gateway.EarlyGone}
}
