package filters

import "gatepost/gateway"

// Listed is an entry of the site's own lists, under the names by which findings tell of it.
type Listed struct {
	Check string // whose list it is on
	Kind  string // "allow" or "block"
	Value string // the text of its measure
	Note
}

// ListedIn are the entries of all lists of a policy, in the order of its document, list by list. Those that can never match are
// left out.
func ListedIn(configured map[string]Configured) (out []Listed) {
	if o, ok := configured["access.client"].Options.(*ClientEntries); ok {
		for i := range o.Entries {
			e := &o.Entries[i]
			kind := "block"
			if e.List == "allow" {
				kind = "allow"
			}
			out = append(out, Listed{"access.client", kind, e.Network.Masked().String(), e.Note})
		}
	}
	if o, ok := configured["access.sender"].Options.(*SenderEntries); ok {
		for _, r := range o.compile() {
			out = append(out, Listed{"access.sender", "block", r.shown, r.entry.Note})
		}
	}
	if o, ok := configured["access.author"].Options.(*AuthorEntries); ok {
		for _, r := range o.compile() {
			out = append(out, Listed{"access.author", gateway.AllowMeasure, r.entry.Address, *r.note})
		}
	}
	return out
}
