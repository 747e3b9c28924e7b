package gateway

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Reason says why, in one word of a closed list, so that logs can be counted and policy can name it. Its reply text and
// codes stand in the table below and nowhere else.
type Reason string

// What the edge itself refuses (check "smtp").
const (
	BareNewline        Reason = "smtp.bare_newline"
	MessageTooBig      Reason = "smtp.message_too_big"
	HeaderTooBig       Reason = "smtp.header_too_big"
	TooManyFields      Reason = "smtp.too_many_fields"
	TooManyHops        Reason = "smtp.too_many_hops"
	OtherRoute         Reason = "smtp.other_route"
	TooManyRecipients  Reason = "smtp.too_many_recipients"
	RcptTooBig         Reason = "smtp.too_big_for_recipient"
	NeedsEightBit      Reason = "smtp.needs_8bitmime"
	NeedsUTF8          Reason = "smtp.needs_smtputf8"
	NeedsRequireTLS    Reason = "smtp.needs_requiretls"
	NoStorage          Reason = "smtp.no_storage"
	TooManyConnections Reason = "smtp.too_many_connections"
	TooManyFromClient  Reason = "smtp.too_many_from_client"
	TooManyFromNetwork Reason = "smtp.too_many_from_network"
	NotReady           Reason = "smtp.not_ready"
	NotSetUp           Reason = "smtp.not_set_up" // no domain is served yet
	Overloaded         Reason = "smtp.overloaded"
	ShuttingDown       Reason = "smtp.shutting_down"
	OutOfTime          Reason = "smtp.out_of_time"
)

// Why a listener behind proxies closes a connection without a word; nobody reads them but the journal.
const (
	ProxyStranger Reason = "proxy.stranger" // not from a network of proxy_from
	ProxyMissing  Reason = "proxy.missing"  // closed, or something else was sent
	ProxyBad      Reason = "proxy.bad"      // cut off, too big, or not of a TCP connection
	ProxySlow     Reason = "proxy.slow"     // not whole in time
)

// How a connection ends while its banner is held back.
const (
	EarlyTLS   Reason = "pregreet.tls_hello" // a TLS handshake on a port that begins in clear
	EarlyAlien Reason = "pregreet.not_smtp"  // HTTP, or binary junk
	EarlyGone  Reason = "pregreet.gone"      // the client did not wait
)

// What checks see.
const (
	EarlyTalk           Reason = "pregreet.early_talk"
	RelayDenied         Reason = "relay.denied"
	RcptUnknown         Reason = "rcpt.unknown"
	RcptRefused         Reason = "rcpt.refused"        // the next hop's own words: Args are code, enhanced code and text
	NextHopAway         Reason = "next_hop.away"       // it cannot be asked
	NextHopBusy         Reason = "next_hop.busy"       // as much waits for it as may
	DirectoryAway       Reason = "rcpt.directory_away" // it was never read
	AccessBlocked       Reason = "access.blocked"
	AccessUnproven      Reason = "access.unproven" // an author who is allowed, and nothing proves that it is he
	AccessOwn           Reason = "access.own"      // a recipient does not want mail of this sender
	PipelinedAhead      Reason = "pipelining.ahead"
	NewlineBare         Reason = "newline.bare"
	NewlineMixed        Reason = "newline.mixed"
	VerbForeign         Reason = "verb.foreign"
	HeloInvalid         Reason = "helo.invalid"
	HeloOurs            Reason = "helo.ours"
	HeloLiteral         Reason = "helo.literal_mismatch"
	HeloUnresolved      Reason = "helo.unresolved"
	RDNSNone            Reason = "rdns.none"
	RDNSUnconfirmed     Reason = "rdns.unconfirmed"
	SenderNoDomain      Reason = "sender.no_domain"
	SenderNullMX        Reason = "sender.null_mx"
	SenderNoMailHost    Reason = "sender.no_mail_host"
	TLSNone             Reason = "tls.none"              // it came in clear
	TLSOld              Reason = "tls.version"           // by an old version
	TLSNoCertificate    Reason = "tls.no_certificate"    // the client gave none
	TLSOtherCertificate Reason = "tls.other_certificate" // it gave another than those that are known
	DNSFailed           Reason = "dns.failed"
	SPFFail             Reason = "spf.fail"
	SPFNever            Reason = "spf.never" // its record is `v=spf1 -all`: the domain sends no mail at all
	SPFBroken           Reason = "spf.permerror"
	AuthorAmbiguous     Reason = "author.ambiguous" // mail clients may show another author than the one that was authenticated
	AuthorDisguised     Reason = "author.disguised" // a field or name that looks like another
	DKIMFail            Reason = "dkim.fail"
	DKIMWeak            Reason = "dkim.weak" // what passes does so by a key or a coverage that local policy does not take
	ARCFail             Reason = "arc.fail"
	DMARCReject         Reason = "dmarc.reject"     // fails, and the domain asks for reject
	DMARCQuarantine     Reason = "dmarc.quarantine" // fails, and the domain asks for quarantine
	DMARCIndirect       Reason = "dmarc.indirect"   // fails, the domain asks for reject, and something hints at a list or a forwarder
	DMARCUnasked        Reason = "dmarc.none"       // fails, and the domain asks for nothing
	DMARCBroken         Reason = "dmarc.permerror"
	DMARCHeld           Reason = "dmarc.held"       // DNS cannot tell, and the domain was known to ask for reject or quarantine
	RBLListed           Reason = "rbl.listed"       // of lists whose weights are enough together
	RBLLate             Reason = "rbl.late"         // a list that could decide did not answer in time
	RBLAway             Reason = "rbl.away"         // a list that could decide is not used at the moment, or was late with one whose mail was taken lately
	GreylistWait        Reason = "greylist.wait"    // a stranger, or one that came back too early
	GreylistAway        Reason = "greylist.away"    // what is remembered cannot be asked
	RateConnections     Reason = "rate.connections" // over a limit, as the others below
	RateMessages        Reason = "rate.messages"    //
	RateRecipients      Reason = "rate.recipients"  //
	RateNullSender      Reason = "rate.null_sender" // one recipient gets more bounces than it can have caused
	RateUnknown         Reason = "rate.unknown"     // recipients that do not exist: who harvests addresses
	RateErrors          Reason = "rate.errors"      // commands that were refused
	RateOctets          Reason = "rate.octets"      //
	RateAway            Reason = "rate.away"        // what was counted cannot be asked
	ReputationBad       Reason = "reputation.bad"   // what it sent before was mostly spam, malware or to nobody
	ReputationAway      Reason = "reputation.away"  // what is remembered cannot be asked
	ShapeFrom           Reason = "shape.from"       // of records before author.ambiguous
	ShapeDate           Reason = "shape.date"
	ShapeFields         Reason = "shape.fields"
	ShapeLoop           Reason = "shape.loop"
	MalwareFound        Reason = "malware.found"
	MalwareDoubtful     Reason = "malware.doubtful" // unofficial, heuristic or unwanted
	MalwareLimits       Reason = "malware.limits"   // the scanner gave up inside: never clean
	SpamRules           Reason = "spam.rules"
	SpamScore           Reason = "spam.score"     // the sum over all checks
	MIMEAmbiguous       Reason = "mime.ambiguous" // mail clients may show different things
	MIMEPartial         Reason = "mime.partial"   // a piece of a message, which can be scanned nowhere
	MIMELimits          Reason = "mime.limits"    // more parts, or deeper, than are looked at
	AttachmentType      Reason = "attachments.type"
	AttachmentName      Reason = "attachments.name"      // a name that is a disguise
	AttachmentEncrypted Reason = "attachments.encrypted" // nobody here can look into it
	AttachmentLimits    Reason = "attachments.limits"    // unpacks to more than is looked at
	AttachmentBroken    Reason = "attachments.broken"    // cannot be read as what it is
	AttachmentPath      Reason = "attachments.path"      // an archive that writes where it should not
	AttachmentMacro     Reason = "attachments.macro"
	AttachmentAutoExec  Reason = "attachments.autoexec"  // macros that run by themselves, or a field that runs a program
	AttachmentRemote    Reason = "attachments.remote"    // content that is fetched when it is opened
	AttachmentEmbedded  Reason = "attachments.embedded"  // a program or an object in a document
	AttachmentScript    Reason = "attachments.script"    // HTML, SVG or PDF with script
	AttachmentForm      Reason = "attachments.form"      // HTML that asks for a password
	AttachmentSmuggling Reason = "attachments.smuggling" // HTML that puts a file together by itself
	AttachmentLaunch    Reason = "attachments.launch"    // PDF that starts a program, or leads elsewhere by itself
	UnpackFailed        Reason = "unpack.failed"         // the process that looks into attachments did not end well
	URLDisguised        Reason = "urls.disguised"        // the text of a link names another host
	URLLookalike        Reason = "urls.lookalike"        // a host that looks like one of ours or a well-known one
	URLOdd              Reason = "urls.odd"              // an address without a name, a user name before the host, data
	ImpersonatedPerson  Reason = "impersonation.person"  // the name of somebody of ours, with a foreign address
	ImpersonatedDomain  Reason = "impersonation.domain"  // looks like a domain of ours
	ImpersonatedOwn     Reason = "impersonation.own"     // a domain of ours, not authenticated
	ImpersonatedName    Reason = "impersonation.name"    // an address of ours as the display name of another
	ReplyElsewhere      Reason = "impersonation.reply"   // answers go to another domain
	FirstContact        Reason = "impersonation.first"   // nobody here had mail of it before
	MilterRefused       Reason = "milter.refused"        // a milter's own words: Args are code, enhanced code and text
	MilterDeferred      Reason = "milter.deferred"       // as above, and only for now
	MilterKept          Reason = "milter.kept"           // a milter wants it kept, or to vanish, or refuses some of its recipients
	HookRefused         Reason = "hook.refused"          // a check of the operator's own said so
	PolicyRule          Reason = "policy.rule"           // a rule of the operator's about the message as such
	ScannerFailed       Reason = "scanner.failed"
	ScannerPartly       Reason = "scanner.partly" // only engines that are optional could not tell
	TooBigToScan        Reason = "scanner.too_big"
	CheckPanicked       Reason = "check.panicked"
	CheckTimeout        Reason = "check.timeout"
)

// Why a check was left out (results NotRun).
const (
	LeftOff       Reason = "off"
	LeftDecided   Reason = "decided"    // the verdict was final before
	LeftNotNeeded Reason = "not_needed" // its row's condition did not hold
	LeftNoInput   Reason = "no_input"   // what it looks at is not there
	LeftLearning  Reason = "learning"   // what it goes by is not known for long enough
	LeftSpared    Reason = "spared"     // an engine that runs where it can still matter, and here could not
	LeftBypassed  Reason = "bypassed"   // an operator left it out for a while
	LeftRelayed   Reason = "relayed"    // the client is a trusted relay, whose address says nothing of who sent
)

// words is how a reason is told to the sender's postmaster.
type words struct {
	code     int    // of Reject
	enhanced string // RFC 3463
	natural  Outcome
	text     string // %s are the Args, in order
}

// reasonWords is the one table of refusals.
var reasonWords = map[Reason]words{
	BareNewline:        {550, "5.6.0", Reject, "Message refused: %s at octet %s; every line must end in CRLF and nothing else (RFC 5321 section 2.3.8)"},
	MessageTooBig:      {552, "5.3.4", Reject, "Message too big: at most %s octets are taken here"},
	HeaderTooBig:       {552, "5.3.4", Reject, "Header section too big: at most %s octets are taken here"},
	TooManyFields:      {552, "5.3.4", Reject, "Too many fields in the header section: at most %s are taken here"},
	TooManyHops:        {554, "5.4.6", Reject, "Too many hops: %s Received fields, at most %s; this looks like a mail loop"},
	OtherRoute:         {452, "4.5.3", Defer, "Send to this recipient in a transaction of its own: its mail goes another way"},
	TooManyRecipients:  {452, "4.5.3", Defer, "Too many recipients in one transaction: at most %s; send to the others in another"},
	RcptTooBig:         {552, "5.3.4", Reject, "Message too big for this recipient: its mail server takes at most %s octets"},
	NeedsEightBit:      {554, "5.6.3", Reject, "The mail server of this recipient does not take 8-bit messages; send it encoded as 7-bit"},
	NeedsUTF8:          {553, "5.6.7", Reject, "The mail server of this recipient does not take internationalized mail (SMTPUTF8)"},
	NeedsRequireTLS:    {550, "5.7.30", Reject, "REQUIRETLS support required: the mail server of this recipient cannot be told that this message needs verified TLS all the way (RFC 8689)"},
	NoStorage:          {452, "4.3.1", Defer, "No room to take a message right now; try again later"},
	TooManyConnections: {421, "4.7.0", Drop, "Too many connections to this host right now; try again later"},
	TooManyFromClient:  {421, "4.7.0", Drop, "Too many connections at once from your address; at most %s; close some and try again"},
	TooManyFromNetwork: {421, "4.7.0", Drop, "Too many connections at once from your network %s; at most %s; close some and try again"},
	NotReady:           {421, "4.3.2", Drop, "This host is not ready; try again in a minute"},
	NotSetUp:           {421, "4.3.2", Drop, "This host is not set up yet and serves no domain: its administrator opens its web console and goes through the first run, or writes a [[domain]] into policy.toml"},
	Overloaded:         {421, "4.3.2", Drop, "This host has more to do than it can hold right now; try again in some minutes"},
	ShuttingDown:       {421, "4.3.2", Drop, "This host is closing for maintenance; try again in a minute"},
	OutOfTime:          {421, "4.4.2", Drop, "Timeout: nothing complete arrived in time; connect again"},

	EarlyTalk:           {550, "5.5.1", Reject, "Refused: your host sent something before our greeting; a mail server waits for 220 (RFC 5321 section 3.1)"},
	RelayDenied:         {550, "5.7.1", Reject, "Relaying denied: this host takes mail for its own domains only, and %s is none of them"},
	RcptUnknown:         {550, "5.1.1", Reject, "No such recipient here: <%s>; check the address for typing errors"},
	RcptRefused:         {0, "", Reject, ""},
	NextHopAway:         {451, "4.4.1", Defer, "The mail server behind this host cannot be reached right now; try again later"},
	NextHopBusy:         {451, "4.4.5", Defer, "The mail server behind this host takes mail more slowly than it comes; nothing is wrong with yours, try again in a few minutes"},
	DirectoryAway:       {451, "4.4.3", Defer, "Recipients cannot be verified right now; nothing is wrong with your mail, try again later"},
	AccessBlocked:       {554, "5.7.1", Reject, "Refused by this site's own block list: %s"},
	AccessUnproven:      {550, "5.7.1", Reject, "Refused: nothing proves that this mail is from %s"},
	AccessOwn:           {550, "5.7.1", Reject, "The recipient does not accept mail from this sender"},
	PipelinedAhead:      {550, "5.5.1", Reject, "Refused: your host sent more behind %s and did not wait for our reply (RFC 2920 section 3.1); make it wait"},
	NewlineBare:         {550, "5.5.2", Reject, "A command ended in a bare LF; use CRLF (RFC 5321 section 2.3.8)"},
	NewlineMixed:        {550, "5.5.2", Reject, "Some commands ended in CRLF and some in a bare LF; use CRLF (RFC 5321 section 2.3.8)"},
	VerbForeign:         {550, "5.5.1", Reject, "Refused: your host sent %s, which is no SMTP; this is a mail host"},
	HeloInvalid:         {550, "5.7.1", Reject, "Refused: the name in your HELO or EHLO (%s) is not a domain name or an address literal (RFC 5321 section 4.1.1.1)"},
	HeloOurs:            {550, "5.7.1", Reject, "Refused: your HELO or EHLO (%s) claims to be this host; use the name of your own"},
	HeloLiteral:         {550, "5.7.1", Reject, "Refused: the address literal in your HELO or EHLO (%s) is not the address you connect from"},
	HeloUnresolved:      {550, "5.7.1", Reject, "Refused: the name in your HELO or EHLO (%s) has no address in DNS"},
	RDNSNone:            {550, "5.7.25", Reject, "Refused: your address %s has no reverse name (PTR record); ask your network provider for one"},
	RDNSUnconfirmed:     {550, "5.7.25", Reject, "Refused: the reverse name of your address %s does not lead back to it; set a matching A or AAAA record"},
	SenderNoDomain:      {550, "5.1.8", Reject, "Sender refused: the domain %s does not exist, so that no reply could reach it"},
	SenderNullMX:        {550, "5.7.27", Reject, "Sender refused: the domain %s says that it takes no mail (null MX), so that no reply could reach it"},
	SenderNoMailHost:    {550, "5.1.8", Reject, "Sender refused: the domain %s has neither an MX nor an address record, so that no reply could reach it"},
	TLSNone:             {530, "5.7.10", Reject, "Must issue a STARTTLS command first: %s is taken only over TLS; turn on STARTTLS in your mail server, for this domain at least (RFC 3207)"},
	TLSOld:              {550, "5.7.10", Reject, "Refused: %s is taken only over %s or later, and your mail server used %s; update it, or its TLS library"},
	TLSNoCertificate:    {550, "5.7.1", Reject, "Refused: %s is taken only with a client certificate that this site knows, and your mail server gave none when it was asked; set the one that was agreed on"},
	TLSOtherCertificate: {550, "5.7.1", Reject, "Refused: %s is taken only with a client certificate that this site knows, and yours (SHA-256 %s) is none; tell this site of it, or set the one that was agreed on"},
	DNSFailed:           {451, "4.4.3", Defer, "DNS gave no answer for %s right now; try again later"},
	SPFFail:             {550, "5.7.23", Reject, "Sender refused: the SPF record of %s does not name your address %s; send from a host that it names, or have the domain's owner add yours (RFC 7208)"},
	SPFNever:            {550, "5.7.23", Reject, "Sender refused: the SPF record of %s says that this domain sends no mail at all (v=spf1 -all)"},
	SPFBroken:           {550, "5.7.24", Reject, "Sender refused: the SPF record of %s is broken (%s); its owner must mend it (RFC 7208 section 4.6)"},
	AuthorAmbiguous:     {550, "5.7.1", Reject, "Message refused: it is not clear who its author is: %s; send it with one From field that names one address (RFC 5322 section 3.6.2)"},
	AuthorDisguised:     {550, "5.6.0", Reject, "Message refused: its header section is disguised: %s (RFC 5322 section 2.2)"},
	DKIMFail:            {550, "5.7.20", Reject, "Message refused: its DKIM signature by %s does not hold: %s (RFC 6376)"},
	DKIMWeak:            {550, "5.7.21", Reject, "Message refused: its DKIM signature by %s is too weak: %s (RFC 8301)"},
	ARCFail:             {550, "5.7.29", Reject, "Message refused: its ARC chain does not hold: %s (RFC 8617)"},
	DMARCReject:         {550, "5.7.1", Reject, "Refused: the domain %s asks to reject mail that fails DMARC; send it by a host that its SPF names, or with its DKIM signature (RFC 9989)"},
	DMARCQuarantine:     {550, "5.7.1", Quarantine, "Refused: the domain %s asks to quarantine mail that fails DMARC; send it by a host that its SPF names, or with its DKIM signature (RFC 9989)"},
	DMARCIndirect:       {550, "5.7.1", Quarantine, "Refused: the domain %s asks to reject mail that fails DMARC, and the list or forwarder that it came by did not preserve its signature (RFC 9989)"},
	DMARCUnasked:        {550, "5.7.1", Tag, "Refused: mail of the domain %s fails DMARC; send it by a host that its SPF names, or with its DKIM signature (RFC 9989)"},
	DMARCBroken:         {550, "5.7.1", Tag, "Refused: the DMARC record of %s is broken (%s); its owner must mend it (RFC 9989 section 4.7)"},
	DMARCHeld:           {451, "4.4.3", Defer, "DNS gave no answer for %s right now, and this domain asks to refuse mail that fails DMARC; try again later"},
	RBLListed:           {550, "5.7.1", Reject, "Refused: %s is listed by %s (%s); see %s for why, mend the cause, and have it taken off there"},
	RBLLate:             {451, "4.4.3", Defer, "A list that this host asks about %s did not answer in time; nothing is known against you, try again in a minute"},
	RBLAway:             {451, "4.4.3", Defer, "The lists that this host asks about %s cannot be asked right now; try again later"},
	GreylistWait:        {451, "4.7.1", Defer, "Greylisted: your host is not known here yet; let it try again in %s, as it would by itself (RFC 6647)"},
	GreylistAway:        {451, "4.3.0", Defer, "What this host remembers of senders cannot be asked right now; try again later"},
	RateConnections:     {421, "4.7.0", Drop, "Too many connections in a short time %s; at most %s; try again in %s"},
	RateMessages:        {451, "4.7.1", Defer, "Too many messages in a short time %s; at most %s; try again in %s"},
	RateRecipients:      {451, "4.7.1", Defer, "Too many recipients in a short time %s; at most %s; try again in %s"},
	RateNullSender:      {451, "4.7.1", Defer, "Too many bounces in a short time %s; at most %s; try again in %s"},
	RateUnknown:         {451, "4.7.1", Defer, "Too many recipients that do not exist, in a short time %s; at most %s; look at your list of addresses, and try again in %s"},
	RateErrors:          {421, "4.7.0", Drop, "Too many errors in a short time %s; at most %s; try again in %s"},
	RateOctets:          {451, "4.7.1", Defer, "Too much mail in a short time %s; at most %s; try again in %s"},
	RateAway:            {451, "4.3.0", Defer, "How much came from your host lately cannot be told right now; try again later"},
	ReputationBad:       {550, "5.7.1", Reject, "Refused: most of what %s sent to this host lately was spam, malware or for nobody; find out what sends it, and tell us by other means when it is mended"},
	ReputationAway:      {451, "4.3.0", Defer, "What this host remembers of yours cannot be asked right now; try again later"},
	ShapeFrom:           {550, "5.6.0", Reject, "Message refused: it must have exactly one From field that names somebody, and has %s (RFC 5322 section 3.6)"},
	ShapeDate:           {550, "5.6.0", Reject, "Message refused: it must have exactly one Date field, and has %s (RFC 5322 section 3.6)"},
	ShapeFields:         {550, "5.6.0", Reject, "Message refused: its header section is malformed: %s (RFC 5322)"},
	ShapeLoop:           {554, "5.4.6", Reject, "Message refused: it has passed this host before (%s); this is a mail loop"},
	MalwareFound:        {550, "5.7.1", Reject, "Message refused: malware was found in it (%s)"},
	MalwareDoubtful:     {550, "5.7.1", Reject, "Message refused: it looks like malware (%s)"},
	MalwareLimits:       {550, "5.7.1", Reject, "Message refused: its attachments are too deeply packed or too big to be scanned (%s)"},
	SpamRules:           {550, "5.7.1", Reject, "Message refused as spam; if it is not, tell the recipient by other means"},
	SpamScore:           {550, "5.7.1", Reject, "Message refused as spam; if it is not, tell the recipient by other means"},
	MIMEAmbiguous:       {550, "5.6.0", Quarantine, "Message refused: mail clients would read it differently (%s); send it as plain MIME (RFC 2045)"},
	MIMEPartial:         {550, "5.6.0", Quarantine, "Message refused: it is a piece of a message that was split on its way (message/partial); send it whole"},
	MIMELimits:          {550, "5.6.0", Quarantine, "Message refused: it has more parts, or deeper ones, than are looked at here (%s); pack them into one file"},
	AttachmentType:      {550, "5.7.1", Quarantine, "Message refused: files of this kind are not taken here: %s (%s); agree with the recipient on another way"},
	AttachmentName:      {550, "5.7.1", Quarantine, "Message refused: the name of an attachment disguises what it is: %s (%s); rename it"},
	AttachmentEncrypted: {550, "5.7.1", Quarantine, "Message refused: an attachment is encrypted, so that it cannot be scanned: %s; agree with the recipient on another way"},
	AttachmentLimits:    {550, "5.7.1", Quarantine, "Message refused: an attachment is too deeply packed or unpacks to too much to be scanned: %s (%s)"},
	AttachmentBroken:    {550, "5.7.1", Quarantine, "Message refused: an attachment is broken, so that it cannot be scanned: %s (%s); pack it again"},
	AttachmentPath:      {550, "5.7.1", Quarantine, "Message refused: an archive would write outside of its folder: %s (%s)"},
	AttachmentMacro:     {550, "5.7.1", Quarantine, "Message refused: a document has macros: %s; send it without"},
	AttachmentAutoExec:  {550, "5.7.1", Quarantine, "Message refused: a document runs programs when it is opened: %s (%s); send it without"},
	AttachmentRemote:    {550, "5.7.1", Quarantine, "Message refused: a document fetches content when it is opened: %s (%s); send it without"},
	AttachmentEmbedded:  {550, "5.7.1", Quarantine, "Message refused: a document has a program or an object in it: %s (%s); send it without"},
	AttachmentScript:    {550, "5.7.1", Quarantine, "Message refused: a document has a script in it: %s (%s); send it without"},
	AttachmentForm:      {550, "5.7.1", Quarantine, "Message refused: an attachment asks for passwords: %s; send it without"},
	AttachmentSmuggling: {550, "5.7.1", Quarantine, "Message refused: an attached page puts a file together by itself: %s (%s); send the file"},
	AttachmentLaunch:    {550, "5.7.1", Quarantine, "Message refused: a PDF starts a program or leads elsewhere by itself: %s (%s); send it without"},
	UnpackFailed:        {451, "4.7.1", Defer, "The attachments of the message cannot be looked into right now; try again later"},
	URLDisguised:        {550, "5.7.1", Quarantine, "Message refused: the text of a link names another host than it leads to (%s)"},
	URLLookalike:        {550, "5.7.1", Quarantine, "Message refused: a link leads to a host that looks like another (%s)"},
	URLOdd:              {550, "5.7.1", Quarantine, "Message refused: a link hides where it leads (%s)"},
	ImpersonatedPerson:  {550, "5.7.1", Quarantine, "Message refused: its sender has the name of somebody at this site and a foreign address (%s)"},
	ImpersonatedDomain:  {550, "5.7.1", Quarantine, "Message refused: the domain of its sender looks like one of this site (%s)"},
	ImpersonatedOwn:     {550, "5.7.1", Quarantine, "Message refused: it says to come from a domain of this site (%s), and nothing authenticates it; send it by a host that the domain's SPF names, or with its DKIM signature"},
	ImpersonatedName:    {550, "5.7.1", Quarantine, "Message refused: the name in front of its author's address is an address of this site (%s), which is not the author's; write a name there"},
	ReplyElsewhere:      {550, "5.7.1", Tag, "Message refused: answers to it would go to another domain (%s)"},
	FirstContact:        {550, "5.7.1", Tag, "Message refused: nobody at this site had mail of %s before"},
	MilterRefused:       {0, "", Reject, ""},
	MilterDeferred:      {0, "", Defer, ""},
	MilterKept:          {550, "5.7.1", Quarantine, "Message refused by a filter of this site"},
	HookRefused:         {550, "5.7.1", Reject, "Message refused by a check of this site (%s)"},
	PolicyRule:          {550, "5.7.1", Reject, "Message refused by a rule of this site; if it is wanted, tell the recipient by other means"},
	ScannerFailed:       {451, "4.7.1", Defer, "The message cannot be scanned right now; try again later"},
	ScannerPartly:       {451, "4.7.1", Tag, "The message cannot be scanned by all of this site's scanners right now; try again later"},
	TooBigToScan:        {552, "5.3.4", Reject, "Message too big to be scanned: at most %s octets"},
	CheckPanicked:       {451, "4.3.0", Defer, "The message cannot be checked right now; try again later"},
	CheckTimeout:        {451, "4.4.5", Defer, "The message cannot be checked in time right now; try again later"},
}

// Reasons returns every reason that has words for the sender.
func Reasons() []Reason {
	out := make([]Reason, 0, len(reasonWords))
	for r := range reasonWords {
		out = append(out, r)
	}
	return out
}

// Natural returns what the reason leads to when no policy says otherwise; Reject for one that is not in the table.
func (r Reason) Natural() Outcome {
	if w, ok := reasonWords[r]; ok {
		return w.natural
	}
	return Reject
}

// withUnit gives the wait that a reason tells last its unit, if it is a bare number: so events of an older version have it.
func (r Reason) withUnit(args []string) []string {
	last := len(args) - 1
	if last < 0 || r != GreylistWait && !strings.HasPrefix(string(r), "rate.") {
		return args
	}
	if _, err := strconv.ParseUint(args[last], 10, 63); err != nil {
		return args
	}
	unit := " seconds"
	if args[last] == "1" {
		unit = " second"
	}
	return append(slices.Clone(args[:last]), args[last]+unit)
}

// say fills the text of the reason. Args that are missing read as "?", so that a mistake shows and never panics.
func (w words) say(args []string) string {
	n := 0
	for i := 0; i+1 < len(w.text); i++ {
		if w.text[i] == '%' && w.text[i+1] == 's' {
			n++
		}
	}
	fill := make([]any, n)
	for i := range fill {
		fill[i] = "?"
		if i < len(args) {
			fill[i] = CleanText(args[i], 200)
		}
	}
	return fmt.Sprintf(w.text, fill...)
}
