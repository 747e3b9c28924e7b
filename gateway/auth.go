package gateway

// AuthResult is what one method of sender authentication says of a message, in the words of RFC 8601: what a check adds to
// its finding to have it told in Authentication-Results. It is shown and never judged: Judge reads measures and reasons.
type AuthResult struct {
	Method  string // "spf", "dkim", "dmarc", "arc" or "iprev"
	Result  string // a word of RFC 8601 section 2.7, as "pass", "fail", "none", "temperror"
	Reason  string // for reason=, in words; "" for none
	Comment string // shown in parentheses; "" for none
	Props   []AuthProp
	DMARC   *DMARCResult // of the method "dmarc" only, for aggregate reports; it is not written into the header field
}

// AuthProp is one property of a result, as header.d=example.org (RFC 8601 section 2.3).
type AuthProp struct {
	Type  string // "smtp", "header", "policy", "body"
	Name  string // "mailfrom", "d", "from"
	Value string // any octets: whoever writes the field quotes or drops what may not stand there
}

// DMARCResult is what aggregate reports tell about a message besides the results of its methods (RFC 9990 section 2).
type DMARCResult struct {
	Author       string // domain of From, A-label
	PolicyDomain string // where the record was found; "" without one
	Record       string // its text as published; "" without one
	Method       string // how the organizational domain was found: "psl" or "treewalk"
	Requested    string // what the owner asks for this message: "none", "quarantine" or "reject"; "" without a record
	SPF, DKIM    bool   // an aligned identifier passed
	Override     string // why local policy may do other than asked: a word of RFC 9990, as "trusted_forwarder", "mailing_list"; "" for none

	// What is learned from (see KnownDomain and KnownPath), besides Author, Requested, Override and the words of Result.
	Organization string   // organizational domain of Author; "" where it is not known
	Path         Path     // where something hints at a list or a forwarder, whatever the result; zero otherwise
	Sealers      []string // ARC sealers that, were all of them trusted, would have turned the failure into a pass
}

// Says adds a result to a finding.
func (f Finding) Says(r AuthResult) Finding {
	f.Auth = append(f.Auth, r)
	return f
}

// AuthResults returns the results of all findings, in their order.
func AuthResults(findings []Finding) []AuthResult {
	var out []AuthResult
	for i := range findings {
		out = append(out, findings[i].Auth...)
	}
	return out
}

// Prop returns the value of a property, or "".
func (r *AuthResult) Prop(kind, name string) string {
	for _, p := range r.Props {
		if p.Type == kind && p.Name == name {
			return p.Value
		}
	}
	return ""
}
