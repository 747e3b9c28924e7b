package office

import (
	"bytes"
	"strconv"
	"strings"

	"gatepost/internal/unpack"
	"gatepost/internal/unpack/lzfu"
)

// maxBody is how much of a compressed body is looked at, in octets.
const maxBody = 16 << 20

// message looks into an Outlook message (.msg). [MS-OXMSG]: properties are streams, attachments storages, and a message that is
// attached is a storage like the message itself.
func (o *oleFile) message(storage, depth int) error {
	if depth > 8 {
		return o.w.Over(unpack.TooDeep, o.at)
	}
	if err := o.w.Check(); err != nil {
		return err
	}
	for _, part := range []struct{ id, name string }{{"1013", "body.html"}, {"1009", "body.rtf"}} {
		b := o.f.stream(storage, "__substg1.0_"+part.id+"0102")
		if b == nil {
			b = []byte(o.text(storage, part.id))
		}
		if part.id == "1009" {
			b, _ = lzfu.Unpack(b, maxBody)
		}
		if len(b) == 0 {
			continue
		}
		if err := o.w.Enter(o.at, unpack.Entry{Name: part.name, Size: int64(len(b))}, bytes.NewReader(b)); err != nil {
			return err
		}
	}
	if body := o.text(storage, "1000"); body != "" {
		if err := o.w.Enter(o.at, unpack.Entry{Name: "body.txt", Size: int64(len(body))}, strings.NewReader(body)); err != nil {
			return err
		}
	}
	for _, c := range o.f.entries[storage].children {
		e := &o.f.entries[c]
		if e.kind == cfbStream || !strings.HasPrefix(strings.ToLower(e.name), "__attach_version1.0_") {
			continue
		}
		if err := o.attachment(c, depth); err != nil {
			return err
		}
	}
	return nil
}

func (o *oleFile) attachment(storage, depth int) error {
	var names []string // which of them is shown is up to the client
	for _, id := range []string{"3707", "3704", "3001"} {
		if name := o.text(storage, id); name != "" {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		names = []string{"attachment " + strconv.Itoa(storage)}
	}
	name := names[0]
	if nested := o.f.find(storage, "__substg1.0_3701000D"); nested >= 0 && o.f.entries[nested].kind != cfbStream {
		if o.f.find(nested, "__properties_version1.0") >= 0 {
			if err := o.w.Enter(o.at, unpack.Entry{Name: name, Names: names, Size: -1}, nil); err != nil {
				return err
			}
			return o.message(nested, depth+1)
		}
		return o.storage(nested, name)
	}
	i := o.f.find(storage, "__substg1.0_37010102")
	if i < 0 {
		return o.w.Enter(o.at, unpack.Entry{Name: name, Names: names, Size: -1}, nil)
	}
	b, err := o.f.read(i)
	if err != nil {
		o.err = err
		return nil
	}
	return o.w.Enter(o.at, unpack.Entry{Name: name, Names: names, Size: int64(len(b))}, bytes.NewReader(b))
}

// storage looks at an embedded object that is a storage of this file.
func (o *oleFile) storage(storage int, name string) error {
	o.w.Sign(o.at, unpack.Embedded, "an object: "+name)
	for todo := []int{storage}; len(todo) > 0; { // each entry hangs in one place: no cycles
		i := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], o.f.entries[i].children...)
		if err := o.entry(i); err != nil {
			return err
		}
	}
	return nil
}

// text reads a property that is a text: UTF-16 or 8-bit.
func (o *oleFile) text(storage int, id string) string {
	if b := o.f.stream(storage, "__substg1.0_"+id+"001F"); b != nil {
		return wide(b)
	}
	return narrow(o.f.stream(storage, "__substg1.0_"+id+"001E"))
}
