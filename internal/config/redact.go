package config

import "slices"

// Hidden is what stands in place of a secret.
const Hidden = "(secret)"

// Redacted is a policy document without the secrets in it, the keys of DNS lists, for those who may read a policy and not write
// one. What is no document is hidden whole.
func Redacted(text []byte) []byte {
	d, err := outline(text)
	if err != nil {
		return []byte("# This is no document that can be read: " + Hidden + "\n")
	}
	var at []int
	if e := d.root.index["rbl"]; e != nil && e.value.kind == kindTable {
		for _, list := range [...]string{"list", "own"} {
			if l := e.value.index[list]; l != nil {
				for _, item := range l.value.items {
					if k := item.index["key"]; item.kind == kindTable && k != nil {
						at = append(at, k.value.at)
					}
				}
			}
		}
	}
	slices.Sort(at)
	out := d.data
	for _, from := range slices.Backward(at) { // so that what is in front stays where it is
		out = slices.Concat(out[:from], []byte(quoted(Hidden)), out[skipValue(d.data, from):])
	}
	return slices.Concat(d.text[:len(d.text)-len(d.data)], out)
}
