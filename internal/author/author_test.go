package author

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"
)

// told is an author in short: the domain, or the kinds of problems; then what is remarkable.
func told(a Author) string {
	var out []string
	if a.Domain != "" {
		out = append(out, a.Domain)
	}
	for _, p := range a.Problems {
		out = append(out, names[p.Kind])
	}
	for _, d := range a.Poses {
		out = append(out, "poses:"+d)
	}
	if a.Veiled {
		out = append(out, "veiled")
	}
	if a.EightBit {
		out = append(out, "8bit")
	}
	if a.Mbox {
		out = append(out, "mbox")
	}
	return strings.Join(out, " ")
}

var names = map[Kind]string{NoField: "NoField", SeveralFields: "SeveralFields", Disguised: "Disguised", Empty: "Empty", NoAddress: "NoAddress",
	SeveralAuthors: "SeveralAuthors", Group: "Group", EmptyGroup: "EmptyGroup", Route: "Route", Syntax: "Syntax", TextBehind: "TextBehind",
	InName: "InName", InEncoded: "InEncoded", InQuotes: "InQuotes", InComment: "InComment", EncodedAddress: "EncodedAddress",
	QuotedLocal: "QuotedLocal", EightBitAddress: "EightBitAddress", LookAlike: "LookAlike", BadDomain: "BadDomain", NoDomain: "NoDomain",
	Control: "Control", Folding: "Folding", BrokenAbove: "BrokenAbove", BrokenBelow: "BrokenBelow", TooLong: "TooLong"}

func b64(s string) string { return "=?utf-8?b?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }

// plainFields are fields as real mail has them, with what is told of each.
func plainFields() map[string]string {
	return map[string]string{
		"a@b.example":                          "b.example",
		"A.B-c_d+e=f@B.EXAMPLE":                "b.example",
		"<a@b.example>":                        "b.example",
		"Anna <a@b.example>":                   "b.example",
		"Anna<a@b.example>":                    "b.example",
		`"Anna" <a@b.example>`:                 "b.example",
		"\t\"Smith, Anna\"\r\n\t<a@b.example>": "b.example",
		"\r\n a@b.example":                     "b.example",
		"\r\n =?utf-8?b?w4Q=?=\r\n =?utf-8?b?w5w=?=\r\n <a@b.example>": "b.example",
		"a@b.example\r\n ":                                        "b.example",
		"a@b.example\r\n\t\r\n":                                   "b.example",
		"< a@b.example >":                                         "b.example",
		"Anna Q. Public <a@b.example>":                            "b.example",
		"Anna O'Neil-Smith <a@b.example>":                         "b.example",
		`"Dr. \"Anna\" Smith" <a@b.example>`:                      "b.example",
		`"\"Medtronic, Inc.\"" <a@b.example>`:                     "b.example", // OpenDMARC issue 72
		`"'X, Y' via Z" <spam@b.example>`:                         "b.example", // OpenDMARC issue 104
		`"Anna via List" <list@b.example>`:                        "b.example",
		"a@b.example (Anna Smith)":                                "b.example",
		"(Anna (the) Smith) a@b.example":                          "b.example",
		"Anna (Sales) <a@b.example> (away)":                       "b.example",
		"Anna Smith (Sales, North) <a@b.example>":                 "b.example",
		"=?iso-8859-1?Q?Last=DFName=2C_FirstName?= <a@b.example>": "b.example",
		"=?ISO-8859-1?Q?Moore=2C_Keith?= <a@b.example>":           "b.example",
		"=?UTF-8?Q?John_=22Johnny=22_Doe?= <a@b.example>":         "b.example",
		"=?utf-8?Q?Foo,_Bar?= <a@b.example>":                      "b.example",
		"=?utf-8?Q?Foo Bar?= <a@b.example>":                       "b.example",
		"=?utf-8?q?Foo?=<a@b.example>":                            "b.example",
		"\"=?utf-8?q?Foo?=\" <a@b.example>":                       "b.example",
		"=?ISO-2022-JP?B?GyRCO0U7dRsoQg==?= <a@b.example>":        "b.example",
		"=?ISO-2022-JP?B?GyRCPEA8QSVAGyhC?= <a@b.example>":        "b.example", // two-octet text with "<" and "@" in it
		"=?Shift_JIS?B?g0CDQIM8?= <a@b.example>":                  "b.example",
		"=?gb2312?B?1dTT77e9?= <a@b.example>":                     "b.example",
		"=?big5?B?pECmQA==?= <a@b.example>":                       "b.example",
		"=?koi8-r?B?6dfBziDp18HOz9c=?= <a@b.example>":             "b.example",
		"=?windows-1251?Q?=C8=E2=E0=ED?= <a@b.example>":           "b.example",
		"=?unknown?x?Foo?= <a@b.example>":                         "b.example",
		"=?utf-8*de?q?M=C3=BCller?= <a@b.example>":                "b.example",
		"Smith, Anna <a@b.example>":                               "b.example", // without quotes, and yet one address only
		"Service: Desk <a@b.example>":                             "b.example",
		"Foo; Bar <a@b.example>":                                  "b.example",
		"[List] Foo <a@b.example>":                                "b.example",
		`\"Foo\" <a@b.example>`:                                   "b.example",
		`"Foo <a@b.example>`:                                      "b.example",
		"Foo :-) <a@b.example>":                                   "b.example",
		"Foo <a@b.example>,":                                      "b.example",
		"a@b.example;":                                            "b.example",
		"Sales @ Night <a@b.example>":                             "b.example",
		"a@b.example <a@b.example>":                               "b.example", // the address as its own name, without quotes
		"other@B.Example <a@b.example>":                           "b.example",
		`"a@b.example" <a@b.example>`:                             "b.example",
		`"a@mail.b.example" <a@b.example>`:                        "b.example",
		"<a..b@b.example>":                                        "b.example",
		"<a.@b.example>":                                          "b.example",
		`<"a b"@b.example>`:                                       "b.example",
		"<user%other.example@b.example>":                          "b.example",
		"<a@foo_bar.b.example>":                                   "foo_bar.b.example",
		"<a@xn--bcher-kva.example>":                               "xn--bcher-kva.example",
		"M\xc3\xbcller <a@b.example>":                             "b.example 8bit",
		"M\xfcller <a@b.example>":                                 "b.example 8bit",
		"\"M\xfcller, A\" <a@b.example>":                          "b.example 8bit",
		"a@b.example (M\xfcller)":                                 "b.example 8bit",
		// What deceives, and leaves no client another author.
		`"ceo@bank.example" <x@evil.example>`:                         "evil.example poses:bank.example",
		`"The CEO <ceo@bank.example>" <x@evil.example>`:               "evil.example poses:bank.example",
		`"ceo@BANK.example, x@two.example" <x@evil.example>`:          "evil.example poses:bank.example poses:two.example",
		"Foo (foo@bar.example) <baz@baz.example>":                     "baz.example poses:bar.example",
		"=?utf-8?q?ceo=40bank=2Eexample?= <x@evil.example>":           "evil.example poses:bank.example",
		"=?utf-8?q?ceo@bank.example_via_X?= <x@evil.example>":         "evil.example poses:bank.example",
		b64("ceo@bank.example") + " <x@evil.example>":                 "evil.example poses:bank.example",
		b64("ceo") + " " + b64("@bank.example") + " <x@evil.example>": "evil.example poses:bank.example",
		b64("Doe, John (doe@bank.example)") + " <x@evil.example>":     "evil.example poses:bank.example",
		"=?utf-7?q?ceo+AEA-bank.example?= <x@evil.example>":           "evil.example poses:bank.example",
		b64("ceo＠bank.example") + " <x@evil.example>":                 "evil.example poses:bank.example",
		b64("ceo@bänk.example") + " <x@evil.example>":                 "evil.example poses:xn--bnk-qla.example",
		`"ceo@evil.bank.example" <x@bank.example>`:                    "bank.example",
		`"ceo@example" <x@evil.example>`:                              "evil.example",
		`"Someone @bank.example" <x@evil.example>`:                    "evil.example",
		b64("\u202eelpmaxe.knab") + " <x@evil.example>":               "evil.example veiled",
		b64("ceo\x00 x") + " <x@evil.example>":                        "evil.example veiled",
		b64("\u200fשלום") + " <x@evil.example>":                       "evil.example",
	}
}

// plainValues are those fields.
func plainValues() []string { return slices.Collect(maps.Keys(plainFields())) }

// TestPlain is From as real mail has it: what must read as one author, and what is told of it besides.
func TestPlain(t *testing.T) {
	for value, want := range plainFields() {
		a := Of([]byte("From:"+value+"\r\n"), false)
		if got := told(a); got != want {
			t.Errorf("%q: %s, want %s (%v)", value, got, want, a)
		}
		if len(a.Addresses) != 1 || len(a.Problems) != 0 {
			t.Errorf("%q: %v", value, a)
		}
	}
}

// TestHostile is From as it is sent to be read in two ways, or as nobody can read it. None may read as one author.
func TestHostile(t *testing.T) {
	long := strings.Repeat("a", 64)
	for value, want := range map[string]string{
		"":                    "Empty",
		" \r\n\t":             "Empty",
		"<>":                  "Empty",
		"< >":                 "Empty",
		"Anna <>":             "Empty",
		"Anna":                "NoAddress",
		"MAILER-DAEMON":       "NoAddress",
		"<postmaster>":        "NoAddress",
		b64("a@bank.example"): "NoAddress",
		// Several, in every dress of the paper's figure 8.
		"a@bank.example, x@evil.example":                                       "SeveralAuthors",
		"a@b.example, c@b.example":                                             "SeveralAuthors",
		"<first@evil.example>, <admin@bank.example>":                           "SeveralAuthors",
		"<first@evil.example> <admin@bank.example>":                            "SeveralAuthors",
		"<first@evil.example>;<admin@bank.example>":                            "SeveralAuthors",
		`<admin@bank.example>\,<second@evil.example>`:                          "SeveralAuthors",
		"admin@bank.example,<second@evil.example>":                             "SeveralAuthors",
		"admin@evil.example,<second@evil.example>":                             "SeveralAuthors",
		"<any@evil.example>admin@bank.example":                                 "SeveralAuthors",
		"<any@evil.example>,admin@bank.example":                                "SeveralAuthors",
		"a@b.example c@d.example":                                              "SeveralAuthors",
		"admin@gm@ail.example":                                                 "SeveralAuthors",
		b64("<admin@bank.example>") + ",<second@evil.example>":                 "InEncoded",
		b64("admin@bank.example,") + " <second@evil.example>":                  "InEncoded",
		b64("admin@bank.example") + ",<second@evil.example>":                   "InEncoded",
		b64("<admin@bank.example>") + " <second@evil.example>":                 "InEncoded",
		b64("<adm") + " " + b64("in@bank.example>") + " <second@evil.example>": "InEncoded",
		`"` + b64("<admin@bank.example>") + `" <second@evil.example>`:          "InEncoded",
		"=?utf-8?q?<admin@bank.example>?= <second@evil.example>":               "InEncoded",
		"=?utf-8?q?=3Cadmin=40bank.example=3E x?= <second@evil.example>":       "InEncoded",
		"=?utf-7?q?+ADw-admin+AEA-bank.example+AD4-?= <second@evil.example>":   "InEncoded",
		"=?iso-2022-jp?q?=3Cadmin=40bank.example=3E?= <second@evil.example>":   "InEncoded",
		"<@evil.example,@any.example:admin@bank.example>":                      "Route",
		"<@evil.example:admin@bank.example>":                                   "Route",
		"@evil.example:admin@bank.example":                                     "Group",
		// Names that are addresses.
		"ceo@bank.example <x@evil.example>":                          "InName",
		"ceo @ bank . example <x@evil.example>":                      "InName",
		"ceo@(x)bank.example <x@evil.example>":                       "InName",
		`ceo@"bank.example" <x@evil.example>`:                        "InName",
		"ceo@bank.example: x <x@evil.example>":                       "InName",
		"ceo@bank.example <x@evil.bank.example>":                     "InName",
		"=?utf-8?q?=3Cceo=40bank.example=3E?= <x@evil.bank.example>": "InEncoded",
		`\"<ceo@bank.example>" <x@evil.example>`:                     "InQuotes",
		`"5\" pipe" "<ceo@bank.example>" <x@evil.example>`:           "InQuotes",
		`( " ) "<ceo@bank.example>", <x@evil.example>`:               "InComment",
		"=?utf-8?q?=22?= \"<ceo@bank.example>\" <x@evil.example>":    "InEncoded",
		"a@evil.example ceo@bank.example <x@evil.example>":           "InName",
		`"a\" <ceo@bank.example> \"" <x@evil.example>`:               "InQuotes",
		`(<) "ceo@bank.example" (>) <x@evil.example>`:                "InComment",
		"(<ceo@bank.example>) <x@evil.example>":                      "InComment",
		"(ceo@bank.example, x) <x@evil.example>":                     "InComment",
		`"ceo@bank.example <x@evil.example>`:                         "Syntax",
		"(ceo@bank.example <x@evil.example>":                         "Syntax",
		// Comments in and around the address.
		"a@evil.example (ceo@bank.example)":     "InComment",
		"(<) a@evil.example":                    "InComment",
		"<a@evil.example> (<ceo@bank.example>)": "InComment",
		"<a@evil.example> (ceo@bank.example)":   "InComment",
		"<a(x)@evil.example>":                   "InComment",
		"<a@(x)evil.example>":                   "InComment",
		"<(ceo@bank.example)a@evil.example>":    "InComment",
		"a(x)@evil.example":                     "Syntax",
		"a@evil.example(.bank.example":          "Syntax",
		"<a@bank.example(.evil.example>":        "Syntax",
		// Groups.
		"Team: a@b.example;":              "Group",
		"Team: <a@b.example>;":            "Group",
		"Team: a@b.example, c@d.example;": "Group",
		"ceo@bank.example:;":              "Group",
		b64("ceo@bank.example") + ":;":    "Group",
		":;":                              "Group",
		"undisclosed-recipients:;":        "EmptyGroup",
		"Undisclosed recipients: ;":       "EmptyGroup",
		"undisclosed:":                    "EmptyGroup",
		// Shapes.
		"Anna a@b.example":     "Syntax",
		"Anna, a@b.example":    "Syntax",
		"Anna <a@b.example":    "Syntax",
		"Anna a@b.example>":    "Syntax",
		">a@b.example<":        "Syntax",
		"<<a@b.example>>":      "Syntax",
		"<a@b.example>>":       "Syntax",
		"<a@b.example> Anna":   "TextBehind",
		`<a@b.example> "Anna"`: "TextBehind",
		"<a@b.example>x":       "TextBehind",
		"<a @b.example>":       "Syntax",
		"<a@ b.example>":       "Syntax",
		"<a b@c.example>":      "Syntax",
		"a @ b.example":        "Syntax",
		"<@b.example>":         "Route",
		"<a@>":                 "Syntax",
		"@b.example":           "Syntax",
		`a\@b.example`:         "Syntax",
		// What the address is made of.
		b64("potus@bank.example") + "=?utf-8?Q?=00?=" + "@evil.example": "EncodedAddress", // mailsploit
		"<" + b64("ceo@bank.example") + "@evil.example>":                "EncodedAddress",
		"<x=?utf-8?q?ceo?=@evil.example>":                               "EncodedAddress",
		`<"=?utf-8?q?ceo?="@evil.example>`:                              "EncodedAddress",
		`<"ceo@bank.example"@evil.example>`:                             "QuotedLocal",
		`"Someone <someone@junk.example>"@b.example`:                    "QuotedLocal", // OpenDMARC issue 243
		`<"a\"b"@evil.example>`:                                         "QuotedLocal",
		`<"ceo@bank.example> "@evil.example>`:                           "QuotedLocal",
		`<""@evil.example>`:                                             "QuotedLocal",
		"<a\xfc@b.example>":                                             "EightBitAddress",
		"<ä@b.example>":                                                 "EightBitAddress",
		"<a@bänk.example>":                                              "EightBitAddress",
		"<a@b.example.>":                                                "BadDomain",
		"<a@.b.example>":                                                "BadDomain",
		"<a@b..example>":                                                "BadDomain",
		"<a@-b.example>":                                                "BadDomain",
		"<a@b$.example>":                                                "BadDomain",
		"<a@bank.example'evil.example>":                                 "BadDomain",
		"<a@xn--.example>":                                              "BadDomain",
		"<a@xn--a-.example>":                                            "BadDomain",
		"<a@" + long + ".example>":                                      "BadDomain",
		"<a@" + strings.Repeat(long[:60]+".", 5) + "example>":           "TooLong",
		"<" + strings.Repeat(long, 5) + "@b.example>":                   "TooLong",
		"A <a@b.example>" + strings.Repeat(" ", 9) + strings.Repeat("(x)", 2000): "TooLong",
		"root@localhost":         "NoDomain",
		"<a@[192.0.2.1]>":        "NoDomain",
		"<a@[IPv6:2001:db8::1]>": "NoDomain",
		"<a@192.0.2.1>":          "NoDomain",
		"<a@[bank.example]>":     "Syntax",
		"<a@bank.example[x]>":    "Syntax",
		// Octets and folds.
		"a@b.example\x00.evil.example":      "Control",
		"\x00 a@b.example":                  "Control",
		"a\x7f@b.example":                   "Control",
		"a@b.example\n":                     "b.example",
		"a\n@b.example":                     "NoAddress BrokenBelow",
		"a@b\r.example":                     "Control",
		"A\x1b <a@b.example>":               "Control",
		"a@b.example,\r\n \r\n c@d.example": "Folding",
		"\r\n \r\n a@b.example":             "Folding",
		"Anna\r\n\t\r\n <a@b.example>":      "Folding",
	} {
		a := Of([]byte("From:"+value+"\r\n"), false)
		if got := told(a); got != want {
			t.Errorf("%q: %s, want %s (%v)", value, got, want, a)
		}
	}
}

// TestUTF8 is what SMTPUTF8 allows in an address, and what looks like something else.
func TestUTF8(t *testing.T) {
	for value, want := range map[string]string{
		"Ä <ä@b.example>":                     "b.example 8bit",
		"<a@bücher.example>":                  "xn--bcher-kva.example 8bit",
		"<a@BÜCHER.example>":                  "xn--bcher-kva.example 8bit",
		"<用户@例え.example>":                     "xn--r8jz45g.example 8bit",
		"<a@xn--bcher-kva.example>":           "xn--bcher-kva.example",
		"<a\xfc@b.example>":                   "EightBitAddress",
		"<a@b\xfc.example>":                   "EightBitAddress",
		"<ceo＠bank.example@evil.example>":     "LookAlike",
		"<ceo﹫bank.example@evil.example>":     "LookAlike",
		"<ceo@bank．example>":                  "LookAlike",
		"<ceo@bank。example>":                  "LookAlike",
		"<ceo@ｂank.example>":                  "LookAlike",
		"＜ceo@bank.example＞ <x@evil.example>": "InName",
		"<x＜ceo@evil.example>":                "LookAlike",
		"<a\u200b@b.example>":                 "LookAlike",
		"<a\u202e@b.example>":                 "LookAlike",
		"<a\u00a0b@b.example>":                "LookAlike",
		"<a@b\u00ad.example>":                 "LookAlike",
		"<ceo，x@evil.example>":                "LookAlike",
	} {
		a := Of([]byte("From: "+value+"\r\n"), true)
		if got := told(a); got != want {
			t.Errorf("%q: %s, want %s (%v)", value, got, want, a)
		}
	}
}

// TestFields is the header section around From: which fields are one, and which only look like it.
func TestFields(t *testing.T) {
	const good = "From: a@b.example\r\n"
	many := strings.Repeat("A:\r\n", 20_000)
	for header, want := range map[string]string{
		"":                     "NoField",
		"To: a@b.example\r\n":  "NoField",
		good:                   "b.example",
		"fRoM:a@b.example\r\n": "b.example",
		"From: a@b.example":    "b.example",
		"Subject: x\r\nFrom: a@b.example\r\n c@d.example\r\nTo: y\r\n": "SeveralAuthors",
		good + good:                    "SeveralFields",
		good + "FROM: c@d.example\r\n": "SeveralFields",
		good + "X: y\r\njunk\r\nfrom: c@d.example\r\n": "SeveralFields",
		good + many + "From: c@d.example\r\n":          "SeveralFields",
		strings.Repeat(good, 100):                      "SeveralFields",
		// The same by other means (figure 6 of the paper).
		" From: c@d.example\r\n" + good:                        "Disguised",
		good + "From : c@d.example\r\n":                        "Disguised",
		good + "From\t: c@d.example\r\n":                       "Disguised",
		good + "From\r\n : c@d.example\r\n":                    "Disguised",
		"From : c@d.example\r\n":                               "Disguised NoField",
		good + "F rom: c@d.example\r\n":                        "Disguised",
		good + "From\x00: c@d.example\r\n":                     "Disguised",
		good + "From\x00x: c@d.example\r\n":                    "Disguised",
		good + "\x00From: c@d.example\r\n":                     "Disguised",
		good + "\x08From: c@d.example\r\n":                     "Disguised",
		good + "From\u200b: c@d.example\r\n":                   "Disguised",
		good + "\ufeffFrom: c@d.example\r\n":                   "Disguised",
		good + "Fr\xffom: c@d.example\r\n":                     "Disguised",
		good + "Ｆｒｏｍ: c@d.example\r\n":                         "Disguised",
		good + "Frоm: c@d.example\r\n":                         "Disguised", // Cyrillic
		good + "Ϝrοм: c@d.example\r\n":                         "Disguised",
		good + "𝐅𝐫𝐨𝐦: c@d.example\r\n":                         "Disguised",
		good + "Frôm: c@d.example\r\n":                         "Disguised",
		good + "From：c@d.example\r\n":                          "Disguised",
		good + "From\r\n":                                      "Disguised",
		good + "From c@d.example\r\n":                          "Disguised",
		good + "From c@d.example Tue Nov 24 00:00:00 2026\r\n": "Disguised",
		// What is none.
		"From c@d.example Tue Nov 24 00:00:00 2026\r\n" + good:         "b.example mbox",
		"From c@d.example  x\r\n" + good:                               "Disguised",
		">From c@d.example Tue Nov 24 00:00:00 2026\r\n" + good:        "b.example mbox",
		"X: y\r\nFrom c@d.example Tue Nov 24 00:00:00 2026\r\n" + good: "Disguised",
		"no field\r\n" + good:                                          "BrokenAbove",
		good + "no field\r\n":                                          "BrokenBelow",
		good + ".evil.example\r\nTo: x@y.example\r\n":                  "BrokenBelow",
		"X: y\r\nno field\r\n" + good:                                  "BrokenAbove",
		good + "X: y\r\nno field\r\n":                                  "b.example",
		"a b: c\r\n" + good:                                            "BrokenAbove",
		"a\r\n : c\r\n" + good:                                         "BrokenAbove",
		"a \t: c\r\n" + good:                                           "b.example",
		": c\r\n" + good:                                               "BrokenAbove",
		" a: c\r\n" + good:                                             "BrokenAbove",
		"\xe9: c\r\n" + good:                                           "BrokenAbove",
		"a\x0b: c\r\n" + good:                                          "BrokenAbove",
		"no field\r\n":                                                 "NoField",
		good + "Sender: c@d.example\r\nResent-From: e@f.example\r\nReply-To: g@h.example\r\nX-From: i@j.example\r\n": "b.example",
		good + "Feedback-ID: x\r\nFrom-Spam: x\r\nFromage: x\r\nFront: y\r\nF: y\r\n":                                "b.example",
		"Sender: c@d.example\r\nResent-From: e@f.example\r\n":                                                        "NoField",
		good + "X: y\r\n From: c@d.example\r\n":                                                                      "b.example", // a folded line of X, for everybody
	} {
		a := Of([]byte(header), false)
		if got := told(a); got != want {
			t.Errorf("%.200q: %s, want %s", header, got, want)
		}
	}
}

// TestDomains shows that whom an ambiguous From names is told all the same.
func TestDomains(t *testing.T) {
	for header, want := range map[string]string{
		"From: a@one.example, b@TWO.example\r\nFrom: Anna <c@three.example>\r\n": "one.example two.example three.example",
		"From: <@route.example:a@one.example>\r\n":                               "one.example",
		"From: a@[192.0.2.1], root@localhost\r\n":                                "localhost",
	} {
		if a := Of([]byte(header), false); strings.Join(a.Domains, " ") != want || a.Domain != "" {
			t.Errorf("%q: %v, want %s", header, a.Domains, want)
		}
	}
	a := Of([]byte("From: "+strings.Repeat("a@b.example, ", 200)+"\r\n"), false)
	if len(a.Addresses) != maxAddresses || len(a.Domains) != 1 {
		t.Errorf("%d addresses, %v", len(a.Addresses), a.Domains)
	}
}

func TestWords(t *testing.T) {
	for k := NoField; k <= TooLong; k++ {
		if names[k] == "" || strings.HasPrefix(k.String(), "unknown") {
			t.Errorf("kind %d has no words", k)
		}
	}
	if s := (Problem{InName, clean("a\xff\r\n" + strings.Repeat("x", 100))}).String(); s != "another address stands unquoted in its From field (a???"+strings.Repeat("x", 76)+")" {
		t.Error(s)
	}
	if s := Kind(200).String(); s != "unknown problem 200" {
		t.Error(s)
	}
}

// TestWorkIsLinear counts what is allocated for a field of many addresses and of many pieces that each make one look at the
// addresses: twice as many of both cost twice as much, not four times.
func TestWorkIsLinear(t *testing.T) {
	for _, piece := range []string{"(<)", "(,)", `"\\<"`, `"<\\>"`, "=?utf-8?q?=3C?="} {
		cost := func(n int) float64 {
			field := []byte("From: " + strings.Repeat(piece+" ", n) + strings.Repeat("a@xn--bcher-kva.cc ", n) + "<x@xn--bcher-kva.cc>\r\n")
			return testing.AllocsPerRun(5, func() { Of(field, false) })
		}
		if one, two := cost(50), cost(100); two > 2.5*one {
			t.Errorf("%s: %.0f allocations, and %.0f for twice as many", piece, one, two)
		}
	}
}
