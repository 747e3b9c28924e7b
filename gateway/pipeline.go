package gateway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Row is checks that run at the same time.
type Row struct {
	Checks   []Check
	Deadline time.Duration // for the whole row; zero takes the context's
	// When, if set, is asked with the verdict so far whether the row is needed; "" means yes, a reason leaves it out.
	When func(v *Verdict, in *Input) Reason
}

// Pipeline is the plan: rows of checks for each stage, in order. It is immutable and shared by all sessions of a snapshot.
type Pipeline struct {
	Rows [Data + 1][]Row
	// Conduct are rows of checks of what the client does while its session lasts (Session.Conduct). They are of the Connect
	// stage and run when the edge has seen something new: see Watch.
	Conduct []Row
	// Late are rows of checks of the Connect stage that are waited for as late as can be: what they ask for is started by
	// Ahead, goes on while the client waits and talks, and is joined before its first MAIL, or before the banner where that
	// is to be refused. See Join.
	Late []Row
	// Ahead is started when a connection begins, so that what a later stage needs is under way while the client talks.
	// Each fills in at once what it need not wait for, and returns what it has to wait for, or nil: that runs beside the
	// session. It must only fill facts of the session, and end soon after ctx.
	Ahead []func(ctx context.Context, s *Session) (rest func())
	// AheadMail is started with the Helo stage of a transaction whose checks have something to wait for, so that what the
	// Mail stage needs is asked for at the same time. Each must only fill facts of the envelope and end soon after ctx.
	AheadMail []func(ctx context.Context, in *Input)
	// AheadData is started with the first recipient that is let in, so that what the Data stage would like to know is asked
	// for while the message comes in. Nobody waits for it: each returns at once, and what it has begun fills facts of the
	// envelope, reads nothing else of the input, and ends soon. A check finds with Known what has come.
	AheadData []func(ctx context.Context, in *Input)
}

// Begin starts what is worth knowing early. ctx is the session's.
func (pl *Pipeline) Begin(ctx context.Context, s *Session) {
	for _, f := range pl.Ahead {
		if rest := begin(ctx, s, f); rest != nil {
			go func() {
				defer forget()
				rest()
			}()
		}
	}
}

func begin(ctx context.Context, s *Session, f func(context.Context, *Session) func()) func() {
	defer forget()
	return f(ctx, s)
}

// beginMail starts what the Mail stage will ask for. Where the Helo stage waits for nothing, the Mail stage is there at
// once, and nothing is started.
func (pl *Pipeline) beginMail(ctx context.Context, in *Input) {
	if len(pl.AheadMail) == 0 || !pl.waits(Helo, in) {
		return
	}
	early := *in // the edge uses its own again for the next stage
	for _, f := range pl.AheadMail {
		in.Envelope.ahead.Go(func() {
			defer forget()
			f(ctx, &early)
		})
	}
}

// beginData starts what the Data stage would like to know, once a transaction.
func (pl *Pipeline) beginData(ctx context.Context, in *Input) {
	if len(pl.AheadData) == 0 || in.Envelope.aheadData {
		return
	}
	in.Envelope.aheadData = true
	defer forget()
	for _, f := range pl.AheadData {
		f(ctx, in)
	}
}

// waits reports whether a check of the stage may wait for something.
func (pl *Pipeline) waits(stage Stage, in *Input) bool {
	for i := range pl.Rows[stage] {
		for k := range pl.Rows[stage][i].Checks {
			c := &pl.Rows[stage][i].Checks[k]
			if in.Session.Snapshot.Policy.Runs(c.Name) && (c.Ready == nil || !c.Ready(in)) {
				return true
			}
		}
	}
	return false
}

// forget lets a panic end what was only begun early: the check that needs it finds that it could not be told.
func forget() { _ = recover() }

// Run runs the checks of a stage and judges. A row in which the verdict is final is the last one that runs: what is left
// out is recorded as NotRun with the reason. Findings are added to the session (Connect) or the envelope. A panic in a
// check is Unknown. Only the verdict of the Data stage has its policy lines: the journal judges the others again. Run returns when all its checks have returned: a check keeps nothing of the input.
func (pl *Pipeline) Run(ctx context.Context, stage Stage, in *Input) Verdict {
	j := judging{stage: stage, in: in}
	verdict := j.judge(false)
	switch stage {
	case Helo:
		if !decided(&verdict, in) {
			pl.beginMail(ctx, in)
		}
	case Mail:
		defer in.Envelope.ahead.Wait() // nothing that was begun reads the session when this has ended
	}
	if stage == Data && in.Session.Snapshot.Bypasses.Has(ScoringCheck) {
		room := j.room(1)
		room[0] = Finding{Check: ScoringCheck, Stage: Data, Rcpt: -1, Result: NotRun, Reason: LeftBypassed}
		j.add(room)
	}
	verdict = j.run(ctx, pl.Rows[stage], verdict)
	switch stage {
	case Rcpt:
		if !decided(&verdict, in) {
			pl.beginData(ctx, in)
		}
	case Data:
		return j.judge(true)
	}
	return verdict
}

// Join runs the late rows of the Connect stage and judges the connection. The edge calls it once a session, before anything
// is judged that they may decide: before the first MAIL, or before the banner.
func (pl *Pipeline) Join(ctx context.Context, s *Session) Verdict {
	j := judging{stage: Connect, in: &Input{Session: s, Rcpt: -1}}
	s.Findings = slices.Clip(s.Findings) // a record may share them
	return j.run(ctx, pl.Late, j.judge(false))
}

// run runs rows one after another, as long as the verdict is not final, and returns the last verdict. Where it is only that
// something could not be told, and the message would be deferred, the checks that find malware still run: what can never be
// taken is not to come again for as long as the other thing stays away.
func (j *judging) run(ctx context.Context, rows []Row, verdict Verdict) Verdict {
	in := j.in
	for i := range rows {
		row := &rows[i]
		why, least := Reason(""), ClassOpinion
		switch {
		case decided(&verdict, in):
			if why = LeftDecided; j.untold(&verdict) && row.holds(ClassMalware, in) {
				why, least = "", ClassMalware
			}
		case row.When != nil:
			why = row.When(&verdict, in)
		}
		findings := j.room(len(row.Checks))
		if why != "" {
			for k := range findings {
				findings[k] = Finding{Result: NotRun, Reason: why}
			}
		} else {
			runRow(ctx, row, in, findings, least)
		}
		for k := range findings {
			findings[k].Check, findings[k].Stage, findings[k].Rcpt = row.Checks[k].Name, j.stage, in.Rcpt
		}
		j.add(findings)
		if why == "" {
			verdict = j.judge(false)
		}
	}
	return verdict
}

// Watch runs the checks of the client's conduct and judges the connection. It is called when the edge saw something that
// was not seen before. What fails becomes a finding of the session, in the place of an earlier one of the same check, and
// so is in each record from then on: held until RCPT, as what was found at Connect, and priced once. What passes is no
// finding: a client that behaves leaves no trace and costs nothing.
func (pl *Pipeline) Watch(ctx context.Context, s *Session) Verdict {
	in := &Input{Session: s, Rcpt: -1}
	all := slices.Clone(s.Findings) // a record may share them
	for i := range pl.Conduct {
		row := &pl.Conduct[i]
		findings := make([]Finding, len(row.Checks))
		runRow(ctx, row, in, findings, ClassOpinion)
		for k, f := range findings {
			if f.Result == Pass || f.Result == NotRun && f.Reason != LeftBypassed {
				continue
			}
			f.Check, f.Stage, f.Rcpt = row.Checks[k].Name, Connect, -1
			s.Conduct.Failed = s.Conduct.Failed || f.Result == Fail
			if at := slices.IndexFunc(all, func(old Finding) bool { return old.Check == f.Check }); at >= 0 {
				all[at] = f
			} else {
				all = append(all, f)
			}
		}
	}
	s.Findings = all
	return s.Snapshot.Policy.Judge(NewRecord(Connect, s, nil))
}

// judging judges one stage again and again while findings come in. The Record is made when it is first needed: where
// nothing was found against a message there is nothing to judge.
type judging struct {
	stage  Stage
	in     *Input
	record *Record
	calm   Verdict // what it is as long as nothing was found
	made   bool    // calm was made
}

// findings are those that the stage adds to.
func (j *judging) findings() *[]Finding {
	if j.in.Envelope != nil {
		return &j.in.Envelope.Findings
	}
	return &j.in.Session.Findings
}

// room makes room for the findings of a row, behind those that can be seen: checks of the row do not see each other's.
func (j *judging) room(n int) []Finding {
	list := j.findings()
	*list = slices.Grow(*list, n)
	at := len(*list)
	room := (*list)[at : at+n : at+n]
	clear(room)
	return room
}

// add lets the findings be seen that were made in the room.
func (j *judging) add(made []Finding) {
	list := j.findings()
	*list = (*list)[:len(*list)+len(made)]
	if j.record != nil {
		j.record.Findings = append(j.record.Findings, made...)
	}
}

func (j *judging) judge(told bool) Verdict {
	s, e := j.in.Session, j.in.Envelope
	if j.record == nil {
		ruled := j.stage == Data && s.Snapshot.Policy.Rules.aboutMessages()
		if !ruled && quiet(s.Findings) && (e == nil || quiet(e.Findings)) {
			return j.quietly()
		}
		j.record = NewRecord(j.stage, s, e)
		j.record.Findings = slices.Clip(j.record.Findings) // what is appended here is not appended there
	}
	return s.Snapshot.Policy.judge(j.record, told)
}

// quietly is the verdict where nothing was found.
func (j *judging) quietly() Verdict {
	if !j.made {
		j.calm, j.made = Verdict{Stage: j.stage}, true
		if e := j.in.Envelope; e != nil {
			j.calm.Rcpts = make([]Decision, len(e.Rcpts))
		}
	}
	return j.calm
}

// quiet reports whether no finding can decide or cost anything: whatever the policy, the verdict is then Accept.
func quiet(findings []Finding) bool {
	for i := range findings {
		f := &findings[i]
		if f.Result != Pass && f.Result != NotRun || len(f.Measures) > 0 {
			return false
		}
	}
	return true
}

// decided reports whether the verdict, for the recipient at hand where there is one, can only get worse.
func decided(v *Verdict, in *Input) bool {
	if in.Recipient() != nil && in.Rcpt < len(v.Rcpts) {
		return v.Rcpts[in.Rcpt].Outcome.Refuses()
	}
	return v.Final()
}

// untold reports whether a message is deferred for no other reason than that a check could not tell.
func (j *judging) untold(v *Verdict) bool {
	return j.stage == Data && v.Outcome == Defer && slices.ContainsFunc(*j.findings(), func(f Finding) bool { return f.Check == v.Check && f.Result == Unknown })
}

// holds reports whether a check of the row is of a class, or of one above.
func (r *Row) holds(least Class, in *Input) bool {
	return slices.ContainsFunc(r.Checks, func(c Check) bool { return in.Session.Snapshot.Policy.Checks[c.Name].Class >= least })
}

// runRow runs the checks of a row at the same time: those that have nothing to wait for one after another, and all but one
// of the others in goroutines. Those of a class below least are left out.
func runRow(ctx context.Context, row *Row, in *Input, findings []Finding, least Class) {
	policy, bypasses := in.Session.Snapshot.Policy, in.Session.Snapshot.Bypasses
	var few, wait [8]int
	here, waiting := few[:0], wait[:0]
	for k := range row.Checks {
		switch c := &row.Checks[k]; {
		case !policy.Runs(c.Name):
			findings[k] = Finding{Result: NotRun, Reason: LeftOff}
		case bypasses.Has(c.Name) && policy.Checks[c.Name].Class.Bypassable():
			findings[k] = Finding{Result: NotRun, Reason: LeftBypassed}
		case policy.Checks[c.Name].Class < least:
			findings[k] = Finding{Result: NotRun, Reason: LeftDecided}
		case c.Ready != nil && c.Ready(in):
			here = append(here, k)
		default:
			waiting = append(waiting, k)
		}
	}
	if len(here)+len(waiting) == 0 {
		return
	}
	if row.Deadline > 0 && len(waiting) > 0 {
		within := Within(ctx, time.Now().Add(row.Deadline))
		defer within.End()
		ctx = within
	}
	if len(waiting) < 2 {
		began := time.Now()
		for _, k := range append(here, waiting...) {
			findings[k] = runCheck(ctx, &row.Checks[k], in, began)
			began = began.Add(findings[k].Took) // to read the clock costs more than many a check
		}
		return
	}
	runApart(ctx, row, in, findings, here, waiting)
}

// runApart is runRow where several checks may wait.
func runApart(ctx context.Context, row *Row, in *Input, findings []Finding, here, waiting []int) {
	var wg sync.WaitGroup
	for _, k := range waiting[1:] {
		wg.Go(func() { findings[k] = runCheck(ctx, &row.Checks[k], in, time.Now()) })
	}
	for _, k := range append(here, waiting[0]) { // one of them costs no goroutine
		findings[k] = runCheck(ctx, &row.Checks[k], in, time.Now())
	}
	wg.Wait()
}

// runCheck runs one check, measures it, and turns a panic into Unknown: never silently into Pass.
func runCheck(ctx context.Context, c *Check, in *Input, began time.Time) (f Finding) {
	defer func() {
		if p := recover(); p != nil {
			f = CouldNotTell(CheckPanicked).Show("panic", fmt.Sprint(p))
		}
		f.Took = time.Since(began)
	}()
	f = c.Run(ctx, in)
	if f.Result == Unknown && f.Reason == "" {
		f.Reason = CheckTimeout
	}
	return f
}
