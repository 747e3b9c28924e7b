package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"gatepost/gateway"
)

// parcel is one mail of the campaign. Its message is a function of the campaign's seed and its number.
type parcel struct {
	number  int
	to      []string
	message []byte // lines ended by CRLF
	courier bool   // sent by our own client, by BDAT or DATA; else by the Postfix
	chunked bool
}

// campaignField begins each message, so that what stands below the fields of those on its way can be told apart.
const campaignField = "X-Campaign: "

// campaignDomains are served by a real Postfix and by a recording next hop.
var campaignDomains = [2]string{"lab.test", "hop.test"}

// campaignMailboxes are the local parts that exist in both domains.
var campaignMailboxes = []string{"anna", "berta", "carla"}

const (
	smallestParcel = 1 << 10
	largestParcel  = 2 << 20
)

// makeParcel makes the mail of a number: from 1 KiB to 2 MiB, small ones more often, to one to three recipients.
func makeParcel(seed uint64, number int) *parcel { return makeParcelUpTo(seed, number, largestParcel) }

// makeParcelUpTo is makeParcel with another largest size.
func makeParcelUpTo(seed uint64, number, largest int) *parcel {
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	p := &parcel{number: number, courier: number%2 == 0, chunked: r.IntN(3) > 0}
	domain := campaignDomains[number/2%2]
	for _, i := range r.Perm(len(campaignMailboxes))[:1+r.IntN(len(campaignMailboxes))] {
		p.to = append(p.to, campaignMailboxes[i]+"@"+domain)
	}
	size := int(smallestParcel * math.Exp(r.Float64()*math.Log(float64(largest)/smallestParcel)))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%d\r\nFrom: Anna Berg <%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: Parcel %d,\r\n\tfolded  here\r\n",
		campaignField, number, sender, strings.Join(p.to, ">,\r\n <"), time.Unix(1764158400+int64(number), 0).UTC().Format(time.RFC1123Z), number)
	fmt.Fprintf(&b, "Message-ID: <%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", parcelID(seed, number))
	for b.Len() < size {
		b.WriteString(parcelLine(r))
		b.WriteString("\r\n")
	}
	p.message = b.Bytes()
	return p
}

func parcelID(seed uint64, number int) string {
	return fmt.Sprintf("campaign.%x.%d@sender.test", seed, number)
}

// parcelLine is a line of a kind that somebody on the way may get wrong.
func parcelLine(r *rand.Rand) string {
	word := strconv.FormatUint(r.Uint64(), 36)
	switch r.IntN(12) {
	case 0:
		return "."
	case 1:
		return ".." + word
	case 2:
		return "." + word + "."
	case 3:
		return ""
	case 4:
		return "grün " + word + " поезд 列車 \xff\xfe\x80"
	case 5:
		return strings.Repeat(word, 900/len(word))
	case 6:
		return strings.Repeat("long "+word, 1+r.IntN(400))
	case 7:
		return "From " + word
	case 8:
		return word + " \t "
	case 9:
		return "250 2.0.0 " + word
	}
	return strings.Repeat(word+" ", 1+r.IntN(6))
}

// mailboxed is a message with its lines ended by LF, as a mailbox has it.
func mailboxed(message []byte) []byte { return bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")) }

// delivered is one copy of a parcel as it arrived for one recipient.
type delivered struct {
	number int
	to     string
	trace  gateway.ID // of the transaction that brought it
	sum    [sha256.Size]byte
	wrong  string // truncated or mixed; "" when it is, from its first field to its last octet, what was sent
}

// readDelivered looks at a message with the fields of all that it came through above, and compares it with what was sent.
func readDelivered(to string, message []byte, sent []*parcel) (delivered, error) {
	d := delivered{to: to}
	i := bytes.Index(message, []byte("\n"+campaignField))
	if i < 0 {
		return d, fmt.Errorf("no parcel: %.1000q", message)
	}
	above, content := message[:i+1], message[i+1:]
	line, _, _ := bytes.Cut(content[len(campaignField):], []byte("\n"))
	number, err := strconv.Atoi(strings.TrimSpace(string(line)))
	if err != nil {
		return d, fmt.Errorf("parcel: %w", err)
	}
	_, trace, ok := bytes.Cut(above, []byte("X-Gatepost-Trace: "))
	if !ok {
		return d, fmt.Errorf("parcel %d did not come through the gateway: %.2000q", number, above)
	}
	trace, _, _ = bytes.Cut(trace, []byte("\n"))
	if d.trace, err = gateway.ParseID(string(trace)); err != nil {
		return d, fmt.Errorf("parcel %d: trace %q: %w", number, trace, err)
	}
	if number < 0 || number >= len(sent) {
		return d, fmt.Errorf("parcel %d was never sent", number)
	}
	content = mailboxed(content)
	d.number, d.sum = number, sha256.Sum256(content)
	switch want := mailboxed(sent[number].message); {
	case bytes.Equal(content, want):
	case bytes.HasPrefix(want, content):
		d.wrong = "truncated"
	default:
		d.wrong = "mixed"
	}
	return d, nil
}
