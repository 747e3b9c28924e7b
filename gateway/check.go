package gateway

import (
	"context"
	"time"
)

// Input is what a check may read.
type Input struct {
	Session  *Session
	Envelope *Envelope // nil before MAIL
	Rcpt     int       // index into Envelope.Rcpts in the Rcpt stage; -1 otherwise
}

// Recipient returns the recipient of the Rcpt stage, or nil.
func (in *Input) Recipient() *Recipient {
	if in.Envelope == nil || in.Rcpt < 0 || in.Rcpt >= len(in.Envelope.Rcpts) {
		return nil
	}
	return &in.Envelope.Rcpts[in.Rcpt]
}

// Check is one check: one name, one stage, one function. Run reports what it saw and nothing else: never points, never
// reply text, never a decision. It must return soon after ctx is done.
type Check struct {
	Name  string
	Stage Stage
	Run   func(ctx context.Context, in *Input) Finding
	// Ready, if set, tells that Run would wait for nothing and nobody now, so that it costs no goroutine beside others. It
	// must not wait itself, and a panic in it is the caller's.
	Ready func(in *Input) bool
}

// Result is what a check could tell.
type Result uint8

// The results. The zero value is Unknown: a check that does not say what it saw has not seen that all is well.
const (
	Unknown Result = iota // could not tell: no answer, no time, an answer that makes no sense
	Pass                  // looked, and found nothing against it
	Fail                  // looked, and found what it looks for
	NotRun                // was left out; Why says why
)

var resultNames = []string{"unknown", "pass", "fail", "not run"}

func (r Result) String() string                { return name(resultNames, r) }
func (r Result) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }
func (r *Result) UnmarshalText(b []byte) error { return parse(resultNames, "result", b, r) }

// Measure is one thing that a check measured; policy puts a price on it. A price applies to Value, so that a measure that
// is only true or false has the Value 1.
type Measure struct {
	Name  string  `json:"n"`
	Value float64 `json:"v"`
	Text  string  `json:"t,omitempty"` // which: a list and its code, a rule, a signature
}

// Evidence is shown to people and never read by Judge.
type Evidence struct {
	Name string `json:"n"`
	Text string `json:"t"`
}

// Finding is what one check saw.
type Finding struct {
	Check    string    `json:"c"`
	Stage    Stage     `json:"s"`
	Rcpt     int       `json:"r"` // index of the recipient in the Rcpt stage; -1 when it is about all
	Result   Result    `json:"is"`
	Reason   Reason    `json:"why,omitempty"`  // of Fail and Unknown; of NotRun what left it out
	Args     []string  `json:"args,omitempty"` // what the reason's reply text names
	Measures []Measure `json:"m,omitempty"`
	// Parts are the parts of the message that it is about, as places in its MIME tree: what the action strip takes out.
	Parts []int `json:"parts,omitempty"`
	// Proves is the address of which the check has proven that its domain sent the message: of spf that of a reverse-path
	// that passed, of dmarc the author's.
	Proves     string        `json:"proves,omitempty"`
	RetryAfter time.Duration `json:"retry,omitempty"` // how long the sender should wait
	Took       time.Duration `json:"took"`
	Evidence   []Evidence    `json:"-"` // stored beside the Record, in a column of its own
	Auth       []AuthResult  `json:"-"` // told in Authentication-Results; Judge never reads it
	// Instead, in the Rcpt stage, is where the recipient's mail goes after all, once it is accepted. Judge never reads it.
	Instead *Destination `json:"-"`
}

// Passed, Failed and CouldNotTell make findings; the pipeline adds check, stage, recipient and time.
func Passed(measures ...Measure) Finding { return Finding{Result: Pass, Measures: measures} }

// Failed makes a finding of Fail for a reason and what its text names.
func Failed(reason Reason, args ...string) Finding {
	return Finding{Result: Fail, Reason: reason, Args: args}
}

// CouldNotTell makes a finding of Unknown for a reason and what its text names.
func CouldNotTell(reason Reason, args ...string) Finding {
	return Finding{Result: Unknown, Reason: reason, Args: args}
}

// With adds measures.
func (f Finding) With(measures ...Measure) Finding {
	f.Measures = append(f.Measures, measures...)
	return f
}

// Show adds evidence.
func (f Finding) Show(name, text string) Finding {
	f.Evidence = append(f.Evidence, Evidence{Name: name, Text: text})
	return f
}

// Yes is a measure that is only true.
func Yes(name string) Measure { return Measure{Name: name, Value: 1} }

// Names of checks and measures by which rules tell what is known of who sent a message.
const (
	DMARCCheck      = "dmarc"
	ReputationCheck = "reputation"
	GoodMeasure     = "good"
)

// Names of evidence that others look for: what scanned the message with its version, the verified reverse name of the
// client, and the list of rules as SpamAssassin users know it.
const (
	EvidenceScanner = "scanner"
	EvidenceReverse = "reverse name"
	EvidenceRules   = "rules"
)

// Evident returns the first evidence of a name among findings, or "".
func Evident(findings []Finding, name string) string {
	for i := range findings {
		for _, e := range findings[i].Evidence {
			if e.Name == name {
				return e.Text
			}
		}
	}
	return ""
}
