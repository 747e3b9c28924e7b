package route

import (
	"fmt"
	"strings"

	"gatepost/gateway/relay"
	"gatepost/internal/config"
)

// about is what advice is given about.
type about struct {
	hop   string // as relay.Probed names it
	name  string // that its certificate must have
	host  string // this gateway
	step  *relay.ProbeStep
	route *config.Route
	rcpt  string
	usual bool // rcpt is whom we ask about where nobody is named
}

// advice is why something is so, and what to do about it.
type advice struct {
	cause string
	fix   func(a *about) []string
}

func say(lines ...string) func(*about) []string { return func(*about) []string { return lines } }

// seenName is what the certificate says that it is for.
func (a *about) seenName() string {
	if p := a.step.Peer; p != nil && len(p.DNSNames) > 0 {
		return p.DNSNames[0]
	}
	return ""
}

// advices are those about each fault of relay.Faults.
func advices() map[relay.Fault]advice {
	return map[relay.Fault]advice{
		relay.NoSuchName:    {"DNS has no such name, or no address for it.", say("Look for a slip in the name of the server. Where only an internal name server knows it, name that one as dns.servers in gatepost.toml, or write the address in place of the name.")},
		relay.NoAnswerOfDNS: {"DNS does not answer, or not in time.", say("gatepost doctor --only dns tells which resolver is in trouble.")},
		relay.Loop:          {"The server is this gateway itself: mail would go round in a loop.", say("Write the server behind the gateway. Its MX record leads to the gateway and cannot name it.")},
		relay.Refused: {"Nobody listens there: the server is stopped, or the port is another one.", func(*about) []string {
			return []string{"Start the mail server, or look at which port it listens: 25 for most, 24 for LMTP.", "On that server: ss -ltn"}
		}},
		relay.NoWay:    {"There is no way to that host from here.", say("Look at the routes and the firewall between this gateway and the server.")},
		relay.NoAnswer: {"Nothing came back in time: a firewall swallows it, or the server hangs.", say("Let this gateway through the firewall to that port; then look at how busy the server is.")},
		relay.Closed: {"The server closes the connection: it does not want this gateway.", func(a *about) []string {
			return []string{"Let this gateway in there: a receive connector (Exchange), mynetworks (Postfix), or a firewall that looks into SMTP.", "gatepost handover tells what to do on the server"}
		}},
		relay.NotSMTP: {"What answers there speaks no SMTP.", say("Look at the port. 465 begins with TLS and 587 is for people who send; a gateway hands mail over at 25.")},
		relay.SaidNo:  {"The server refuses this gateway before any mail.", say("Its own words stand beside it. Let this gateway in there: gatepost handover tells what to do on the server.")},
		relay.NoStartTLS: {"The server offers no encryption.", func(a *about) []string {
			if a.step.Goes {
				return []string{"Mail to it can be read on the way. Give the server a certificate and switch STARTTLS on."}
			}
			return []string{"Switch STARTTLS on there, or write tls = \"opportunistic\" for the route: mail goes in clear then."}
		}},
		relay.BadHandshake: {"The server offers encryption, and it cannot be agreed on.", func(a *about) []string {
			out := []string{"Look at which versions of TLS the server takes: 1.2 and 1.3 are used here."}
			if a.step.Goes {
				out = append(out, "Until then mail to it goes in clear.")
			}
			return out
		}},
		relay.WrongName: {"The certificate of the server is for another name.", func(a *about) []string {
			out := []string{"Give the server a certificate for " + a.name + "."}
			if n := a.seenName(); n != "" {
				out = append(out, fmt.Sprintf("Or say that this is its name: server_name = %q for the route.", n))
			}
			return out
		}},
		relay.Expired: {"The certificate of the server is over, or not valid yet.", func(a *about) []string {
			return []string{"Renew it on the server, and look at the clocks of both: gatepost doctor --only clock"}
		}},
		relay.UnknownAuthority: {"Nobody whom this gateway trusts has signed the certificate of the server.", func(a *about) []string {
			out := []string{"Write ca_file = \"/path/to/your-ca.pem\" for the route, where an authority of your own has signed it."}
			if p := a.step.Peer; p != nil {
				out = append(out, fmt.Sprintf("Or pin it: tls = \"fingerprint\", fingerprints = [%q]; look at it on the server first.", fingerprint(p)))
			}
			return out
		}},
		relay.NotPinned:   {"The certificate of the server is none of fingerprints of the route.", say("Where the server was given a new one, look at it there, and add its SHA-256 to fingerprints. Else somebody stands in between.")},
		relay.NoTLSA:      {"The route asks for DANE, and nothing is published that it could go by.", say("Publish TLSA records for the server in a signed zone, and let a validating resolver answer (dns.trust_ad); or write another tls for the route: docs/dane.md")},
		relay.WrongTLSA:   {"The server is not what its TLSA records say, or these are not to be believed.", say("Publish the record of its new certificate, or give it back the one that is published: docs/dane.md")},
		relay.NotInPolicy: {"The MTA-STS policy of the domain does not name this server.", say("Add it to mx of the policy and change the id of the record; or mend the MX records.")},
		relay.NoLogin:     {"The server does not take the user and the password of the route.", say("Look at user and password_file of auth, and at whether this port of the server is the one for logins.")},
		relay.SenderRefused: {"The server takes no mail from this gateway.", func(a *about) []string {
			return []string{"Let " + a.host + " hand over mail without a login: a receive connector for its address (Exchange), mynetworks (Postfix).", "gatepost handover tells what to do on the server"}
		}},
		relay.RecipientRefused: {"The server does not take mail for whom it must know.", func(a *about) []string {
			if strings.HasPrefix(strings.ToLower(a.rcpt), "postmaster@") {
				return []string{"Every domain must take mail for postmaster (RFC 5321 section 4.5.1): make that address there, or write postmaster = \"somebody@…\" in the policy.", "Where it refuses everybody, it does not know the domain: add it to its accepted domains."}
			}
			return []string{"Look for the address on the server, and whether it knows the domain."}
		}},
		relay.Postponed: {"The server says: later.", say("Its own words stand beside it. Where it greylists, exempt this gateway.")},
		relay.Everybody: {"The server takes mail for people who do not exist: it would bounce it later, to senders who may be forged.", func(a *about) []string {
			return []string{"Switch recipient filtering on there (Exchange: Recipient Validation; Postfix: local_recipient_maps, relay_recipient_maps), or write a directory of recipients: docs/recipients.md"}
		}},
		relay.OtherFault: {"It failed for a reason that has no name here.", say("Its words stand beside it.")},
	}
}
