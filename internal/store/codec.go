package store

import (
	"bytes"
	"compress/flate"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"math"

	"gatepost/gateway"
)

// maxStories bounds what a block's stories come to when they are unpacked, so that a damaged file costs no memory.
const maxStories = 64 << 20

// encoder writes stories one behind the other. encoding/gob names the fields of a type once, in front of the first value;
// that is kept once a file, as its shape, and each story has only its values. So a story is small, is read by later versions
// whose types have other fields, and costs a third of JSON. The numbers of enumerations are part of the file.
type encoder struct {
	out      bytes.Buffer
	gob      *gob.Encoder
	prefix   []byte            // what a decoder must have read before
	record   gateway.Record    // scratch, as are the others
	findings []gateway.Finding //
	event    gateway.Event     //
}

func newEncoder() (*encoder, error) {
	n := new(encoder)
	n.gob = gob.NewEncoder(&n.out)
	if err := n.gob.Encode(&gateway.Event{}); err != nil {
		return nil, fmt.Errorf("log: shape of stories: %w", err)
	}
	n.prefix = bytes.Clone(n.out.Bytes())
	return n, nil
}

// append adds the story of an event to b. The event is not changed; what JSON could not say of its numbers is made finite,
// since stories are told as JSON.
func (n *encoder) append(b []byte, e *gateway.Event) ([]byte, error) {
	n.event, n.record = *e, *e.Record
	n.event.Record = &n.record
	n.findings = append(n.findings[:0], e.Record.Findings...)
	n.record.Findings = n.findings
	n.event.Evidence = bounded(evidenceOf(e))
	for i := range n.findings {
		n.findings[i].Evidence = nil // it is in the event's
		n.findings[i].Measures = finiteMeasures(n.findings[i].Measures)
	}
	finiteVerdict(&n.event.Verdict)
	n.out.Reset()
	err := n.gob.Encode(&n.event)
	clear(n.findings) // nothing of the event is held on to
	n.event, n.record = gateway.Event{}, gateway.Record{}
	if err != nil {
		return b, fmt.Errorf("log: story: %w", err)
	}
	return append(b, n.out.Bytes()...), nil
}

// finiteMeasures returns the measures, or a copy where one is a number that JSON cannot say.
func finiteMeasures(all []gateway.Measure) []gateway.Measure {
	for i := range all {
		if all[i].Value == number(all[i].Value) {
			continue
		}
		all = append([]gateway.Measure(nil), all...)
		for k := range all {
			all[k].Value = number(all[k].Value)
		}
		break
	}
	return all
}

// finiteVerdict does likewise for a verdict, of which prices are copied.
func finiteVerdict(v *gateway.Verdict) {
	v.Score = number(v.Score)
	for i := range v.Priced {
		if v.Priced[i].Points == number(v.Priced[i].Points) {
			continue
		}
		v.Priced = append([]gateway.Price(nil), v.Priced...)
		for k := range v.Priced {
			v.Priced[k].Points = number(v.Priced[k].Points)
		}
		break
	}
}

// number is the nearest that JSON can say.
func number(v float64) float64 {
	switch {
	case math.IsNaN(v):
		return 0
	case math.IsInf(v, 1):
		return math.MaxFloat64
	case math.IsInf(v, -1):
		return -math.MaxFloat64
	}
	return v
}

// decoder reads stories of one shape.
type decoder struct {
	in  bytes.Reader
	gob *gob.Decoder
}

func newDecoder(prefix []byte) (*decoder, error) {
	d := new(decoder)
	d.in.Reset(prefix)
	d.gob = gob.NewDecoder(&d.in)
	if err := d.gob.Decode(&gateway.Event{}); err != nil {
		return nil, fmt.Errorf("log: shape of stories: %w", err)
	}
	return d, nil
}

// event reads the first story of b.
func (d *decoder) event(b []byte) (*gateway.Event, error) {
	d.in.Reset(b)
	e := new(gateway.Event)
	if err := d.gob.Decode(e); err != nil {
		return nil, fmt.Errorf("log: story: %w", err)
	}
	if e.Record == nil {
		return nil, errors.New("log: story: no record in it")
	}
	return e, nil
}

// The first octet behind the checksum of stories.
const (
	storiesPlain  = 0
	storiesPacked = 1 // with DEFLATE: stories of one time are much alike
)

// packer packs the stories of blocks.
type packer struct {
	out     bytes.Buffer
	w       *flate.Writer
	judging judgingPacker
}

// pack returns what is stored of a block's stories. It is good until the next call.
func (p *packer) pack(stories []byte) ([]byte, error) {
	p.out.Reset()
	p.out.Write([]byte{0, 0, 0, 0, storiesPlain})
	if len(stories) < 512 {
		p.out.Write(stories)
		return sealed(p.out.Bytes()), nil
	}
	p.out.Bytes()[4] = storiesPacked
	if p.w == nil {
		var err error
		if p.w, err = flate.NewWriter(&p.out, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	p.w.Reset(&p.out)
	if _, err := p.w.Write(stories); err != nil {
		return nil, err
	}
	if err := p.w.Close(); err != nil {
		return nil, err
	}
	return sealed(p.out.Bytes()), nil
}

// unpack is the way back.
func unpack(body []byte) ([]byte, error) {
	b, err := unsealed(body)
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) == 0:
		return nil, errBlock
	case b[0] == storiesPlain:
		return b[1:], nil
	case b[0] != storiesPacked:
		return nil, errBlock
	}
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[1:])), maxStories))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBlock, err)
	}
	return out, nil
}
