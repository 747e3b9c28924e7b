// Command gatepost-bundle makes the files that update the appliance, and the keys that sign them. It is for who builds images, and is
// in none; package appliance/bundle tells what is in such a file, docs/updates.md how keys are kept.
package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"

	"gatepost/appliance/bundle"
	"gatepost/appliance/minisign"
)

const usage = `gatepost-bundle key NAME               makes NAME.key, which signs and has no password, and NAME.pub, which verifies
gatepost-bundle write OPTIONS          writes a bundle, signed by --key
gatepost-bundle head OPTIONS           writes what is to be signed, for a key that is elsewhere: minisign -Sm FILE
gatepost-bundle write --signature FILE OPTIONS --pub NAME.pub     writes a bundle with the signature that minisign made of it
gatepost-bundle show --pub NAME.pub FILE                          reads a bundle to its end, verifies it and prints its manifest
Options: --version 1.4.2 --from 1.0.0 --root-hash HEX --root FILE --uki FILE --out FILE
`

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gatepost-bundle:", err)
		os.Exit(1)
	}
}

type options struct {
	version, from, rootHash   string
	root, uki, out            string
	key, signature, publicKey string
}

func run(out io.Writer, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say what to do:\n%s", usage)
	}
	o := new(options)
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.SetOutput(io.Discard)
	for name, to := range map[string]*string{"version": &o.version, "from": &o.from, "root-hash": &o.rootHash, "root": &o.root, "uki": &o.uki, "out": &o.out,
		"key": &o.key, "signature": &o.signature, "pub": &o.publicKey} {
		f.StringVar(to, name, "", "")
	}
	if err := f.Parse(args[1:]); err != nil {
		return fmt.Errorf("%w\n%s", err, usage)
	}
	switch {
	case args[0] == "key" && f.NArg() == 1:
		return makeKey(f.Arg(0))
	case args[0] == "show" && f.NArg() == 1:
		return o.show(out, f.Arg(0))
	case args[0] == "head" && f.NArg() == 0:
		signed, err := o.signed()
		if err != nil {
			return err
		}
		return os.WriteFile(o.out, signed, 0o644)
	case args[0] == "write" && f.NArg() == 0:
		return o.write()
	}
	return fmt.Errorf("that is not how it is used:\n%s", usage)
}

// makeKey makes a pair of keys, both or none, and replaces none.
func makeKey(name string) error {
	var chance [40]byte
	rand.Read(chance[:])
	k := minisign.NewKey(chance)
	if err := makeFile(name+".key", k.Text()); err != nil {
		return err
	}
	if err := makeFile(name+".pub", k.Public().Text()); err != nil {
		return errors.Join(err, os.Remove(name+".key"))
	}
	return nil
}

// makeFile writes a file that is not there; with an error none is there that was not before.
func makeFile(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// signed is what is signed of a bundle of the files.
func (o *options) signed() ([]byte, error) {
	m := &bundle.Manifest{Product: bundle.Product, Architecture: bundle.Architecture, Version: bundle.Version(o.version), From: bundle.Version(o.from), RootHash: o.rootHash}
	for _, p := range [...][2]string{{bundle.Root, o.root}, {bundle.UKI, o.uki}} {
		f, err := os.Open(p[1])
		if err != nil {
			return nil, err
		}
		part, err := bundle.Sum(p[0], f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		m.Parts = append(m.Parts, part)
	}
	signed, err := m.Signed()
	if err != nil {
		return nil, err
	}
	uki, err := os.ReadFile(o.uki)
	if err != nil {
		return nil, err
	}
	// Its command line stands in it as it is. One that names another root or version would be an update that cannot start.
	for _, word := range []string{"gatepost.roothash=" + o.rootHash, "gatepost.version=" + o.version} {
		if !regexp.MustCompile(regexp.QuoteMeta(word) + `([^0-9a-f.]|$)`).Match(uki) { // 1.4.20 is not 1.4.2
			return nil, fmt.Errorf("%s: its command line has no %s", o.uki, word)
		}
	}
	return signed, nil
}

func (o *options) write() error {
	signed, err := o.signed()
	if err != nil {
		return err
	}
	signature, keys, err := o.sign(signed)
	if err != nil {
		return err
	}
	root, err := os.Open(o.root)
	if err != nil {
		return err
	}
	defer root.Close()
	uki, err := os.Open(o.uki)
	if err != nil {
		return err
	}
	defer uki.Close()
	to, err := os.Create(o.out)
	if err != nil {
		return err
	}
	err = bundle.Write(to, signed, signature, keys, root, uki)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return errors.Join(err, os.Remove(o.out))
	}
	return nil
}

// sign signs by the key, or reads the signature that somebody else made.
func (o *options) sign(signed []byte) ([]byte, []minisign.PublicKey, error) {
	if o.signature != "" {
		keys, err := o.public()
		if err != nil {
			return nil, nil, err
		}
		signature, err := os.ReadFile(o.signature)
		return signature, keys, err
	}
	text, err := os.ReadFile(o.key)
	if err != nil {
		return nil, nil, err
	}
	k, err := minisign.ParseSecretKey(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", o.key, err)
	}
	signature, err := k.Sign(signed, "Gatepost "+o.version)
	return signature, []minisign.PublicKey{k.Public()}, err
}

func (o *options) public() ([]minisign.PublicKey, error) {
	text, err := os.ReadFile(o.publicKey)
	if err != nil {
		return nil, err
	}
	k, err := minisign.ParsePublicKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.publicKey, err)
	}
	return []minisign.PublicKey{k}, nil
}

func (o *options) show(out io.Writer, name string) error {
	keys, err := o.public()
	if err != nil {
		return err
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := bundle.Open(f, keys)
	for err == nil {
		_, err = r.Next(io.Discard)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %w", name, err)
	}
	signed, err := r.Manifest.Signed()
	if err == nil {
		_, err = out.Write(signed)
	}
	return err
}
