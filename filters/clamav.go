package filters

import (
	"context"
	"errors"
	"io"
	"strconv"

	"gatepost/gateway"
	"gatepost/internal/clamd"
)

// VirusScanner hands a call to a clamd that works, and once more to another where nothing was sent.
type VirusScanner interface {
	Do(ctx context.Context, call func(ctx context.Context, c *clamd.Client) error) error
}

// clamAV has the whole message scanned for malware.
func clamAV() Definition {
	return Definition{
		Name: "clamav", Stage: gateway.Data, Class: gateway.ClassMalware,
		Doc:     "Does ClamAV find malware in the message? Official signatures are refused; unofficial, heuristic and unwanted ones, and what could not be unpacked whole, are quarantined. Parts that clients may read otherwise than ClamAV, and files in archives that it does not open, are shown to it apart.",
		Action:  gateway.ActionReject,
		Unknown: gateway.ActionDefer,
		Reasons: map[gateway.Reason]gateway.Action{
			gateway.MalwareDoubtful: gateway.ActionQuarantine,
			gateway.MalwareLimits:   gateway.ActionQuarantine,
			gateway.ScannerPartly:   gateway.ActionTag,
		},
		Measures: []Measure{{"signature", "a signature that matched", 0}},
		Options:  &ClamAVOptions{Refuse: []string{"Eicar*"}},
		Build: func(options any, d *Deps) (Built, error) {
			o := options.(*ClamAVOptions)
			if d.ClamAV == nil {
				return Built{}, errors.New("needs clamav.addresses in gatepost.toml; or write action = \"off\"")
			}
			b := Built{Run: d.runClamAV}
			for _, pattern := range o.Refuse {
				b.Cases = append(b.Cases, gateway.Case{Pattern: pattern, Action: gateway.ActionReject, Key: "refuse"})
			}
			return b, nil
		},
	}
}

// ClamAVOptions are the options of checks.clamav.
type ClamAVOptions struct {
	Refuse []string `toml:"refuse" doc:"Signatures (with * and ?) that are refused whatever kind they are of; looked at first." example:"Eicar*"`
}

// Validate refuses patterns that cannot be read.
func (o *ClamAVOptions) Validate(report func(key, message, instead string)) {
	reportPatterns("refuse", o.Refuse, report)
}

// runClamAV has the message scanned, and then what ClamAV may not have seen in it.
func (d *Deps) runClamAV(ctx context.Context, in *gateway.Input) gateway.Finding {
	body := in.Envelope.Body
	f := d.scanAll(ctx, func() io.Reader { return gateway.Reader(body) }, body.Size())
	if f.Result != gateway.Pass {
		return f
	}
	return d.scanUnseen(ctx, in, f)
}

// scanAll asks every engine: each must find nothing. open makes a reader of the octets for each.
func (d *Deps) scanAll(ctx context.Context, open func() io.Reader, size int64) gateway.Finding {
	if len(d.ClamAVs) == 0 {
		return d.scanWith(ctx, d.ClamAV, open, size)
	}
	engines := append([]Instance[*clamd.Client]{{Name: "clamav", Servers: d.ClamAV}}, d.ClamAVs...)
	all := askEach(engines, func(i *Instance[*clamd.Client]) gateway.Finding { return d.scanWith(ctx, i.Servers, open, size) })
	return worstOf(all, gateway.MalwareFound)
}

// scanWith has one engine look at octets.
func (d *Deps) scanWith(ctx context.Context, engine VirusScanner, open func() io.Reader, size int64) gateway.Finding {
	var r clamd.Result
	err := engine.Do(ctx, func(ctx context.Context, c *clamd.Client) error {
		var err error
		r, err = c.Scan(ctx, open(), size)
		return err
	})
	switch {
	case errors.Is(err, clamd.ErrTooBig):
		return gateway.CouldNotTell(gateway.TooBigToScan, d.scanLimit(size)).
			Show("octets", strconv.FormatInt(size, 10)).Show("error", err.Error())
	case err != nil:
		return unanswered(err)
	}
	return clamFinding(&r)
}

// scanLimit is what a sender is told of the limit: the limit, or at least that it lies below this size.
func (d *Deps) scanLimit(size int64) string {
	if d.ScanLimit != nil {
		if n := d.ScanLimit(); n > 0 && n < size {
			return strconv.FormatInt(n, 10)
		}
	}
	return "less than " + strconv.FormatInt(size, 10)
}

// clamFinding tells what a verdict of clamd is a sign of.
func clamFinding(r *clamd.Result) gateway.Finding {
	scanner, found := r.Version.Text, gateway.Measure{Name: "signature", Value: 1, Text: r.Signature}
	if scanner == "" {
		scanner = "ClamAV"
	}
	var f gateway.Finding
	switch {
	case r.Kind == clamd.Clean:
		f = gateway.Passed()
	case r.Kind == clamd.Exceeded:
		f = gateway.Failed(gateway.MalwareLimits, r.Signature).With(found)
	case r.Kind == clamd.Infected && r.Official && !r.Heuristic && !r.PUA:
		f = gateway.Failed(gateway.MalwareFound, r.Signature).With(found)
	case r.Kind == clamd.Infected:
		f = gateway.Failed(gateway.MalwareDoubtful, r.Signature).With(found)
	default:
		return gateway.CouldNotTell(gateway.ScannerFailed).Show("verdict", r.Kind.String())
	}
	f = f.Show(gateway.EvidenceScanner, scanner).Show("verdict", r.Kind.String())
	if r.Signature != "" {
		f = f.Show("signature", r.Signature)
	}
	return f.Show("octets", strconv.FormatInt(r.Size, 10))
}
