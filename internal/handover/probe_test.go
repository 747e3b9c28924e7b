package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// server is a mail server that does what a test says.
type server struct {
	banner, ehlo string
	known        string // the one recipient that exists
	domain       string
	all          bool          // it takes everybody
	relays       bool          //
	unknown      string        // what unknown recipients are told
	tarpit       time.Duration // before each refusal
	errors       int           // refusals before 421; 0: any number
	most         int32         // connections; 0: any number
	silent       bool
	open         atomic.Int32
}

func (s *server) dial(context.Context, string, string) (net.Conn, error) {
	if n := s.open.Add(1); s.most > 0 && n > s.most {
		s.open.Add(-1)
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	go s.serve(theirs)
	return ours, nil
}

func (s *server) serve(c net.Conn) {
	defer s.open.Add(-1)
	defer c.Close()
	if s.silent {
		_, _ = c.Read(make([]byte, 1))
		return
	}
	in, refused := bufio.NewReader(c), 0
	say := func(text string) bool { _, err := c.Write([]byte(text)); return err == nil }
	if !say(s.banner + "\r\n") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		answer := "250 2.0.0 OK\r\n"
		switch verb {
		case "EHLO", "LHLO":
			answer = s.ehlo
		case "QUIT":
			return
		case "RCPT":
			to := line[strings.IndexByte(line, '<')+1 : strings.IndexByte(line, '>')]
			mine := strings.HasSuffix(to, "@"+s.domain)
			if to == s.known || mine && s.all || !mine && s.relays {
				break
			}
			time.Sleep(s.tarpit)
			refused++
			answer = s.unknown
			if s.errors > 0 && refused > s.errors {
				say("421 4.7.0 Too many errors\r\n")
				return
			}
		}
		if !say(answer) {
			return
		}
	}
}

func good() server {
	return server{banner: "220 inside", ehlo: "250-inside\r\n250 SIZE 99999999\r\n", known: "postmaster@example.org", domain: "example.org",
		unknown: "550 5.1.1 No such user\r\n"}
}

func TestInside(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*server)
		want   []string // what is not good
	}{
		"good":                 {func(*server) {}, nil},
		"no banner":            {func(s *server) { s.banner = "554 go away" }, []string{"FAIL connection"}},
		"talks nonsense":       {func(s *server) { s.banner = "hello" }, []string{"FAIL connection"}},
		"silent":               {func(s *server) { s.silent = true }, []string{"FAIL connection"}},
		"endless banner":       {func(s *server) { s.banner = strings.Repeat("220-x\r\n", 100_000) }, []string{"FAIL connection"}},
		"no EHLO":              {func(s *server) { s.ehlo = "502 5.5.1 no\r\n" }, []string{"FAIL connection"}},
		"small":                {func(s *server) { s.ehlo = "250-x\r\n250 SIZE 1000\r\n" }, []string{"warn message size"}},
		"no SIZE":              {func(s *server) { s.ehlo = "250 x\r\n" }, []string{"? message size"}},
		"SIZE without limit":   {func(s *server) { s.ehlo = "250-x\r\n250 SIZE\r\n" }, nil},
		"takes everybody":      {func(s *server) { s.all = true }, []string{"warn unknown recipients"}},
		"defers the unknown":   {func(s *server) { s.unknown = "450 4.1.1 later\r\n" }, []string{"? relaying", "warn unknown recipients"}},
		"refuses bounces":      {func(s *server) { s.known = "nobody@example.org" }, []string{"FAIL recipient postmaster@example.org"}},
		"relays":               {func(s *server) { s.relays = true }, []string{"FAIL relaying"}},
		"tarpit":               {func(s *server) { s.tarpit = 5 * time.Second }, []string{"warn tarpit"}},
		"hangs up on errors":   {func(s *server) { s.errors = 6 }, []string{"FAIL error limit"}},
		"one connection only":  {func(s *server) { s.most = 1 }, []string{"FAIL connections"}},
		"answers after a week": {func(s *server) { s.tarpit = 7 * 24 * time.Hour }, []string{"? relaying", "? unknown recipients"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := good()
				tt.change(&s)
				p := Probe{Address: "inside:25", Hostname: "mx", Domain: "example.org", Size: 50_000_000, Connections: 10, Dial: s.dial}
				var got []string
				for _, r := range p.Inside(t.Context()) {
					if r.Verdict != Good {
						got = append(got, fmt.Sprintf("%s %s", r.Verdict, r.What))
					}
				}
				time.Sleep(30 * 24 * time.Hour) // until the server has noticed that nobody is there
				if !slices.Equal(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestOutside(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*server)
		late   bool
		want   Verdict
	}{
		"taken":           {func(*server) {}, false, Bad},
		"taken, for now":  {func(*server) {}, true, Unknown},
		"refused at RCPT": {func(s *server) { s.known, s.unknown = "", "554 5.7.1 Access denied\r\n" }, false, Good},
		"greylisted":      {func(s *server) { s.known, s.unknown = "", "450 4.7.1 later\r\n" }, false, Unknown},
		"refused at once": {func(s *server) { s.banner = "554 no" }, false, Good},
		"not reached":     {func(s *server) { s.most = 1; s.open.Add(1) }, false, Good},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := good()
				tt.change(&s)
				p := Probe{Address: "inside:25", Hostname: "outside.example", Domain: "example.org", Late: tt.late, Dial: s.dial}
				if r := p.Outside(t.Context()); r.Verdict != tt.want {
					t.Errorf("%+v, want %s", r, tt.want)
				}
			})
		})
	}
}
