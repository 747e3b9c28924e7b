package author

// Mailbox is an address with the name that is shown for it.
type Mailbox struct {
	Name    string // decoded; "" for none
	Address Address
}

// Mailbox is the author's; the zero value wherever there is no one author.
func (a *Author) Mailbox() Mailbox {
	if len(a.Addresses) != 1 {
		return Mailbox{}
	}
	return Mailbox{a.Name, a.Addresses[0]}
}

// Mailboxes reads the mailboxes of another field of addresses, such as Reply-To, as well as it can: at most so many of them.
// Only of a single one is the name told.
func Mailboxes(value string, most int) []Mailbox {
	var a Author
	a.value([]byte(value), true)
	if len(a.Addresses) == 1 {
		return []Mailbox{a.Mailbox()}
	}
	var out []Mailbox
	for _, address := range a.Addresses[:min(len(a.Addresses), most)] {
		out = append(out, Mailbox{Address: address})
	}
	return out
}

// maxName bounds the name that is kept, in octets; no client shows so much of it.
const maxName = 320
