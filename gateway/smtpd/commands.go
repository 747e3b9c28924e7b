package smtpd

import (
	"gatepost/gateway"
	"gatepost/internal/smtpwire"
)

// phase is where in the dialogue a session is.
type phase uint8

const (
	inGreeting phase = 1 << iota // no HELO or EHLO yet
	inReady                      // HELO or EHLO was said
	inMail                       // MAIL was taken, no recipient accepted
	inRcpt                       // at least one recipient accepted
	inChunks                     // BDAT has begun
	anyPhase   = inGreeting | inReady | inMail | inRcpt | inChunks
	outside    = inGreeting | inReady
)

func (c *session) phase() phase {
	switch {
	case c.tx == nil && c.Helo.Name == "":
		return inGreeting
	case c.tx == nil:
		return inReady
	case c.tx.chunks != nil:
		return inChunks
	case c.tx.accepted > 0:
		return inRcpt
	}
	return inMail
}

// takes says whether a verb has an argument.
type takes uint8

const (
	maybe takes = iota
	never
	always
)

// command is one row of the table: where a verb is allowed, what its argument must be, and what it does. proceed returns
// the reply; the zero Reply when all is said.
type command struct {
	phases  phase
	takes   takes
	idle    bool // brings no message: see Limits.JunkCommands
	sync    bool // its reply is flushed at once (RFC 2920 section 3.1: a synchronising point)
	proceed func(c *session, arg string) gateway.Reply
}

// commandTable is all the verbs. BDAT is allowed in every phase: its octets follow whatever we say, and must be read.
func commandTable() map[string]command {
	say := func(p gateway.Phrase) func(*session, string) gateway.Reply {
		return func(*session, string) gateway.Reply { return p.Reply() }
	}
	const notChunks = anyPhase &^ inChunks
	return map[string]command{
		"EHLO":     {notChunks, always, false, true, (*session).ehlo},
		"HELO":     {notChunks, always, false, true, (*session).helo},
		"MAIL":     {inReady, always, false, false, (*session).mail},
		"RCPT":     {inMail | inRcpt, always, false, false, (*session).rcpt},
		"DATA":     {inMail | inRcpt, never, false, true, (*session).data},
		"BDAT":     {anyPhase, maybe, false, false, (*session).bdat},
		"RSET":     {anyPhase, never, true, false, (*session).rset},
		"NOOP":     {anyPhase, maybe, true, true, say(gateway.SayOK)},
		"QUIT":     {anyPhase, maybe, false, true, (*session).quit},
		"VRFY":     {notChunks, always, true, true, say(gateway.SayCannotVrfy)},
		"EXPN":     {notChunks, maybe, true, true, say(gateway.SayNoExpn)},
		"HELP":     {notChunks, maybe, true, true, say(gateway.SayHelp)},
		"STARTTLS": {outside, never, true, true, (*session).startTLS},
		"AUTH":     {notChunks, maybe, true, true, say(gateway.SayNoAuth)},
		"TURN":     {notChunks, maybe, true, true, say(gateway.SayNoTurn)},
		"ETRN":     {notChunks, maybe, true, true, say(gateway.SayNoTurn)},
	}
}

// command runs one command line and answers it with one reply.
func (c *session) command(text []byte) {
	c.unchecked, c.idles = false, false
	verb, arg, err := smtpwire.ParseCommand(text)
	if err != nil {
		c.abortChunks("")
		r := gateway.SayBadCommand.Reply()
		if last := c.noVerb(text); !last.IsZero() {
			c.End, r = gateway.EndRefused, last
		}
		c.reply("", "", r)
		return
	}
	line := verb
	if arg != "" && verb != "AUTH" { // what follows AUTH is a secret
		line += " " + arg
	}
	cmd, known := c.srv.table[verb]
	if c.abortChunks(verb) {
		c.reply(verb, line, gateway.SayInChunks.Reply())
		return
	}
	if verb != "BDAT" {
		c.lateChunks = false
	}
	if cmd.idle || (verb == "EHLO" || verb == "HELO") && c.Helo.Name != "" {
		c.useless()
	}
	var r gateway.Reply
	switch {
	case !known:
		c.unknown++
		r = gateway.SayUnknownCommand.Reply()
		if last := c.noVerb(text); !last.IsZero() {
			c.End, r = gateway.EndRefused, last
		}
	case cmd.phases&c.phase() == 0:
		r = c.outOfPhase(verb)
	case cmd.takes == never && arg != "":
		r = gateway.SayNoArgument.Reply(verb)
	case cmd.takes == always && arg == "":
		r = gateway.SayNeedsArgument.Reply(verb)
	default:
		r = cmd.proceed(c, arg)
	}
	if !r.IsZero() {
		c.reply(verb, line, r)
	}
	if cmd.sync {
		c.flush()
	}
}

// reply answers a command, and ends the session of a client that did not wait for the answer where policy says so.
func (c *session) reply(verb, line string, r gateway.Reply) {
	last := c.ahead(verb)
	c.answer(line, r)
	c.leaveIf(last)
}

// useless counts the command at hand as one that brings no message.
func (c *session) useless() {
	c.junk++
	c.idles = true
}

// abortChunks drops a transaction in which something else than BDAT follows BDAT: the message would be incomplete.
func (c *session) abortChunks(verb string) bool {
	if c.phase() != inChunks {
		return false
	}
	switch verb {
	case "BDAT", "RSET", "NOOP", "QUIT":
		return false
	}
	c.endTransaction()
	return true
}

// outOfPhase says what should have come first.
func (c *session) outOfPhase(verb string) gateway.Reply {
	switch at := c.phase(); {
	case verb == "MAIL" && at == inGreeting:
		return gateway.SayHeloFirst.Reply()
	case verb == "MAIL":
		return gateway.SayMailTwice.Reply()
	case verb == "STARTTLS":
		return gateway.SayNotInMail.Reply()
	}
	return gateway.SayMailFirst.Reply()
}

// answer says the reply to a command, counts it when it is a refusal, and ends the session of a client that only errs.
func (c *session) answer(line string, r gateway.Reply) {
	if r.Code == 421 && c.End == "" {
		r.Code = 451 // a next hop's word: this session goes on
	}
	wrong := r.Code >= 500 && !c.unchecked
	if r.Code >= 400 {
		c.noteRefusal(line, c.referenced(r))
	}
	if wrong {
		c.Errors++
	}
	if c.End == "" && (wrong && c.Errors > c.limits.SlowAfter || c.idles && c.junk > c.limits.JunkCommands) {
		c.pause(c.limits.ErrorDelay)
	}
	c.say(r)
	switch {
	case c.End != "":
	case c.junk >= c.limits.JunkCommands+c.limits.Errors:
		c.leaveWith(gateway.EndLimit, gateway.SayTooMuchJunk.Reply())
	case !wrong:
	case c.Errors >= c.limits.Errors:
		c.leaveWith(gateway.EndLimit, gateway.SayTooManyErrors.Reply())
	case c.unknown >= c.limits.UnknownCommands:
		c.leaveWith(gateway.EndLimit, gateway.SayTooManyUnknown.Reply())
	}
}

func (c *session) rset(string) gateway.Reply {
	c.endTransaction()
	return gateway.SayOK.Reply()
}

func (c *session) quit(string) gateway.Reply {
	c.endTransaction()
	c.End = gateway.EndQuit
	return gateway.SayBye.Reply()
}
