package filters

import "gatepost/gateway"

// Known tells what was learned from the journal's events of earlier messages: what internal/memory answers. Its methods
// never wait and are safe for concurrent use. What they do not know, or have forgotten, is the zero value, with which
// nobody is held and no way is doubted.
//
// The check dmarc feeds it too: by DMARCResult.Path of whatever message hints at a list or a forwarder, of a pass as well as
// of a fail, since a way earns its trust by what passes.
type Known interface {
	Domain(author string) gateway.KnownDomain // author is an A-label in lower case
	Path(p gateway.Path) gateway.KnownPath
}

// knownDomain tells what is known of an author domain.
func (d *Deps) knownDomain(author string) gateway.KnownDomain {
	if d.Known == nil {
		return gateway.KnownDomain{}
	}
	return d.Known.Domain(author)
}

// knownPath tells what is known of the way of a message.
func (d *Deps) knownPath(p gateway.Path) gateway.KnownPath {
	if d.Known == nil {
		return gateway.KnownPath{Path: p}
	}
	return d.Known.Path(p)
}
