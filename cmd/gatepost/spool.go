package main

import (
	"gatepost/internal/config"
)

// spooling names the routes whose mail is kept while they are down.
func spooling(p *config.Policy) map[string]bool {
	out := map[string]bool{}
	for i := range p.Routes {
		if r := &p.Routes[i]; r.WhenDown == config.DownSpool {
			out[r.Name] = true
		}
	}
	return out
}
