// Package importer turns what other mail gateways have been told into documents of this one, with a report of what was
// taken, what changed on the way, and what has no counterpart and why. It guesses nothing in silence: whatever was set is in
// the report, with its place. It reads no files itself (the engines below it do), opens no connection, and copies no secret.
package importer

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Status is what became of one thing.
type Status string

// The statuses.
const (
	Taken   Status = "taken"    // it does here what it did there
	Changed Status = "changed"  // something stands for it that differs; Why says how
	LeftOut Status = "left out" // nothing stands for it; Why says why
)

// Item is one line of the report.
type Item struct {
	Status Status `json:"status"`
	Where  string `json:"where"` // "main.cf:12"
	What   string `json:"what"`
	Became string `json:"became,omitempty"` // the key here
	Why    string `json:"why,omitempty"`
	Do     string `json:"do,omitempty"` // what the operator should do
}

// Report is what became of everything.
type Report struct {
	Items []Item
	told  map[Item]bool
	left  int // beyond maxItems
	keys  *regexp.Regexp
}

// maxItems bounds a report: nobody reads more, and a hostile file could make any number.
const maxItems = 20_000

func (r *Report) add(i Item) {
	if i.What = short(r.hide(i.What)); r.told[i] {
		return
	}
	if len(r.Items) >= maxItems {
		r.left++
		return
	}
	if r.told == nil {
		r.told = map[Item]bool{}
	}
	r.told[i] = true
	r.Items = append(r.Items, i)
}

func (r *Report) taken(where, what, became string) {
	r.add(Item{Status: Taken, Where: where, What: what, Became: became})
}

// changed tells of something that differs: became stands for it.
func (r *Report) changed(where, what, became, why, do string) {
	r.add(Item{Changed, where, what, became, why, do})
}

// leave tells of something that has no counterpart.
func (r *Report) leave(where, what, why, do string) {
	r.add(Item{Status: LeftOut, Where: where, What: what, Why: why, Do: do})
}

// hide takes out the keys of DNS lists, which stand in the names that are asked for.
func (r *Report) hide(text string) string {
	if r.keys == nil {
		r.keys = regexp.MustCompile(`(?i)[a-z0-9_-]{8,}(\.(?:[a-z0-9-]+\.)?(?:dq\.spamhaus\.net|mail\.abusix\.zone))`)
	}
	return r.keys.ReplaceAllString(text, "(key)$1")
}

// untold runs what must not be in the report: a question, whose answer is told elsewhere.
func (r *Report) untold(ask func()) {
	before := *r
	r.Items, r.told = nil, nil
	ask()
	*r = before
}

// Count is how many items have a status.
func (r *Report) Count(s Status) (n int) {
	for _, i := range r.Items {
		if i.Status == s {
			n++
		}
	}
	return n
}

// Write writes the report for people: what needs them first.
func (r *Report) Write(w io.Writer) {
	fmt.Fprintf(w, "%d taken, %d changed, %d left out\n", r.Count(Taken), r.Count(Changed), r.Count(LeftOut))
	for _, s := range []Status{LeftOut, Changed, Taken} {
		if r.Count(s) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", map[Status]string{Taken: "TAKEN", Changed: "CHANGED", LeftOut: "LEFT OUT"}[s])
		for _, i := range r.Items {
			if i.Status != s {
				continue
			}
			fmt.Fprintf(w, "  %s: %s\n", i.Where, i.What)
			for _, l := range [...][2]string{{"->", i.Became}, {"why:", i.Why}, {"do: ", i.Do}} {
				if l[1] != "" {
					fmt.Fprintf(w, "      %s %s\n", l[0], l[1])
				}
			}
		}
	}
	if r.left > 0 {
		fmt.Fprintf(w, "\nand %d more that are not shown\n", r.left)
	}
}

// WriteJSON writes one object a line.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, i := range r.Items {
		if err := enc.Encode(i); err != nil {
			return err
		}
	}
	return nil
}

// short makes of a stranger's text one printable line of bounded length.
func short(text string) string { return bounded(text, 200) }

func bounded(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most-3], "") + "..."
	}
	return text
}

// Note is what each imported entry of a list says of itself.
type Note struct {
	Owner   string
	Reason  string
	Expires time.Time // a day
}

// Options are what an import is told.
type Options struct {
	Owner   string    // of entries of lists
	Expires time.Time // the last day of entries of lists
	Use     string    // of DNS lists: "commercial", "non-commercial" or "" for not said
	// Certificate says why a certificate with its key cannot be used from here, "" where it can.
	Certificate func(certificate, key string) string
}

// unique adds a text to a list that does not have it.
func unique(list []string, text string) []string {
	if text == "" || slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}
