package api

import (
	"fmt"
	"slices"
	"time"
)

// Status is how the daemon is.
type Status struct {
	Version   string    `json:"version"`
	Host      string    `json:"host"`
	Since     time.Time `json:"since"`
	Mode      string    `json:"mode"`
	Policy    string    `json:"policy"` // its version
	Domains   int       `json:"domains"`
	Sessions  int       `json:"sessions"`
	Size      int64     `json:"message_size"` // octets, as offered at most
	Addresses Addresses `json:"addresses"`
	Drain     *Drain    `json:"drain,omitempty"`    // while an operator drains the host
	Bypasses  []Bypass  `json:"bypasses,omitempty"` // checks that an operator left out for a while
	Memory    float64   `json:"memory_pressure"`    // share of the memory in use, 0 to 1
	Servers   []Server  `json:"servers"`
	Parts     []Part    `json:"parts"`
}

// Well reports whether each server and each part is.
func (s *Status) Well() bool {
	return !slices.ContainsFunc(s.Servers, func(x Server) bool { return !x.OK }) && !slices.ContainsFunc(s.Parts, func(p Part) bool { return !p.OK })
}

// Server is one thing that the daemon asks.
type Server struct {
	What   string `json:"what"`
	Server string `json:"server"`
	OK     bool   `json:"ok"`
	Said   string `json:"said"`
	Effect string `json:"effect,omitempty"` // on mail, while it is not well
	Do     string `json:"do,omitempty"`     // what to do about it
}

// Of is the part of readiness that it belongs to.
func (s *Server) Of() string {
	if s.What == "next hop" {
		return "next hops"
	}
	return s.What
}

// Part is one part of readiness.
type Part struct {
	Part   string `json:"part"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Effect string `json:"effect,omitempty"` // on mail, while it is not well
	Do     string `json:"do,omitempty"`     // what to do about it
}

// Trouble is what people look at first: each part that is not well, once, with the servers that it is about.
func (s *Status) Trouble() (out []Server) {
	told := map[string]bool{}
	for _, x := range s.Servers {
		if !x.OK {
			told[x.Of()] = true
			out = append(out, x)
		}
	}
	for _, p := range s.Parts {
		if !p.OK && !told[p.Part] {
			out = append(out, Server{What: p.Part, Said: p.Detail, Effect: p.Effect, Do: p.Do})
		}
	}
	return out
}

// Addresses are where the daemon really listens, since a port may be left to the system.
type Addresses struct {
	Listeners   map[string]string `json:"listeners"`
	Metrics     string            `json:"metrics,omitempty"`
	PublicHTTP  []string          `json:"public_http,omitempty"`
	PublicHTTPS []string          `json:"public_https,omitempty"`
	Portal      []string          `json:"portal,omitempty"`
	Console     []string          `json:"console,omitempty"`
	SSH         []string          `json:"ssh,omitempty"`
	SSHKey      string            `json:"ssh_key,omitempty"` // the fingerprint by which clients of SSH know this host: SHA256:...
}

// DrainedUntil is what ends a Drain.
const DrainedUntil = "gatepost resume"

// Drain is what gatepost drain began. It is not kept over a restart: a host that starts serves.
type Drain struct {
	Since  time.Time `json:"since"`
	Closes time.Time `json:"closes"` // from then on new connections are refused
}

func (o *Drain) String() string {
	what := "new connections are refused from " + o.Closes.Format(time.TimeOnly) + " on"
	if !time.Now().Before(o.Closes) {
		what = "new connections are refused"
	}
	return fmt.Sprintf("draining by operator since %s, %s, until %s", o.Since.Format(time.DateTime), what, DrainedUntil)
}
