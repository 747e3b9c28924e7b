package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"gatepost/internal/cli"
	"gatepost/internal/mime"
)

// maxMIMEFile is how big a message may be that is looked at by hand.
const maxMIMEFile = 256 << 20

// mimePart is a part as --json prints it.
type mimePart struct {
	Part        string   `json:"part"`
	Type        string   `json:"type"`
	Encoding    string   `json:"encoding,omitempty"`
	Disposition string   `json:"disposition,omitempty"`
	Names       []string `json:"names,omitempty"`
	Leaf        bool     `json:"leaf"`
	Octets      int64    `json:"octets,omitempty"`
	SHA256      string   `json:"sha256,omitempty"`
	Doubtful    bool     `json:"doubtful,omitempty"`
}

// mimeDefect is a defect as --json prints it.
type mimeDefect struct {
	Part   string `json:"part"`
	Defect string `json:"defect"`
	Text   string `json:"text,omitempty"`
}

// mimeTree prints what a message is made of, as the checks of its content see it. It needs no daemon and no configuration.
func mimeTree(_ context.Context, e cli.Env, args []string) int {
	f := cli.NewFlags(e, "mime")
	name, ok := f.One(e, args, "name a message file; - is the standard input")
	if !ok {
		return cli.Usage
	}
	text, _, err := readMessage(name, maxMIMEFile)
	if err != nil {
		return cli.Complain(e, "mime", err)
	}
	t, err := mime.Walk(mime.Bytes(text), mime.DefaultLimits())
	if err != nil {
		return cli.Complain(e, "mime", err)
	}
	if !f.JSON {
		fmt.Fprint(e.Out, t)
		return cli.Done
	}
	enc := json.NewEncoder(e.Out)
	for i := range t.Parts {
		p := &t.Parts[i]
		line := mimePart{Part: p.Path, Type: p.Type, Encoding: p.Encoding, Disposition: p.Disposition, Names: p.Names, Leaf: p.Leaf,
			Octets: p.Octets, Doubtful: p.Doubt}
		if p.SHA256 != [32]byte{} {
			line.SHA256 = hex.EncodeToString(p.SHA256[:])
		}
		if enc.Encode(line) != nil {
			return cli.Found
		}
	}
	for _, d := range t.Defects {
		if enc.Encode(mimeDefect{Part: t.Parts[d.Part].Path, Defect: string(d.Kind), Text: d.Text}) != nil {
			return cli.Found
		}
	}
	return cli.Done
}
