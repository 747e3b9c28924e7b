package office

import (
	"encoding/xml"
	"strconv"
	"strings"
)

// fields reads the fields of a part of Word: ECMA-376 part 1, 17.16.18. An instruction may be spread over many runs, and have
// fields in it, whose results become part of it: { DDEAUTO { QUOTE 99 109 100 } }.
func (z *zipped) fields(b []byte) {
	const most = 4096
	var open []string // instructions that are being read, the innermost last

	text := false
	tokens(z.w, b, func(t xml.Token) {
		switch t := t.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "fldSimple":
				field(z.w, z.at, attr(t, "instr"))
			case "instrText", "delInstrText":
				text = true
			case "fldChar":
				switch attr(t, "fldCharType") {
				case "begin":
					if len(open) < 64 {
						open = append(open, "")
					}
				case "end":
					if len(open) == 0 {
						return
					}
					last := open[len(open)-1]
					open = open[:len(open)-1]
					field(z.w, z.at, last)
					if n := len(open); n > 0 && len(open[n-1]) < most {
						if is, ok := quote(last); ok {
							open[n-1] += is
						}
					}
				}
			}
		case xml.EndElement:
			text = text && t.Name.Local != "instrText" && t.Name.Local != "delInstrText"
		case xml.CharData:
			if !text {
				return
			}
			if len(open) == 0 {
				open = append(open, "")
			}
			if n := len(open); len(open[n-1]) < most {
				open[n-1] += short(string(t), most)
			}
		}
	})
	for _, o := range open { // never ended: Word shows them as it can
		field(z.w, z.at, o)
	}
}

// quote is the text that a field QUOTE makes of numbers.
func quote(instruction string) (string, bool) {
	words := strings.Fields(instruction)
	if len(words) == 0 || !strings.EqualFold(words[0], "QUOTE") {
		return "", false
	}
	var s strings.Builder
	for _, word := range words[1:] {
		if n, err := strconv.ParseUint(word, 0, 16); err == nil && n >= 32 && n < 0xd800 {
			s.WriteRune(rune(n))
			continue
		}
		s.WriteString(strings.Trim(word, `"`))
		s.WriteByte(' ')
	}
	return s.String(), true
}
