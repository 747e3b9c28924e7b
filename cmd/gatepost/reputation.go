package main

import (
	"time"

	"gatepost/gateway"
)

// trusts reports whether a way of mail was seen to leave that of others whole.
func (p *parts) trusts(way gateway.Path) bool {
	return p.known.Path(way).Standing(time.Now()) == gateway.PathTrusted
}
