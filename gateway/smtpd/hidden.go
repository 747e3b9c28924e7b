package smtpd

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"gatepost/gateway"
)

// When connections are held against each other: a balancer that hides its clients shows as one private address that nearly
// all of them come from, under many names.
const (
	hiddenWindow = 10 * time.Minute
	hiddenLeast  = 50  // connections in a window; of fewer nothing is said
	hiddenShare  = 0.9 // of them from one address
	hiddenNames  = 10  // different names in HELO and EHLO
	hiddenPeers  = 16  // addresses that are told apart
)

// hidden notices a balancer that hides all clients behind its own address: then every limit, list and test of the gate
// sees one client, and refuses the wrong ones.
type hidden struct {
	mu    sync.Mutex
	seen  map[string]*window // by listener
	found map[string]string  // by listener: what is wrong, as the last window showed it
}

type window struct {
	began time.Time
	total int
	peers map[netip.Addr]*peer
}

type peer struct {
	connections int
	names       map[string]struct{} // at most hiddenNames
}

// saw takes a session that ended. Those of trusted clients and those of proxies that name their client are not counted.
func (h *hidden) saw(s *gateway.Session) {
	if s.Trusted || s.Proxy.IsValid() || !s.Client.IsValid() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.seen[s.Listener]
	if w == nil || s.Done.Sub(w.began) >= hiddenWindow {
		if w != nil {
			h.judge(s.Listener, w)
		}
		if h.seen == nil {
			h.seen, h.found = make(map[string]*window), make(map[string]string)
		}
		w = &window{began: s.Done, peers: make(map[netip.Addr]*peer)}
		h.seen[s.Listener] = w
	}
	w.total++
	if a := s.Client.Addr(); gateway.Inside(a) {
		w.count(a, s.Helo.Name)
	}
	if w.total%hiddenLeast == 0 { // soon, not at the end of the window only
		h.judge(s.Listener, w)
	}
}

func (w *window) count(a netip.Addr, name string) {
	p := w.peers[a]
	if p == nil {
		if len(w.peers) >= hiddenPeers {
			return
		}
		p = &peer{names: make(map[string]struct{})}
		w.peers[a] = p
	}
	p.connections++
	if len(p.names) < hiddenNames && name != "" {
		p.names[name] = struct{}{}
	}
}

// judge says what a window shows of a listener; too small a one changes nothing. It is called with the lock held.
func (h *hidden) judge(listener string, w *window) {
	if w.total < hiddenLeast {
		return
	}
	delete(h.found, listener)
	for a, p := range w.peers {
		if float64(p.connections) >= hiddenShare*float64(w.total) && len(p.names) >= hiddenNames {
			h.found[listener] = fmt.Sprintf("listener %s: %d of %d connections came from %s, under many names: a balancer hides who they are. "+
				"Let it send the PROXY protocol, and write proxy_from = [\"%s/%d\"] for this listener; if it is a mail server of your own, name it in trusted.networks",
				listener, p.connections, w.total, a, a, a.BitLen())
		}
	}
}

// ClientsSeen reports whether the addresses that connections come from are the clients' own, and what to do if not.
func (s *Server) ClientsSeen() (ok bool, detail string) {
	s.hidden.mu.Lock()
	defer s.hidden.mu.Unlock()
	for _, what := range s.hidden.found {
		return false, what
	}
	return true, ""
}
