package received

import (
	"context"
	"encoding/json"
	"time"

	"gatepost/internal/unpack"
)

// Kind is what a report is about.
type Kind string

// The kinds of report.
const (
	DMARC Kind = "dmarc"
	TLS   Kind = "tls"
)

// Report is one report as it is kept. All of it but Received, From and Reference is a stranger's word.
type Report struct {
	Kind      Kind            `json:"kind"`
	Domain    string          `json:"domain"` // of ours, that it is about
	Org       string          `json:"org"`    // who reports
	ID        string          `json:"id"`     // as the reporter numbers it
	Begin     time.Time       `json:"begin"`
	End       time.Time       `json:"end"`
	Received  time.Time       `json:"received"`
	From      string          `json:"from"`           // reverse-path of the mail that brought it
	Reference string          `json:"reference"`      // of that mail
	Good      int64           `json:"good"`           // messages that passed DMARC; sessions that went well
	Bad       int64           `json:"bad"`            // messages that did not; sessions that failed
	Body      json.RawMessage `json:"body,omitempty"` // a dmarcreport.Feedback or a tlsrpt.Report
}

// Store keeps reports over a restart.
type Store interface {
	// Keep keeps reports, all of them or none, and returns once they would outlive a power cut. A report that is known
	// already, by kind, domain, reporter, number and period, is kept once.
	Keep(ctx context.Context, reports []Report) error
}

// Opener opens what a message carries: what unpack.Client does.
type Opener interface {
	Unpack(ctx context.Context, pieces []unpack.Piece) (unpack.Report, error)
}
