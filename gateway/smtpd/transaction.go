package smtpd

import (
	"io"
	"time"

	"gatepost/gateway"
	"gatepost/gateway/accept"
	"gatepost/internal/smtpwire"
)

// transaction is everything that lasts from MAIL to the end of a message, and is thrown away whole.
type transaction struct {
	env      gateway.Envelope
	stage    gateway.Stage // the last that was judged
	verdict  gateway.Verdict
	last     gateway.Reply // the last that was said in it
	result   accept.Result
	accepted int           // recipients
	sent     int           // addresses that the next hop is told for them, those named twice counted twice
	beyond   int           // recipients that were refused without a record
	delayed  time.Duration // all pauses
	reading  time.Duration // spent in reading the message so far
	consumed int64         // octets read of it so far
	unended  bool          // its last line has no end (BDAT)

	asked gateway.Input // what the checks of the stage at hand read

	body   gateway.BodyWriter // while the message is read
	chunks *smtpwire.Chunks   // from the first BDAT on
}

// findings is how many findings most transactions have: as many checks look at one with a single recipient.
const findings = 45

// sink passes a message on to the body of its transaction, and gives the body back as soon as that takes no more: what
// follows is thrown away, and its room is for others.
type sink struct{ t *transaction }

func (s sink) Write(p []byte) (int, error) {
	n, err := s.t.body.Write(p)
	if err != nil {
		s.drop()
	}
	return n, err
}

func (s sink) drop() {
	s.t.body.Discard()
	s.t.body = nil
}

// lender is a sink whose body lends its memory to the reader.
type lender struct{ sink }

func (l lender) Room(most int) ([]byte, error) {
	space, err := l.t.body.(smtpwire.Room).Room(most)
	if err != nil {
		l.drop()
	}
	return space, err
}

func (l lender) Keep(n int) { l.t.body.(smtpwire.Room).Keep(n) }

// into is what the message is read into.
func (t *transaction) into() io.Writer {
	if _, lends := t.body.(smtpwire.Room); lends {
		return lender{sink{t}}
	}
	return sink{t}
}

// input is what the checks of a stage read.
func (t *transaction) input(rcpt int) *gateway.Input {
	t.asked = gateway.Input{Session: t.env.Session, Envelope: &t.env, Rcpt: rcpt}
	return &t.asked
}

// run runs the checks of a stage.
func (c *session) run(stage gateway.Stage, rcpt int) {
	c.tx.stage = stage
	c.tx.verdict = c.Snapshot.Pipeline.Run(c.ctx, stage, c.tx.input(rcpt))
}

// refusedByRule records what the edge's own rules refuse, so that the journal explains it, and judges.
func (c *session) refusedByRule(stage gateway.Stage, rcpt int, f gateway.Finding) {
	f.Check, f.Stage, f.Rcpt = gateway.ProtocolCheck, stage, rcpt
	c.tx.stage = stage
	c.tx.env.Findings = append(c.tx.env.Findings, f)
	c.judge()
}

func (c *session) judge() {
	c.tx.verdict = c.Snapshot.Policy.Judge(gateway.NewRecord(c.tx.stage, &c.Session, &c.tx.env))
}

// drops ends the session when the outcome is Drop.
func (c *session) drops(o gateway.Outcome) {
	if o == gateway.Drop && c.End == "" {
		c.End = gateway.EndRefused
	}
}

// endTransaction throws the transaction away, whatever came of it, and gives its body back. It writes the event. It is
// called once the reply was said, or nobody is there to hear it.
func (c *session) endTransaction() {
	t := c.tx
	if t == nil {
		return
	}
	c.tx, c.ended = nil, t.env.ID
	defer func() {
		if t.body != nil {
			t.body.Discard()
		}
		if t.env.Body == nil {
			return
		}
		if err := t.env.Body.Close(); err != nil {
			c.srv.log().Error("smtp session: body", "id", t.env.ID.String(), "error", err)
		}
	}()
	c.journalTransaction(t)
}
