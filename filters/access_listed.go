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
	for _, e := range clientEntries(configured).Entries {
		kind := "block"
		if e.List == "allow" {
			kind = "allow"
		}
		out = append(out, Listed{"access.client", kind, e.Network.Masked().String(), e.Note})
	}
	for _, r := range senderEntries(configured).compile() {
		out = append(out, Listed{"access.sender", "block", r.shown, r.entry.Note})
	}
	for _, r := range authorEntries(configured).compile() {
		out = append(out, Listed{"access.author", gateway.AllowMeasure, r.entry.Address, *r.note})
	}
	return out
}

func clientEntries(c map[string]Configured) *ClientEntries {
	return optionsOf[ClientEntries](c, "access.client")
}

func senderEntries(c map[string]Configured) *SenderEntries {
	return optionsOf[SenderEntries](c, "access.sender")
}

func authorEntries(c map[string]Configured) *AuthorEntries {
	return optionsOf[AuthorEntries](c, "access.author")
}

// optionsOf are the options of a check; none where it is not configured.
func optionsOf[T any](c map[string]Configured, check string) *T {
	if o, ok := c[check].Options.(*T); ok {
		return o
	}
	return new(T)
}
