package config

import (
	"slices"
	"strings"

	"gatepost/rbl"
)

// RBL is the DNS lists of addresses and domains that are asked.
type RBL struct {
	Use   string    `toml:"use" enum:"commercial,non-commercial" doc:"What the lists are used for: commercial for a company's mail, non-commercial for private mail, as the terms of each list have it. Not set: no list is asked."`
	Lists []RBLList `toml:"list" doc:"A list of the catalogue (docs/lists.md)."`
	Own   []RBLOwn  `toml:"own" doc:"A list that the catalogue does not have, with its whole definition."`
}

// RBLAny is what is said of any list.
type RBLAny struct {
	Use     string   `toml:"use" enum:"commercial,non-commercial" doc:"As rbl.use, for this list. Not set: rbl.use."`
	Key     rbl.Key  `toml:"key" secret:"hidden" doc:"The key that the list's operator gave you. It is never shown. Better in a file of its own: key_file."`
	KeyFile string   `toml:"key_file" format:"path" example:"/etc/gatepost/dqs.key" doc:"A file that holds the key and nothing else; a reload reads it again."`
	Inputs  []string `toml:"inputs" enum:"client4,client6,helo,reverse,mailfrom,from,link,link4" doc:"What the list is asked about: the client's address of either kind, the name of HELO, the verified reverse name, the domain of MAIL FROM, the author's domain, the hosts that links lead to, and the addresses of links without a name. Not set: all that the catalogue has for it, of a list of your own the client's addresses."`
	Listed  []string `toml:"listed" rfc:"RFC 5782 section 5" doc:"Test points that are always listed: addresses or domains. Not set: the catalogue's, of a list of your own 127.0.0.2, or test for domains."`
	Free    []string `toml:"free" rfc:"RFC 5782 section 5" doc:"Test points that are never listed. Not set: the catalogue's, of a list of your own 127.0.0.1, or invalid for domains."`
	Quota   int      `toml:"quota" unit:"queries" min:"0" max:"1000000000" doc:"Queries in 24 hours that you may ask; at 80 % of it you are warned. 0: what the catalogue has, or none."`
}

// RBLList is one list of the catalogue.
type RBLList struct {
	Name    string         `toml:"name" format:"word" required:"true" example:"spamcop" doc:"Its name in the catalogue."`
	Weights map[string]int `toml:"weights" unit:"weight" min:"-10" max:"10" doc:"Weights of its return codes by their labels, laid over the catalogue's. 10 refuses alone; below zero speaks for the sender."`
	RBLAny
}

// RBLOwn is one list of the operator's own.
type RBLOwn struct {
	Name       string     `toml:"name" format:"word" required:"true" example:"partners" doc:"The name that you give it, in lower case."`
	Zone       string     `toml:"zone" max:"200" required:"true" example:"bl.example.org" doc:"The zone that is asked. A label {key} is the place of the key."`
	Registered bool       `toml:"registered" doc:"Ask about the registered domain only (example.co.uk, of mail.example.co.uk), where the list has no others."`
	Website    string     `toml:"website" format:"url" example:"https://lists.example.org/lookup" doc:"Where a listed sender can look and ask to be taken off; it stands in refusals."`
	Rules      []RBLRule  `toml:"rule" doc:"A return code that the list documents. Only these count."`
	Errors     []RBLError `toml:"error" doc:"A return code that says that the list did not answer. 127.255.255.*, and whatever is outside 127.0.0.0/8, always do."`
	RBLAny
}

// RBLRule is one return code.
type RBLRule struct {
	Answer rbl.Pattern `toml:"answer" required:"true" example:"127.0.0.2" doc:"The address that the list answers: four octets, each a number, a range (2-7), any (*) or a bit (&8)."`
	Label  string      `toml:"label" required:"true" max:"60" example:"spam trap" doc:"What the code means, in the words of the list's operator. It stands in refusals."`
	Weight int         `toml:"weight" min:"-10" max:"10" doc:"What it is worth: 10 refuses alone, below zero speaks for the sender, 0 is only shown."`
}

// RBLError is one error code.
type RBLError struct {
	Answer rbl.Pattern `toml:"answer" required:"true" example:"127.0.0.255" doc:"The address that the list answers, as in a rule."`
	Says   string      `toml:"says" required:"true" max:"100" example:"asked too often" doc:"What it says."`
}

// RBLUsed is a list as it is used.
type RBLUsed struct {
	List    rbl.List
	Use     rbl.Use
	Key     rbl.Key // where it stands in the document
	KeyFile string  // where the key is else
	Path    string  // of the list in the document: "rbl.list[spamcop]"
}

// Used returns the lists in their order, those of the catalogue first. What Validate refuses comes out as it may.
func (r *RBL) Used() []RBLUsed {
	if len(r.Lists)+len(r.Own) == 0 {
		return nil
	}
	return r.used(newCatalogue())
}

func (r *RBL) used(c catalogue) []RBLUsed {
	var out []RBLUsed
	for i := range r.Lists {
		l := &r.Lists[i]
		out = append(out, RBLUsed{List: l.list(c), Use: r.use(l.Use), Key: l.Key, KeyFile: l.KeyFile, Path: "rbl.list[" + l.Name + "]"})
	}
	for i := range r.Own {
		l := &r.Own[i]
		out = append(out, RBLUsed{List: l.list(), Use: r.use(l.Use), Key: l.Key, KeyFile: l.KeyFile, Path: "rbl.own[" + l.Name + "]"})
	}
	return out
}

// use is what a list is used for that says so, or does not.
func (r *RBL) use(own string) rbl.Use {
	if own == "" {
		own = r.Use
	}
	switch own {
	case "commercial":
		return rbl.Commercial
	case "non-commercial":
		return rbl.NonCommercial
	}
	return rbl.UseUnset
}

// catalogue is the well-known lists by name. It is read once for a document: there may be many lists in a hostile one.
type catalogue map[string]rbl.List

func newCatalogue() catalogue {
	c := catalogue{}
	for _, l := range rbl.Catalogue() {
		c[l.Name] = l
	}
	return c
}

// list is the definition of the catalogue with what the operator laid over it.
func (l *RBLList) list(c catalogue) rbl.List {
	out, known := c[l.Name]
	if !known {
		out.Name = l.Name
	}
	out.Rules = slices.Clone(out.Rules)
	for i := range out.Rules {
		if w, ok := l.Weights[out.Rules[i].Label]; ok {
			out.Rules[i].Weight = w
		}
	}
	l.lay(&out)
	return out
}

// list is the definition of the operator's own.
func (l *RBLOwn) list() rbl.List {
	out := rbl.List{Name: l.Name, Zone: strings.TrimSuffix(strings.ToLower(l.Zone), "."), Inputs: rbl.Client,
		Listed: []string{"127.0.0.2"}, Free: []string{"127.0.0.1"}, Website: l.Website, Commercial: true,
		Terms: "As agreed with its operator"}
	if rbl.InputsOf(l.Inputs)&rbl.Domains != 0 {
		out.Listed, out.Free = []string{"test"}, []string{"invalid"}
	}
	for _, r := range l.Rules {
		out.Rules = append(out.Rules, rbl.Rule{Answer: r.Answer, Label: r.Label, Weight: r.Weight})
	}
	for _, e := range l.Errors {
		out.Errors = append(out.Errors, rbl.Failure{Answer: e.Answer, Says: e.Says})
	}
	l.lay(&out)
	out.Registered = l.Registered
	return out
}

// lay lays what is said of any list over a definition.
func (l *RBLAny) lay(out *rbl.List) {
	if in := rbl.InputsOf(l.Inputs); in != 0 {
		out.Inputs = in
	}
	if len(l.Listed) > 0 {
		out.Listed = l.Listed
	}
	if len(l.Free) > 0 {
		out.Free = l.Free
	}
	if l.Quota > 0 {
		out.Quota = l.Quota
	}
}
