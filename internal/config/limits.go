package config

import (
	"strconv"
	"time"
)

// Limits bound what one client, session, transaction and message may take. Every limit has a reply that names it.
type Limits struct {
	CommandLine  Size `toml:"command_line" default:"2K" min:"512" max:"64K" rfc:"RFC 5321 section 4.5.3.1.4" doc:"The longest command line, its CRLF included. Longer: 500 5.5.2, and the line is not read as commands."`
	Header       Size `toml:"header" default:"256K" min:"16K" max:"4M" doc:"The largest header of a message. Larger: 552 5.3.4."`
	MessageSize  Size `toml:"message_size" default:"50M" min:"64K" max:"2G" rfc:"RFC 1870, RFC 5321 section 4.5.3.1.7" doc:"The largest message. Less is advertised where a next hop or a virus scanner that defers takes less. Larger: 552 5.3.4, at MAIL where the client says the size."`
	Hops         int  `toml:"hops" unit:"Received fields" default:"100" min:"10" max:"1000" rfc:"RFC 5321 section 6.3" doc:"Received fields in a message; more are a loop: 554 5.4.6."`
	Recipients   int  `toml:"recipients" unit:"recipients" default:"100" min:"1" max:"10000" rfc:"RFC 5321 section 4.5.3.1.8, RFC 9422" doc:"Recipients in one transaction of an unknown client. More: 452 4.5.3, they come in a transaction of their own."`
	Known        int  `toml:"recipients_known" unit:"recipients" default:"1000" min:"1" max:"10000" rfc:"RFC 5321 section 4.5.3.1.8" doc:"Recipients in one transaction of a known or trusted client."`
	Transactions int  `toml:"transactions" unit:"transactions" default:"100" min:"1" max:"100000" rfc:"RFC 9422" doc:"Transactions in one session. More: 421 4.7.0, the client may connect again."`

	SlowErrors      int           `toml:"slow_errors" unit:"errors" default:"5" min:"1" max:"1000" doc:"After so many errors in a session each further reply waits for error_wait."`
	Errors          int           `toml:"errors" unit:"errors" default:"15" min:"1" max:"1000" doc:"So many errors in a session end it with 421 4.7.0. Unknown recipients do not count once a recipient was accepted."`
	ErrorWait       time.Duration `toml:"error_wait" default:"1s" max:"30s" doc:"How long replies wait after slow_errors."`
	UnknownCommands int           `toml:"unknown_commands" unit:"commands" default:"10" min:"1" max:"1000" doc:"So many commands that do not exist end the session with 421 4.7.0."`
	JunkCommands    int           `toml:"junk_commands" unit:"commands" default:"100" min:"10" max:"10000" doc:"So many commands that bring no message (NOOP, RSET, VRFY, HELP, EHLO and STARTTLS again, tiny BDAT) since the last message make each further one wait for error_wait; errors more end the session with 421 4.7.0."`
	UnknownWait     time.Duration `toml:"unknown_recipient_wait" default:"5s" max:"30s" doc:"How long the refusal of an unknown recipient waits: guessing addresses becomes slow."`
	UnknownWaitAll  time.Duration `toml:"unknown_recipient_wait_all" default:"30s" max:"5m" doc:"The most that these waits take in one transaction."`

	CommandTimeout time.Duration `toml:"command_timeout" default:"300s" min:"5s" max:"30m" rfc:"RFC 5321 section 4.5.3.2.7" doc:"How long the gateway waits for the next command. Longer: 421 4.4.2."`
	SessionTime    time.Duration `toml:"session_time" default:"30m" min:"1m" max:"24h" doc:"How long a session may last, receiving messages not counted. Longer: 421 4.4.2 after the running transaction."`
	DataTimeout    time.Duration `toml:"data_timeout" default:"180s" min:"10s" max:"30m" rfc:"RFC 5321 section 4.5.3.2.5" doc:"How long the gateway waits for the next octets of a message. Longer: the connection is closed, and what came so far is never a message."`
	DataTime       time.Duration `toml:"data_time" default:"30m" min:"1m" max:"24h" doc:"How long receiving one message may take in all, or longer where its size at data_rate takes longer."`
	DataRate       Size          `toml:"data_rate" unit:"a second" default:"8K" min:"100" max:"1G" doc:"The rate by which a big message gets more than data_time."`
	DataMinRate    Size          `toml:"data_min_rate" unit:"a second" default:"500" min:"0" max:"1M" doc:"The slowest rate over data_window. Slower: the connection is closed. 0: no such limit."`
	DataWindow     time.Duration `toml:"data_window" default:"30s" min:"5s" max:"10m" doc:"The time over which data_min_rate is measured."`
	VerdictTime    time.Duration `toml:"verdict_time" default:"90s" min:"5s" max:"5m" doc:"How long judging a message may take after its last octet. What is not known then counts as unknown."`
	ReplyTime      time.Duration `toml:"reply_time" default:"400s" min:"30s" max:"9m" rfc:"RFC 5321 section 4.5.3.2.6" doc:"How long the client waits in all for the reply to its message. Checks and relay share it. Longer: 451, and the client comes back."`

	Connections          int `toml:"connections" unit:"connections" default:"1000" min:"1" max:"100000" doc:"Connections in all. More: 421 4.7.0. Trusted networks are exempt."`
	ConnectionsPerClient int `toml:"connections_per_client" unit:"connections" default:"20" min:"1" max:"100000" doc:"Connections of one client (an IPv4 address or an IPv6 /64) of which nothing is known yet. More: 421 4.7.0. Trusted networks are exempt."`
	PerClientKnown       int `toml:"connections_per_client_known" unit:"connections" default:"50" min:"1" max:"100000" doc:"Connections of one client that passed the test before the banner lately; never less than connections_per_client."`
	PerClientBad         int `toml:"connections_per_client_bad" unit:"connections" default:"3" min:"1" max:"100000" doc:"Connections of one client that failed a bot test lately; never more than connections_per_client."`
	PerNetwork           int `toml:"connections_per_network" unit:"connections" default:"60" min:"1" max:"100000" doc:"Connections of one IPv4 /26 or IPv6 /56 in all; never less than what one client in it may have. More: 421 4.7.0. Trusted networks are exempt."`
	PerWideNetwork       int `toml:"connections_per_wide_network" unit:"connections" default:"200" min:"1" max:"100000" doc:"Connections of one IPv4 /21 or IPv6 /48 in all; never less than connections_per_network. More: 421 4.7.0. Trusted networks are exempt."`
}

// Validate checks the limits against each other.
func (l *Limits) Validate(report func(key, message, instead string)) {
	count := func(n int) string { return strconv.Itoa(n) }
	for _, c := range []struct {
		wrong            bool
		key              string
		lower, lowText   string // what must not be more
		higher, highText string // than this
	}{
		{l.SlowErrors > l.Errors, "slow_errors", "slow_errors", count(l.SlowErrors), "errors", count(l.Errors)},
		{l.Recipients > l.Known, "recipients_known", "recipients", count(l.Recipients), "recipients_known", count(l.Known)},
		{l.Header > l.MessageSize, "header", "header", l.Header.String(), "message_size", l.MessageSize.String()},
		{l.VerdictTime > l.ReplyTime, "verdict_time", "verdict_time", FormatDuration(l.VerdictTime), "reply_time", FormatDuration(l.ReplyTime)},
		{l.ConnectionsPerClient > l.Connections, "connections_per_client", "connections_per_client", count(l.ConnectionsPerClient), "connections", count(l.Connections)},
	} {
		if c.wrong {
			report(c.key, c.lower+" ("+c.lowText+") is more than "+c.higher+" ("+c.highText+")", "change one of them")
		}
	}
}
