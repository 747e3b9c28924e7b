package filters

import (
	"context"
	"slices"
	"strconv"

	"gatepost/gateway"
	"gatepost/internal/mime"
)

// mimeCheck looks at how the message is made.
func mimeCheck() Definition {
	return Definition{
		Name: "mime", Stage: gateway.Data, Class: gateway.ClassContent, Parts: true,
		Doc:    "Is the message made so that all mail clients show the same? Each place where they may disagree is a measure. What only some of them would show, since a field stands there twice or content lies outside of the parts, is looked at like any other part, and costs the points of hidden besides. What is nested too deeply or has too many parts is not looked at.",
		RFC:    "RFC 2045, RFC 2046, RFC 2047, RFC 2183, RFC 2231",
		Action: gateway.ActionScore, Unknown: gateway.ActionDefer,
		Reasons:  map[gateway.Reason]gateway.Action{gateway.MIMEAmbiguous: gateway.ActionScore, gateway.MIMELimits: gateway.ActionQuarantine, gateway.MIMEPartial: gateway.ActionQuarantine},
		Measures: mimeMeasures(),
		Build: func(any, *Deps) (Built, error) {
			return Built{Run: func(_ context.Context, in *gateway.Input) gateway.Finding { return runMIME(in) }, Ready: always}, nil
		},
	}
}

// mimeMeasures are the kinds of defect with their prices. What newsletters, mailing lists, bounces and old clients do all the
// time costs nothing or little; what nobody does by accident costs much.
func mimeMeasures() []Measure {
	return []Measure{
		{"hidden", "a part that only some clients show: a second reading of a field, or content outside of the parts", 3},
		{string(mime.TypeRepeated), "several Content-Type fields of one part", 2},
		{string(mime.TypeBroken), "a Content-Type that cannot be read by RFC 2045", 0.5},
		{string(mime.ParamRepeated), "one parameter twice, with different values", 1},
		{string(mime.NameSplit), "a name that clients put together differently, or two that differ", 0.5},
		{string(mime.EncodingRepeated), "several Content-Transfer-Encoding fields that differ", 1},
		{string(mime.EncodingUnknown), "a transfer encoding that RFC 2045 has not", 0.2},
		{string(mime.EncodingNested), "a multipart or a message in base64 or quoted-printable", 0.2},
		{string(mime.Base64Broken), "base64 with octets that are not of the alphabet, a padding in the middle, or a cut end", 0.2},
		{string(mime.QuotedBroken), "quoted-printable with an equals sign before what is no number", 0},
		{string(mime.BoundaryMissing), "a multipart without a boundary", 1},
		{string(mime.BoundaryOdd), "a boundary that RFC 2046 does not allow, or that is the beginning of another", 0.1},
		{string(mime.EndMissing), "a multipart whose last boundary never comes", 0.1},
		{string(mime.PreambleText), "more than a notice before the first boundary, or behind the last", 0.5},
		{string(mime.HeaderBroken), "a line among the fields of a part that is no field", 0.5},
		{string(mime.CharsetUnknown), "a charset that nobody knows", 0},
		{string(mime.CharsetOdd), "a charset that hides US-ASCII: UTF-7, UTF-16, EBCDIC and others", 1},
		{string(mime.WordBroken), "a name with an encoded word that cannot be decoded", 0.1},
		{string(mime.Partial), "a piece of a message, which is put together where nobody scans", 3},
		{string(mime.ExternalBody), "content that lies elsewhere", 2},
		{string(mime.UUEncoded), "a uuencoded, yEnc or BinHex file in a text", 0.5},
		{string(mime.MissingVersion), "MIME fields without MIME-Version", 0},
		{string(mime.TooMany), "more parts, or more readings of them, than are looked at", 0},
		{string(mime.TooDeep), "parts that are nested deeper than is looked at", 0},
		{string(mime.TooBig), "a header section of a part that is bigger than is looked at", 0},
	}
}

// maxDefectsShown bounds how many defects are shown of a message.
const maxDefectsShown = 20

func runMIME(in *gateway.Input) gateway.Finding {
	t := tree(in)
	if t == nil {
		return gateway.CouldNotTell(gateway.ScannerFailed).Show("message", "it cannot be read")
	}
	f := gateway.Passed()
	seen := map[mime.Kind]int{}
	for i, d := range t.Defects {
		if i < maxDefectsShown {
			f = f.Show(string(d.Kind), partName(t, d.Part)+": "+d.Text)
		}
		if seen[d.Kind]++; seen[d.Kind] == 1 {
			f = f.With(gateway.Measure{Name: string(d.Kind), Value: 1, Text: gateway.CleanText(d.Text, 100)})
		}
	}
	if n := len(t.Defects); n > maxDefectsShown {
		f = f.Show("defects", strconv.Itoa(n)+" in all")
	}
	if hidden := hiddenParts(t); len(hidden) > 0 {
		f.Result, f.Reason, f.Args, f.Parts = gateway.Fail, gateway.MIMEAmbiguous, []string{whyHidden(t)}, hidden
		first := &t.Parts[hidden[0]]
		f = f.With(gateway.Measure{Name: "hidden", Value: 1, Text: gateway.CleanText(first.Type+" "+first.Name(), 100)})
	}
	if seen[mime.Partial] > 0 {
		f.Result, f.Reason, f.Args = gateway.Fail, gateway.MIMEPartial, nil
	}
	for _, kind := range [...]mime.Kind{mime.TooMany, mime.TooDeep, mime.TooBig} {
		if seen[kind] > 0 {
			f.Result, f.Reason, f.Args = gateway.Fail, gateway.MIMELimits, []string{string(kind)}
			break
		}
	}
	return f
}

// partName is how a part is called in evidence.
func partName(t *mime.Tree, part int) string {
	if path := t.Parts[part].Path; path != "" {
		return "part " + path
	}
	return "message"
}

// hiddenParts are the doubtful parts that have content, but for files in a text, which nobody who reads the text overlooks.
func hiddenParts(t *mime.Tree) []int {
	var out []int
	for i := range t.Parts {
		p := &t.Parts[i]
		if p.Doubt && p.Leaf && p.Octets > 0 && p.Encoding != "x-uuencode" && p.Encoding != "x-yenc" {
			out = append(out, i)
		}
	}
	return out
}

// hiding are the defects by which content can be hidden, the most telling first.
var hiding = [...]mime.Kind{mime.TypeRepeated, mime.EncodingRepeated, mime.PreambleText, mime.BoundaryMissing, mime.ParamRepeated,
	mime.TypeBroken, mime.BoundaryOdd, mime.EncodingNested}

// whyHidden names what hides a part, for the sender's postmaster.
func whyHidden(t *mime.Tree) string {
	for _, kind := range hiding {
		if slices.ContainsFunc(t.Defects, func(d mime.Defect) bool { return d.Kind == kind }) {
			return string(kind)
		}
	}
	return "hidden"
}
