package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel is what the kernel says of its clock (adjtimex(2)).
type Kernel struct {
	Synchronised bool          // something disciplines it
	Error        time.Duration // how far it may be off, as that said last
}

// KernelClock asks the kernel.
func KernelClock() (Kernel, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Kernel{}, fmt.Errorf("adjtimex: %w", err)
	}
	return Kernel{state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, time.Duration(t.Maxerror) * time.Microsecond}, nil
}

// From these on a clock is wrong: greylisting, rates and certificates live with seconds, signatures and replays with minutes.
const (
	lateClock  = 2 * time.Second
	wrongClock = time.Minute
)

// clock looks whether somebody keeps the clock; only where nobody does, a time server is asked.
func (w *World) clock(ctx context.Context, r *Report) {
	const id = "clock.synchronised"
	const fix = "systemctl enable --now systemd-timesyncd (or chrony)"
	p := r.at(0)
	k, err := w.Kernel()
	if err == nil && k.Synchronised {
		p.ok(id, "", "the kernel says so; it may be off by "+ms(k.Error))
		return
	}
	saw := "nobody keeps the clock"
	if err != nil {
		saw = "whether somebody keeps the clock cannot be told (" + err.Error() + ")"
	}
	off, server, asked := w.offset(ctx)
	switch {
	case asked && off.Abs() > wrongClock:
		p.fail(id, "", fmt.Sprintf("%s, and it is off by %s (%s): signatures and certificates are judged wrongly", saw, off.Round(time.Second), server), fix)
	case asked && off.Abs() > lateClock:
		p.warn(id, "", fmt.Sprintf("%s, and it is off by %s (%s)", saw, off.Round(time.Millisecond), server), fix)
	case err != nil && !asked:
		p.unknown(id, "", saw+", nor how far it is off: no time server answers", fix)
	case err == nil && !asked:
		p.warn(id, "", saw+"; how far it is off cannot be told: no time server answers", fix)
	case err == nil:
		p.warn(id, "", saw+"; it is right now, within "+ms(off.Abs())+" ("+server+")", fix)
	default:
		p.ok(id, "", "it is right, within "+ms(off.Abs())+" ("+server+")")
	}
}

// offset asks the time servers, until one answers.
func (w *World) offset(ctx context.Context) (off time.Duration, server string, ok bool) {
	for _, server := range w.Probes.Time {
		if off, err := w.sntp(ctx, server); err == nil {
			return off, server, true
		}
	}
	return 0, "", false
}

// errTime says that what came is no time.
var errTime = errors.New("no time")

// sntp is one question by SNTP (RFC 4330, RFC 5905 section 14): how much the server's clock is ahead of ours.
func (w *World) sntp(ctx context.Context, server string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c, err := w.Dial(ctx, "udp", server)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	question := make([]byte, 48)
	question[0] = 4<<3 | 3 // version 4, a client
	sent := w.Now()
	stamp := ntpTime(sent)
	binary.BigEndian.PutUint64(question[40:], stamp)
	if _, err := c.Write(question); err != nil {
		return 0, err
	}
	reply := make([]byte, 256)
	for {
		n, err := c.Read(reply)
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				err = context.DeadlineExceeded
			}
			return 0, err
		}
		got := w.Now()
		if n < 48 || binary.BigEndian.Uint64(reply[24:]) != stamp { // not an answer to this question
			continue
		}
		leap, mode, stratum := reply[0]>>6, reply[0]&7, reply[1]
		if mode != 4 || leap == 3 || stratum == 0 || stratum > 15 || binary.BigEndian.Uint64(reply[40:]) == 0 {
			return 0, errTime
		}
		there, here := unixTime(binary.BigEndian.Uint64(reply[32:])), unixTime(binary.BigEndian.Uint64(reply[40:]))
		return (there.Sub(sent) + here.Sub(got)) / 2, nil
	}
}

// ntpEpoch is 1900 in the time of Unix.
const ntpEpoch = 2208988800

func ntpTime(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// unixTime reads a time of this era or the next (RFC 4330 section 3): without the highest bit it is after 2036.
func unixTime(n uint64) time.Time {
	seconds := int64(n >> 32)
	if n>>63 == 0 {
		seconds += 1 << 32
	}
	return time.Unix(seconds-ntpEpoch, int64((n&(1<<32-1))*1e9>>32))
}
