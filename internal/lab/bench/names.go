package main

import (
	"encoding/json"
	"io"

	"gatepost/internal/lab/bench/child"
	"gatepost/internal/lab/dnslab"
)

// namesQuestion is what the name server's process is asked: to play lists from now on. The answer is how many queries each
// had since the last time.
type namesQuestion struct {
	Lists []dnslab.List
}

// serveNames is the process of a name server on port 53, which plays DNS lists.
func serveNames(in io.Reader, out io.Writer) error {
	s, err := dnslab.StartAt("127.0.0.1:53", zones())
	if err != nil {
		return err
	}
	defer s.Close()
	return child.Serve(in, out, s.Addr(), func(question json.RawMessage) (any, error) {
		var q namesQuestion
		if err := json.Unmarshal(question, &q); err != nil {
			return nil, err
		}
		counts := map[string]int{}
		for _, l := range q.Lists {
			counts[l.Zone], _ = s.ListQueries(l.Zone)
			s.SetList(l)
		}
		return counts, nil
	})
}
