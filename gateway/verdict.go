package gateway

import "time"

// Decision is one outcome and who decided it.
type Decision struct {
	Outcome Outcome  `json:"outcome"`
	Reason  Reason   `json:"reason,omitempty"`
	Args    []string `json:"args,omitempty"`
	Check   string   `json:"check,omitempty"` // "" when the sum of points decided
	Line    string   `json:"line,omitempty"`  // the policy line
	// Keep is how long the vault keeps it, where a rule says so; 0: as long as all.
	Keep    time.Duration `json:"keep,omitempty"`
	class   Class
	strips  bool   // the parts of the finding are taken out
	contact string // of the recipient's domain, for refusals
}

// Price is one measure and what it cost.
type Price struct {
	Check   string  `json:"check"`
	Measure string  `json:"measure"`
	Text    string  `json:"text,omitempty"`
	Points  float64 `json:"points"`
	Line    string  `json:"line"`
}

// Verdict is what Judge makes of a Record. The embedded Decision is that of the transaction (or of the connection, before
// there is one); Rcpts are those of each recipient of the Record, in its order.
type Verdict struct {
	Decision
	Stage  Stage         `json:"stage"`
	Score  float64       `json:"score"`
	Rcpts  []Decision    `json:"rcpts,omitempty"`
	Priced []Price       `json:"priced,omitempty"`
	Marks  []string      `json:"marks,omitempty"`  // checks that could not tell and were let pass
	Waived string        `json:"waived,omitempty"` // the allow entry that overruled opinions
	Edits  Edits         `json:"edits,omitzero"`
	Rules  []Applied     `json:"rules,omitempty"` // that decided, in the order of the findings
	Would  *Decision     `json:"would,omitempty"` // what it would have been with every check and the mode in force
	Reply  Reply         `json:"reply"`           // of a refusal; zero otherwise
	Delay  time.Duration `json:"delay,omitempty"` // how long the reply is held back; slept by the edge
}

// Applied is a rule that said what is done about a finding, for people: the first that matched.
type Applied struct {
	Rule   string `json:"rule"` // its line
	Check  string `json:"check"`
	Reason Reason `json:"reason,omitempty"`
	Action string `json:"action"`
	Rcpts  []int  `json:"rcpts"` // for whom, as places in Record.Rcpts
	// Observed: the rule only tells what it would have done. Why: its condition could not be worked out, so that it did
	// not match; there is no Action then.
	Observed bool   `json:"observed,omitempty"`
	Why      string `json:"why,omitempty"`
}

// Rcpt returns the decision on a recipient and its reply, with the reference of the Record it came from.
func (v *Verdict) Rcpt(i int, id ID) (Decision, Reply) {
	d := v.Rcpts[i]
	return d, Word(d.Outcome, d.Reason, d.Args).withContact(d.contact).WithReference(id)
}

// Final reports whether nothing that later checks see can change the verdict to a milder one for anybody.
func (v *Verdict) Final() bool { return v.Outcome.Refuses() }

// Edits are what is done to the body and the subject of a message on its way to the next hop: one set for all recipients,
// what each of them is to have together (PRODUCT: one reply, many recipients).
type Edits struct {
	Strip   []Cut    `json:"strip,omitempty"`   // in the order of the parts, each once
	Banners []string `json:"banners,omitempty"` // names of banners of the policy, each once
	Subject string   `json:"subject,omitempty"` // put before the subject, besides that of marked mail
}

// Cut is a part that is taken out, with a notice in its place.
type Cut struct {
	Part   int      `json:"part"` // its place in the MIME tree
	Check  string   `json:"check"`
	Reason Reason   `json:"reason"`
	Args   []string `json:"args,omitempty"`
}

// Any reports whether there is something to do.
func (e *Edits) Any() bool { return len(e.Strip)+len(e.Banners) > 0 || e.Subject != "" }
