package api

import "time"

// DoctorRun says what the doctor looks at.
type DoctorRun struct {
	Domain string   `json:"domain,omitempty" doc:"One domain that is served, in place of all"`
	Only   []string `json:"only,omitempty" doc:"These groups only: dns, domain, host, listener, daemon, lists, clock, nexthops, scanners, services, disk, web"`
}

// DoctorLook is what the doctor found, or that he looks.
type DoctorLook struct {
	Running bool         `json:"running"`        // a look is under way; the rest is of the one before
	Began   time.Time    `json:"began,omitzero"` // of the look under way, or of the last one; zero: nobody looked since the start
	Ended   time.Time    `json:"ended,omitzero"` // of the last one
	Domain  string       `json:"domain,omitempty"`
	Only    []string     `json:"only,omitempty"`
	By      string       `json:"by,omitempty"`
	Error   string       `json:"error,omitempty"` // why it found nothing, or not all
	Lines   []DoctorLine `json:"lines"`
}

// Count is how many lines there are of a verdict.
func (d *DoctorLook) Count(verdict string) (n int) {
	for i := range d.Lines {
		if d.Lines[i].Verdict == verdict {
			n++
		}
	}
	return n
}

// DoctorLine is one thing that was looked at, as gatepost doctor --json writes it.
type DoctorLine struct {
	ID      string   `json:"id"`
	Verdict string   `json:"verdict"` // ok, warn, fail, unknown
	About   string   `json:"about,omitempty"`
	Saw     string   `json:"saw"`
	Fix     []string `json:"fix,omitempty"` // records and keys to paste, commands to run; a line each
}
