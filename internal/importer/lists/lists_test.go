package lists

import (
	"strings"
	"testing"
	"unicode/utf16"
)

func TestRead(t *testing.T) {
	wide := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune("sender,action\r\nä@x.example,Allow\r\n")) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	for name, tt := range map[string]struct {
		text string
		want []Row
	}{
		"names":      {"Sender,Comment,Expires,Owner,Kind\na@x.example,why,2027-01-01,anna,block\n", []Row{{Line: 2, Value: "a@x.example", Comment: "why", Expires: "2027-01-01", Owner: "anna", Verb: Block, Said: "block"}}},
		"two values": {"sender;domain;ip\na@x.example;;192.0.2.1\n", []Row{{Line: 2, Value: "a@x.example"}, {Line: 2, Value: "192.0.2.1"}}},
		"tabs":       {"ip\tnetmask\n192.0.2.0\t255.255.255.0\n", []Row{{Line: 2, Value: "192.0.2.0", Mask: "255.255.255.0"}}},
		"sep":        {"sep=;\nIP-Range;Notes\n192.0.2.1;a, b\n", []Row{{Line: 2, Value: "192.0.2.1", Comment: "a, b"}}},
		"plain":      {"a@x.example\nx.example\n", []Row{{Line: 1, Value: "a@x.example"}, {Line: 2, Value: "x.example"}}},
		"utf-16":     {string(wide), []Row{{Line: 2, Value: "ä@x.example", Verb: Allow, Said: "Allow"}}},
		"other":      {"value,action\nx.example,tag\n", []Row{{Line: 2, Value: "x.example", Verb: Other, Said: "tag"}}},
		"nothing":    {"", nil},
	} {
		got, err := Read(strings.NewReader(tt.text))
		if err != nil || len(got) != len(tt.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		for i := range got {
			got[i].Text = ""
			if got[i] != tt.want[i] {
				t.Errorf("%s: %+v, want %+v", name, got[i], tt.want[i])
			}
		}
	}
	for name, text := range map[string]string{"no text": "a\x00b", "many": strings.Repeat("x.example\n", maxRows+1), "large": strings.Repeat("x", MaxFile+1)} {
		if _, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestDay(t *testing.T) {
	for text, want := range map[string]string{"2027-06-30": "2027-06-30", "2027-06-30T23:59:59Z": "2027-06-30", "30.6.2027": "2027-06-30", "6/30/2027 00:00:00": "2027-06-30",
		"30/6/2027": "2027-06-30", "4/4/2027": "2027-04-04", "3/4/2027": "", "soon": "", "": "", "Never": "never", "12/31/9999 11:59:59 PM": "never", "9999-12-31": "never"} {
		day, never, ok := Day(text)
		got := ""
		if ok && never {
			got = "never"
		} else if ok {
			got = day.Format("2006-01-02")
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// FuzzRead reads whatever may come for a list: rows are bounded, and each has a value.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"sender,action\na@b,allow\n", "sep=;\n\"a\n;\"\";", "\xff\xfea\x00", "a\tb\nc\td", "#x\n\n,,,\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, r := range rows {
			if r.Value == "" || len(r.Value) > maxField || strings.ContainsAny(r.Value, "\r\n") || r.Line < 1 {
				t.Errorf("%+v", r)
			}
			Day(r.Expires)
		}
	})
}
