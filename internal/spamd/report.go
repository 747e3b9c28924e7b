package spamd

import (
	"bytes"
	"math"
	"strings"
)

const (
	maxRules = 500 // rules of a report
	maxName  = 128 // octets of a rule's name
)

// Rule that hit.
type Rule struct {
	Name   string
	Score  float64 // points as the report shows them: to 0.1, from 10 on to 1
	Scored bool    // the report did show them
}

// Report is what spamd thinks of a message.
type Report struct {
	Spam      bool    // Score is at or over Threshold
	Score     float64 // points in all, exact to 0.1
	Threshold float64 // spamd's required_score
	Rules     []Rule  // that hit, in the report's order; at most 500
	// Complete says that Rules are all that hit, that each has its points, and
	// that together they make up Score as far as rounding lets one see. Only then
	// may points of single rules be taken off the Score.
	Complete bool
}

// report makes the Report of an answer to REPORT.
func (a answer) report() Report {
	r := Report{Spam: a.spam, Score: a.score, Threshold: a.threshold}
	var whole bool
	r.Rules, whole = parseTable(a.body)
	r.Complete = whole && addsUp(r.Rules, r.Score)
	return r
}

// parseTable reads the table of rules in a report:
//
//	 pts rule name              description
//	---- ---------------------- --------------------------------------------------
//	 0.0 MSGID_SHORT            Message-ID is unusually short
//	  13 A_LONG_NAME BODY: A description that
//	                            goes on in further lines
//	                            [what the rule saw]
//
// It begins after the last line of dashes: the preview above the table is text of
// the sender's, and only the server's own text may name rules. (SpamAssassin takes
// dashes out of the preview as well.) It ends with an empty line. The words above
// the dashes depend on spamd's language, the dashes do not. whole is false when
// there is no table or something in it was not understood.
func parseTable(report []byte) (rules []Rule, whole bool) {
	var table []byte
	for rest := report; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if isDashes(line) {
			table = rest
			whole = true
		}
	}
	seen := make(map[string]bool)
	for len(table) > 0 {
		var raw []byte
		raw, table, _ = bytes.Cut(table, []byte("\n"))
		line := strings.TrimSuffix(string(raw), "\r")
		if strings.TrimSpace(line) == "" {
			break
		}
		if goesOn(line) {
			continue
		}
		rule, ok := parseRule(line)
		if !ok || seen[rule.Name] {
			whole = false
			continue
		}
		if len(rules) == maxRules {
			return rules, false
		}
		whole = whole && rule.Scored
		seen[rule.Name] = true
		rules = append(rules, rule)
	}
	return rules, whole
}

// isDashes says that a line is three or more groups of dashes.
func isDashes(line []byte) bool {
	if len(bytes.Trim(line, "- \r")) > 0 {
		return false
	}
	groups := bytes.Fields(bytes.TrimSuffix(line, []byte("\r")))
	return len(groups) >= 3 && len(groups[0]) >= 3 && len(groups[1]) >= 10
}

// goesOn says that a line belongs to the rule above it: a description that is
// wrapped is indented by 28, and a long note of what was seen stands in brackets.
func goesOn(line string) bool {
	return strings.HasPrefix(line, "          ") || strings.HasPrefix(line, "[")
}

// parseRule reads "SCORE NAME DESCRIPTION". A line with a name that only a rule
// can have, but no score, is a rule all the same.
func parseRule(line string) (Rule, bool) {
	f := strings.Fields(line)
	if len(f) < 2 || len(f[1]) > maxName || !isName(f[1]) {
		return Rule{}, false
	}
	score, ok := number(f[0])
	if !ok && (strings.ToUpper(f[1]) != f[1] || !strings.Contains(f[1], "_")) {
		return Rule{}, false
	}
	return Rule{Name: f[1], Score: score, Scored: ok}, true
}

// isName says that s has the octets of a rule's name.
func isName(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == "" &&
		!strings.Contains("0123456789", s[:1])
}

// addsUp says that the rules make up the total, given that each was rounded.
func addsUp(rules []Rule, total float64) bool {
	sum, slack := 0.0, 0.11 // the total is rounded too, or lowered below the threshold
	for _, r := range rules {
		sum += r.Score
		if math.Abs(r.Score) >= 10 {
			slack += 0.501
		} else {
			slack += 0.0501
		}
	}
	return math.Abs(sum-total) <= slack
}
