package smtpd

import (
	"io"
	"strconv"

	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

const (
	// maxThrownAway bounds the octets of refused chunks in a session; each chunk costs at least chunkCost.
	maxThrownAway = smtpwire.DefaultMaxDiscard
	chunkCost     = 64 << 10
	// smallChunk: a chunk below it counts as a command that brings no message, unless it is the last of one.
	smallChunk = 512
)

// bdat takes one chunk of a message (RFC 3030 section 2). Its octets are read exactly, also when they are refused, so that
// none of them is ever taken for a command. A chunk that fails ends the transaction: a message with a hole is no message.
func (c *session) bdat(arg string) gateway.Reply {
	n, last, err := smtpwire.ParseBDAT(arg)
	if err != nil {
		c.End = gateway.EndProtocol // how much is to be skipped cannot be known
		return gateway.SayBadChunk.Reply()
	}
	if c.tx == nil || c.tx.accepted == 0 || !c.offer.chunking {
		return c.throwAway(n, last)
	}
	if n > c.limits.MessageSize+maxThrownAway {
		c.End = gateway.EndLimit
		return gateway.SayChunkTooBig.Reply()
	}
	t := c.tx
	if n < smallChunk && !last {
		c.useless()
	}
	if t.chunks == nil {
		t.body = c.newBody()
		t.chunks = smtpwire.NewChunks(sink{t}, c.contentLimits())
		t.env.Measured.Chunked = true
	}
	done := c.measure()
	err = t.chunks.Read(c.r, n, last)
	done()
	switch {
	case !smtpwire.InStep(err):
		c.cutOff(t.chunks.Result(), err)
	case err != nil || last:
		c.message("BDAT", t.chunks.Result(), err)
		c.lateChunks = !last
	default:
		return gateway.SayChunkOK.Reply(strconv.FormatInt(n, 10))
	}
	return gateway.Reply{}
}

// throwAway reads a chunk that no transaction can take, and refuses it.
func (c *session) throwAway(n int64, last bool) gateway.Reply {
	if n > maxThrownAway-c.thrownAway-chunkCost {
		c.End = gateway.EndLimit
		return gateway.SayTooMuchRefused.Reply()
	}
	c.thrownAway += n + chunkCost
	if n < smallChunk {
		c.useless()
	}
	done := c.measure()
	err := smtpwire.NewChunks(io.Discard, smtpwire.Limits{}).Read(c.r, n, true)
	done()
	if !smtpwire.InStep(err) {
		c.broken(err)
		return gateway.Reply{}
	}
	c.unchecked = c.lateChunks
	c.lateChunks = !last
	if c.tx == nil {
		return gateway.SayNoChunk.Reply()
	}
	r := gateway.SayNoChunking.Reply()
	if c.tx.accepted == 0 {
		r = c.noRecipient()
	}
	r = c.referenced(r)
	c.tx.last = r
	c.endTransaction()
	return r
}
