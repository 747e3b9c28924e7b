package main

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// form is a form of a page, with what stands in it.
type form struct {
	action string
	fields url.Values
}

// formsOf reads the forms of a page, and the texts of its elements by their class. Buttons are in no form: whoever presses one says so.
func formsOf(page string) (forms []form, texts map[string]string, err error) {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	texts = map[string]string{}
	var f *form
	choice, class := "", ""
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return forms, texts, nil
		}
		if err != nil {
			return nil, nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			class = attribute(t, "class")
			switch name := attribute(t, "name"); {
			case t.Name.Local == "form":
				forms = append(forms, form{action: attribute(t, "action"), fields: url.Values{}})
				f = &forms[len(forms)-1]
			case f == nil:
			case t.Name.Local == "input" && attribute(t, "type") != "checkbox" && name != "":
				f.fields.Set(name, attribute(t, "value"))
			case t.Name.Local == "select":
				choice = name
			case t.Name.Local == "option" && (!f.fields.Has(choice) || has(t, "selected")):
				f.fields.Set(choice, attribute(t, "value"))
			}
		case xml.EndElement:
			class = ""
			if t.Name.Local == "form" {
				f = nil
			}
		case xml.CharData:
			if class != "" {
				texts[class] += strings.TrimSpace(string(t))
			}
		}
	}
}

func has(e xml.StartElement, name string) bool {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return true
		}
	}
	return false
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// formOf is the form of a page that goes to a path.
func formOf(page, action string) (form, error) {
	forms, _, err := formsOf(page)
	if err != nil {
		return form{}, err
	}
	for _, f := range forms {
		if f.action == action {
			return f, nil
		}
	}
	return form{}, fmt.Errorf("there is no form for %s in %.3000s", action, page)
}
