package dmarcreport

import (
	"encoding/json"
	"time"
)

// document is a report in JSON, as it is kept and shown.
type document struct {
	Org       string    `json:"org"`
	Email     string    `json:"email,omitempty"`
	Contact   string    `json:"contact,omitempty"`
	ID        string    `json:"id"`
	Begin     time.Time `json:"begin"`
	End       time.Time `json:"end"`
	Errors    []string  `json:"errors,omitempty"`
	Generator string    `json:"generator,omitempty"`
	Policy    policy    `json:"policy"`
	Records   []counted `json:"records"`
}

type policy struct {
	Domain  string `json:"domain"`
	Method  string `json:"method,omitempty"`
	P       string `json:"p,omitempty"`
	SP      string `json:"sp,omitempty"`
	NP      string `json:"np,omitempty"`
	ADKIM   string `json:"adkim,omitempty"`
	ASPF    string `json:"aspf,omitempty"`
	FO      string `json:"fo,omitempty"`
	Pct     int    `json:"pct"`
	Testing bool   `json:"testing,omitempty"`
	RUA     string `json:"rua,omitempty"`
}

// counted is a line with its count, which is no part of what tells lines apart.
type counted struct {
	Record
	Count int64 `json:"count"`
}

// MarshalJSON writes the report as it is kept and shown.
func (f *Feedback) MarshalJSON() ([]byte, error) {
	d := document{Org: f.Org, Email: f.Email, Contact: f.Contact, ID: f.ID, Begin: f.Begin, End: f.End, Errors: f.Errors, Generator: f.Generator,
		Policy: policy(f.Policy), Records: make([]counted, len(f.Records))}
	for i, r := range f.Records {
		d.Records[i] = counted{r, r.Count}
	}
	return json.Marshal(&d)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Feedback) UnmarshalJSON(b []byte) error {
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	*f = Feedback{Org: d.Org, Email: d.Email, Contact: d.Contact, ID: d.ID, Begin: d.Begin, End: d.End, Errors: d.Errors, Generator: d.Generator, Policy: Published(d.Policy)}
	for _, r := range d.Records {
		r.Record.Count = r.Count
		f.Records = append(f.Records, r.Record)
	}
	return nil
}
