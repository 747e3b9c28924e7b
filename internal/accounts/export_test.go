package accounts

// Hashes is how many hashes were made: what tests count where others would time.
func (a *Accounts) Hashes() int64 { return a.hasher.made.Load() }

// HoldHash keeps the one place for hashing until the function that it returns is called.
func (a *Accounts) HoldHash() func() {
	a.hasher.slot <- struct{}{}
	return func() { <-a.hasher.slot }
}

// What tests of parsers call.
var (
	ParsePHC  = func(s string) (string, error) { h, err := parsePHC(s); return h.String(), err }
	PlainCode = plainCode
	SixDigits = sixDigits
	CodeAt    = codeAt
	Ticket    = ticketBytes
)
