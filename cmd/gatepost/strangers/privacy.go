package strangers

import (
	"context"

	"gatepost/cmd/gatepost/privacy"
)

// Privacy finds and forgets the pairs in which an address stands, as far as names are known.
func (d *Desk) Privacy() privacy.Part {
	return privacy.Part{Name: "greylist", Find: func(ctx context.Context, address string, add func(any) error) error {
		if _, err := d.waiting(ctx, atMost); err != nil { // for their names
			return err
		}
		for _, name := range d.Book.of(address) {
			if err := add(name); err != nil {
				return err
			}
		}
		return nil
	}, Erase: func(ctx context.Context, address string) (n int, err error) {
		if _, err := d.waiting(ctx, atMost); err != nil {
			return 0, err
		}
		for _, k := range append(d.Book.matching(address, ""), d.Book.matching("", address)...) {
			known, err := d.Greylist().Forget(ctx, k)
			if err != nil {
				return n, err
			}
			if known {
				n++
			}
		}
		return n + d.Book.forget(address), nil
	}}
}
