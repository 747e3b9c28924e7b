package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"gatepost/internal/lab"
)

// bootResult is how a daemon starts.
type bootResult struct {
	Name   string    `json:"target"`
	First  float64   `json:"first_ms"`     // in a folder that has nothing yet: a certificate is made
	Median float64   `json:"ms"`           // from the making of the process to the whole banner
	RSS    float64   `json:"rss_rest_mib"` // some seconds later
	Rounds []float64 `json:"rounds"`
}

const boots = 10

// boot measures how long a start takes, and what the daemon takes when nobody comes.
func (b *bench) boot(ctx context.Context, out io.Writer) error {
	if _, err := fmt.Fprint(out, bootHeading); err != nil {
		return err
	}
	for _, program := range b.programs {
		r, err := b.bootRounds(ctx, program)
		if err != nil {
			return err
		}
		if err := r.print(out); err != nil {
			return err
		}
		b.report.Boot = append(b.report.Boot, r)
	}
	return nil
}

const bootHeading = "| start | to the banner | the very first | RSS at rest |\n|---|---:|---:|---:|\n"

// print writes one row.
func (r bootResult) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "| %s | %.0f ms | %.0f ms | %.0f MiB |\n", r.Name, r.Median, r.First, r.RSS)
	return err
}

func (b *bench) bootRounds(ctx context.Context, program binary) (r bootResult, err error) {
	r.Name = program.name
	port, err := lab.ReservePort()
	if err != nil {
		return r, err
	}
	defer port.Release()
	dir, err := os.MkdirTemp(b.dir, "boot-")
	if err != nil {
		return r, err
	}
	d := daemon{binary: program, listen: port.Addr()}
	var atRest []float64
	for i := range boots + 1 {
		took, rss, err := b.bootOnce(ctx, d, dir, i > 0 && i <= 3)
		if err != nil {
			return r, fmt.Errorf("%s: start %d: %w", program.name, i+1, err)
		}
		if i == 0 {
			r.First = took
			continue
		}
		r.Rounds = append(r.Rounds, took)
		if rss > 0 {
			atRest = append(atRest, rss)
		}
	}
	r.Median, r.RSS = median(r.Rounds), median(atRest)
	return r, nil
}

// bootOnce starts and ends a daemon; took is in milliseconds, rss, when asked for, in MiB.
func (b *bench) bootOnce(ctx context.Context, d daemon, dir string, look bool) (took, rss float64, err error) {
	greeted := make(chan error, 1)
	var at time.Time
	began := time.Now()
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	go func() {
		greeted <- awaitBanner(waiting, d.listen)
		close(greeted)
	}()
	type started struct {
		g   *lab.Gatepost
		err error
	}
	up := make(chan started, 1)
	go func() {
		g, err := b.launchIn(ctx, d, dir)
		up <- started{g, err}
	}()
	bannerErr := <-greeted
	at = time.Now()
	s := <-up
	if s.err != nil {
		return 0, 0, s.err
	}
	defer func() { err = errors.Join(err, s.g.Stop()) }()
	if bannerErr != nil {
		return 0, 0, bannerErr
	}
	if look {
		time.Sleep(b.plan.rest())
		u, err := part{pid: s.g.PID()}.usage()
		if err != nil {
			return 0, 0, err
		}
		rss = float64(u.RSS) / (1 << 20)
	}
	return milliseconds(at.Sub(began)), rss, nil
}

// awaitBanner connects until it is greeted.
func awaitBanner(ctx context.Context, addr string) error {
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("no banner: %w", err)
		}
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			var banner [3]byte
			_, err := io.ReadFull(conn, banner[:])
			conn.Close()
			if err == nil && string(banner[:]) == "220" {
				return nil
			}
		}
		time.Sleep(500 * time.Microsecond)
	}
}
