package api

import (
	"strconv"
	"time"
)

// Version is one version of the policy.
type Version struct {
	Number  int64     `json:"number"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Comment string    `json:"comment,omitempty"`
	Kind    string    `json:"kind"`            // publish, takeover, rollback, undo
	Of      int64     `json:"of,omitempty"`    // the version whose text it has again
	Undid   int64     `json:"undid,omitempty"` // the version that it was made to leave
	Policy  string    `json:"policy"`          // of its text, as traces and the journal name it
	InForce bool      `json:"in_force,omitempty"`
}

// Policy is the policy in force, or a version of it.
type Policy struct {
	Version
	File    string    `json:"file,omitempty"`   // where it is from, while no version was published
	Text    string    `json:"text"`             // the document
	Confirm time.Time `json:"confirm,omitzero"` // until when somebody must confirm it
	Back    int64     `json:"back,omitempty"`   // the version that comes back where nobody does
	Here    int64     `json:"here,omitempty"`   // what is in force in this node, where that is another
	Trouble string    `json:"trouble,omitempty"`
}

// ETag is what a change of the policy names in If-Match.
func (p *Policy) ETag() string { return VersionTag(p.Number) }

// Versions is a list of versions, the newest first.
type Versions struct {
	Versions []Version `json:"versions"`
	Next     string    `json:"next,omitempty"` // cursor of what follows; "" where nothing does
}

// Problem is one thing that is wrong in a document.
type Problem struct {
	File    string `json:"file,omitempty"` // another than the document itself
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
	Instead string `json:"instead,omitempty"`
	Warning bool   `json:"warning,omitempty"`
}

// Checked is what is to be said of a document before it is published.
type Checked struct {
	Policy    string    `json:"policy"` // as traces would name it
	Usable    bool      `json:"usable"`
	Unchanged bool      `json:"unchanged,omitempty"` // it is in force already
	Problems  []Problem `json:"problems,omitempty"`
	Diff      string    `json:"diff,omitempty"` // from what is in force, as diff -u writes it
	Number    int64     `json:"version"`        // that is in force
}

// Diff is what differs between two versions.
type Diff struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	Diff string `json:"diff"` // as diff -u writes it
}

// Published is what came of a version that was to be published.
type Published struct {
	Version
	Unchanged bool      `json:"unchanged,omitempty"` // it was in force already, and nothing was done
	Confirm   time.Time `json:"confirm,omitzero"`    // until when somebody must confirm it
	Problems  []Problem `json:"problems,omitempty"`  // warnings
}

// ETag is what the next change of the policy names in If-Match.
func (p *Published) ETag() string { return VersionTag(p.Number) }

// VersionTag is how a version stands in ETag and If-Match: 0 where none was published.
func VersionTag(number int64) string { return strconv.FormatInt(number, 10) }

// Draft is what somebody changed and did not publish. Without one it is the policy in force.
type Draft struct {
	Exists   bool      `json:"exists"`
	Base     int64     `json:"base"`            // the version that it was begun with; 0: policy.toml
	Moved    bool      `json:"moved,omitempty"` // another version is in force by now
	Seq      int64     `json:"seq"`             // grows with each save
	Time     time.Time `json:"time,omitzero"`   // of the last one
	Text     string    `json:"text"`
	Usable   bool      `json:"usable"` // as far as the document alone tells
	Problems []Problem `json:"problems,omitempty"`
	Changes  []Changed `json:"changes,omitempty"` // from the policy in force
	Diff     string    `json:"diff,omitempty"`    // the same, as diff -u writes it
}

// ETag is what the next change of the draft names in If-Match.
func (d *Draft) ETag() string { return strconv.FormatInt(d.Seq, 10) }

// Changed is a key of which two documents do not say the same.
type Changed struct {
	Key    string `json:"key"`
	Before string `json:"before,omitempty"` // as it is written; "" where the key is not there, and its default holds
	After  string `json:"after,omitempty"`
}

// ConditionAsk is a condition of a rule that is tried.
type ConditionAsk struct {
	When  string `json:"when" required:"true" doc:"The condition, as in when of a rule"`
	Check bool   `json:"check,omitempty" doc:"The rule names checks, so that there is no score"`
}

// ConditionChecked says what is wrong with a condition; nothing where it can be worked out.
type ConditionChecked struct {
	Mistakes []Mistake `json:"mistakes"`
}

// Mistake is a place in a condition, from 1, the column in characters, and what is wrong there.
type Mistake struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
}

// Facts are what a condition can ask.
type Facts struct {
	Facts     []Fact `json:"facts"`
	Functions []Fact `json:"functions"` // of what the checks found
}

// Fact is one of them.
type Fact struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
	From string `json:"from,omitempty"` // the stage from which on it is known; before it a condition that asks it is not true
	Doc  string `json:"doc"`
}
