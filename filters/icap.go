package filters

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"gatepost/gateway"
	"gatepost/internal/icap"
	"gatepost/internal/mime"
)

// What an ICAP service is shown.
const (
	ICAPMessage = "message" // the message as it came, as message/rfc822
	ICAPParts   = "parts"   // each part with content, decoded, one after another
)

// ICAPEngine is a scanner that speaks ICAP.
type ICAPEngine struct {
	Servers Servers[*icap.Client]
	Send    string
	Most    int64         // octets that are shown at once
	Seen    *VerdictCache // nil for none
}

// icapCheck has a scanner that speaks ICAP look at the message.
func icapCheck() Definition {
	return Definition{
		Name: "icap", Stage: gateway.Data, Class: gateway.ClassMalware, RFC: "RFC 3507",
		Doc:      "Does the ICAP service of gatepost.toml find something in the message? What it names is refused; where it shows other content and names nothing, the message is quarantined. Off without icap.addresses in gatepost.toml.",
		Action:   gateway.ActionReject,
		Unknown:  gateway.ActionDefer,
		Reasons:  map[gateway.Reason]gateway.Action{gateway.MalwareDoubtful: gateway.ActionQuarantine},
		Measures: []Measure{{"found", "what it found", 0}},
		Needs:    func(d *Deps) bool { return d.ICAP != nil },
		Build: func(_ any, d *Deps) (Built, error) {
			if d.ICAP == nil {
				return Built{}, errors.New("needs icap.addresses in gatepost.toml; or write action = \"off\"")
			}
			return Built{Run: d.runICAP}, nil
		},
	}
}

func (d *Deps) runICAP(ctx context.Context, in *gateway.Input) gateway.Finding {
	body := in.Envelope.Body
	if d.ICAP.Send == ICAPParts {
		return d.ICAP.parts(ctx, in)
	}
	if body.Size() > d.ICAP.Most {
		return gateway.CouldNotTell(gateway.TooBigToScan, strconv.FormatInt(d.ICAP.Most, 10)).Show("octets", strconv.FormatInt(body.Size(), 10))
	}
	r, err := d.ICAP.scan(ctx, icap.Content{Name: "message.eml", Type: "message/rfc822", Data: body, Size: body.Size()})
	if err != nil {
		return unanswered(err)
	}
	return icapFinding(&r).Show("octets", strconv.FormatInt(body.Size(), 10))
}

func (e *ICAPEngine) scan(ctx context.Context, c icap.Content) (r icap.Result, err error) {
	err = e.Servers.Do(ctx, func(ctx context.Context, client *icap.Client) (err error) {
		r, err = client.Scan(ctx, c)
		return err
	})
	return r, err
}

// icapFinding tells what a verdict is a sign of.
func icapFinding(r *icap.Result) gateway.Finding {
	var f gateway.Finding
	name := r.Found
	if name == "" {
		name = r.How
	}
	switch r.Kind {
	case icap.Clean:
		f = gateway.Passed()
	case icap.Infected:
		f = gateway.Failed(gateway.MalwareFound, name).With(gateway.Measure{Name: "found", Value: 1, Text: name})
	case icap.Blocked:
		f = gateway.Failed(gateway.MalwareDoubtful, name).With(gateway.Measure{Name: "found", Value: 1, Text: name})
	default:
		return gateway.CouldNotTell(gateway.ScannerFailed).Show("verdict", r.Kind.String())
	}
	scanner := r.Service
	if scanner == "" {
		scanner = "ICAP"
	}
	f = f.Show(gateway.EvidenceScanner, scanner).Show("verdict", r.Kind.String()+" ("+r.How+")")
	if r.ISTag != "" {
		f = f.Show("database", r.ISTag)
	}
	return f
}

// parts shows each part, decoded. Of equal parts one is shown, and none of which the verdict is known by the same database.
func (e *ICAPEngine) parts(ctx context.Context, in *gateway.Input) gateway.Finding {
	t := tree(in)
	if t == nil {
		return gateway.CouldNotTell(gateway.ScannerFailed).Show("error", "the message cannot be read")
	}
	for i := range t.Defects {
		if k := t.Defects[i].Kind; k == mime.TooMany || k == mime.TooDeep || k == mime.TooBig {
			return gateway.CouldNotTell(gateway.ScannerFailed).Show("error", "the message has parts that are not looked at: "+string(k))
		}
	}
	whole := gateway.Passed()
	shown, known := 0, 0
	for i := range t.Parts {
		p := &t.Parts[i]
		if !p.Leaf || p.Octets == 0 {
			continue
		}
		r, cached, err := e.part(ctx, t, i)
		switch {
		case errors.Is(err, errPartTooBig):
			return gateway.CouldNotTell(gateway.TooBigToScan, strconv.FormatInt(e.Most, 10)).Show("part", p.Path)
		case err != nil:
			return unanswered(err).Show("part", p.Path)
		}
		f := icapFinding(&r)
		if f.Result == gateway.Fail {
			f.Parts = []int{i}
			return f.Show("part", p.Path+" "+gateway.CleanText(p.Name(), 200))
		}
		if shown+known == 0 {
			whole = f
		}
		if cached {
			known++
		} else {
			shown++
		}
	}
	return whole.Show("parts", fmt.Sprintf("%d shown, %d known", shown, known))
}

var errPartTooBig = errors.New("part is over the size limit")

// part finds the verdict of one part, in the cache or by showing it.
func (e *ICAPEngine) part(ctx context.Context, t *mime.Tree, place int) (r icap.Result, cached bool, err error) {
	p := &t.Parts[place]
	if p.Octets > e.Most {
		return r, false, errPartTooBig
	}
	err = e.Servers.Do(ctx, func(ctx context.Context, client *icap.Client) error {
		content, err := t.Content(place, e.Most)
		if err != nil {
			return fmt.Errorf("%w: %w", icap.ErrSource, err)
		}
		// The sum is of what would be shown, and of nothing that somebody else took for it.
		key := VerdictKey{Content: sha256.Sum256(content), Name: p.Name(), Type: p.Type, Engine: client.Address(), Database: client.ISTag()}
		if found, ok := e.Seen.Get(key); ok {
			r, cached = icap.Result{Kind: icap.Clean, How: "known", ISTag: key.Database}, true
			if found != "" {
				r.Kind, r.Found = icap.Infected, found
			}
			return nil
		}
		if r, err = client.Scan(ctx, icap.Content{Name: p.Name(), Type: p.Type, Data: bytes.NewReader(content), Size: int64(len(content))}); err != nil {
			return err
		}
		key.Database = r.ISTag // the one that looked
		if r.Kind == icap.Clean || r.Kind == icap.Infected && r.Found != "" {
			e.Seen.Put(key, r.Found)
		}
		return nil
	})
	return r, cached, err
}
