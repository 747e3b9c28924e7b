package dkim

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseTags(t *testing.T) {
	for text, want := range map[string]string{
		"v=1":                           "v=1@2-3",
		"v=1;":                          "v=1@2-3",
		" v = 1 ; a=b\r\n":              "v=1@4-7|a=b@11-14",
		"a_1=;b=":                       "a_1=@4-4|b=@7-7",
		"h=from:\r\n\tto ; b=ab\r\n cd": "h=from:\r\n\tto@2-13|b=ab\r\n cd@17-24",
		"b=a==;":                        "b=a==@2-5",
		"d=bücher.example":              "d=bücher.example@2-17",
		"a=1; \r\n\t":                   "a=1@2-3",
		"A=1;a=2":                       "A=1@2-3|a=2@6-7",
		"a=\r\n\r\n b":                  "error",
		"":                              "error",
		";":                             "error",
		" ":                             "error",
		"a=1;;":                         "error",
		"a=1;;b=2":                      "error",
		";a=1":                          "error",
		"a=1;b":                         "error",
		"a=1;a=1":                       "error",
		"1a=1":                          "error",
		"_a=1":                          "error",
		"a-b=1":                         "error",
		"=1":                            "error",
		"a b=1":                         "error",
		"a=\x00":                        "error",
		"a=\x7f":                        "error",
		"a=b\nc":                        "error",
		"a=b\rc":                        "error",
		"a=b\r\nc":                      "error",
		"a=\xff":                        "error",
	} {
		tags, err := ParseTags(text)
		var got []string
		for _, tag := range tags {
			got = append(got, fmt.Sprintf("%s=%s@%d-%d", tag.Name, tag.Value, tag.Start, tag.End))
			if text[tag.Start-1] != '=' || tag.End < len(text) && text[tag.End] != ';' {
				t.Errorf("%q: %s= does not stand at %d to %d", text, tag.Name, tag.Start, tag.End)
			}
		}
		if err != nil {
			got = []string{"error"}
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q: %q, want %q (%v)", text, strings.Join(got, "|"), want, err)
		}
	}
}

func TestTagsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range maxTags {
		fmt.Fprintf(&b, "a%d=x;", i)
	}
	if tags, err := ParseTags(b.String()); err != nil || len(tags) != maxTags {
		t.Errorf("%d tags: %v", len(tags), err)
	}
	if _, err := ParseTags(b.String() + "b=1"); err == nil {
		t.Error("one tag too many passes")
	}
}

func TestSplitList(t *testing.T) {
	for value, want := range map[string]string{"a": "a", " a : b\r\n :c": "a|b|c", "": "none", "a:": "none", "a::b": "none", "a:b:c:d": "none"} {
		got := "none"
		if words := SplitList(value, 3); words != nil {
			got = strings.Join(words, "|")
		}
		if got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}
