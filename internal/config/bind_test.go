package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// colour reads itself, and its own error becomes the message.
type colour int

func (c *colour) UnmarshalText(text []byte) error {
	switch string(text) {
	case "red":
		*c = 1
	case "blue":
		*c = 2
	case "grey":
		return &ValueError{"is no colour of ours", `write "red"`}
	default:
		return errors.New("colour " + string(text) + " is not made")
	}
	return nil
}

func (c colour) MarshalText() ([]byte, error) {
	return []byte([]string{"", "red", "blue"}[c]), nil
}

type shared struct {
	Common string `toml:"common" default:"c" doc:"d"`
}

type piece struct {
	Size  int           `toml:"size" unit:"bytes" default:"2K" doc:"d"`
	Twice int           `toml:"-"`
	Wait  time.Duration `toml:"wait" doc:"d"`
}

func (p *piece) Fill() { p.Twice = 2 * p.Size }

// document has what the two documents of the project have not.
type document struct {
	shared
	Colour  colour                `toml:"colour" default:"red" doc:"d"`
	Colours []colour              `toml:"colours" doc:"d"`
	Small   uint8                 `toml:"small" doc:"d"`
	Signed  int8                  `toml:"signed" doc:"d"`
	Maybe   *int                  `toml:"maybe" min:"1" doc:"d"`
	Names   map[string]string     `toml:"names" format:"domain" doc:"d"`
	Nets    map[string]netip.Addr `toml:"nets" doc:"d"`
	Part    piece                 `toml:"part" doc:"d"`
	Option  *piece                `toml:"option" doc:"d"`
	Path    string                `toml:"path" format:"path" required:"true" doc:"d"`
	Match   string                `toml:"match" format:"regexp" doc:"d"`
	Field   string                `toml:"field" format:"header" doc:"d"`
	Web     string                `toml:"web" format:"url" doc:"d"`
}

func TestTypes(t *testing.T) {
	var d document
	problems := Decode("x.toml", []byte(`
common = "z"
colour = "blue"
colours = ["red", "blue"]
small = 255
signed = -128
maybe = 3
path = "/a/../b"
match = "^a+$"
field = "X-Mailer"
web = "https://www.example.org/x"
names = { a = "Example.org", "b c" = "example.net" }
[nets]
one = "::ffff:192.0.2.1"
[part]
size = 10
[option]
wait = "2d"
`), &d, Options{})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	three := 3
	want := document{
		shared: shared{"z"}, Colour: 2, Colours: []colour{1, 2}, Small: 255, Signed: -128, Maybe: &three,
		Names: map[string]string{"a": "example.org", "b c": "example.net"},
		Nets:  map[string]netip.Addr{"one": netip.MustParseAddr("192.0.2.1")},
		Part:  piece{Size: 10, Twice: 20}, Option: &piece{Size: 2048, Twice: 4096, Wait: 48 * time.Hour},
		Path: "/b", Match: "^a+$", Field: "X-Mailer", Web: "https://www.example.org/x",
	}
	if !reflect.DeepEqual(d, want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
}

func TestTypesRefused(t *testing.T) {
	var d document
	problems := Decode("x.toml", []byte(`colour = "green"
colours = ["grey", 5]
small = 256
signed = -129
maybe = 0
names = { a = "b..c" }
nets = { one = "fe80::1%eth0" }
hidden = 1
match = "("
field = "X Mailer"
web = "ftp://example.org"
`), &d, Options{})
	want := strings.TrimPrefix(`
x.toml:1:1: colour: "green" is refused: colour green is not made; write text, for example "red"
x.toml:1:1: path: is missing; write path = "/var/lib/gatepost"
x.toml:2:12: colours: "grey" is no colour of ours; write "red"
x.toml:2:20: colours: 5 is a whole number, not text; write text, for example "text"
x.toml:3:1: small: 256 is out of range; write a whole number from 0 to 255, for example 1
x.toml:4:1: signed: -129 is out of range; write a whole number from -128 to 127, for example 1
x.toml:5:1: maybe: 0 is too small; write at least 1
x.toml:6:11: names.a: "b..c" is not a domain name; write for example "example.org"
x.toml:7:10: nets.one: "fe80::1%eth0" is not an IP address; write for example "192.0.2.1" or "2001:db8::1"
x.toml:8:1: hidden: unknown key; gatepost explain lists the keys of a table
x.toml:9:1: match: "(" is not a regular expression: missing closing ): `+"`(`"+`; write a regular expression, for example "text"
x.toml:10:1: field: "X Mailer" is not the name of a header field; write for example "X-Mailer", without the colon
x.toml:11:1: web: "ftp://example.org" is not a web address; write for example "https://www.example.org/"`, "\n")
	if got := problems.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if d.Colour != 1 || d.Part.Twice != 4096 {
		t.Errorf("what was refused did not keep its default: %+v", d)
	}
}
