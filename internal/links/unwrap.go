package links

import (
	"encoding/base64"
	"net/url"
	"strings"
)

// maxWraps is how often a link may be wrapped in another.
const maxWraps = 5

// Unwrap returns the link that a rewriting service leads to, through all of them, or the link itself: mail that was scanned by
// others, or forwarded, leads to their gateways, and what counts is what lies behind. It follows what is written in the link
// and asks nobody.
func Unwrap(u URI) URI {
	for range maxWraps {
		inner := unwrap(&u)
		if inner == "" {
			break
		}
		next := Read(inner)
		if !next.Web() {
			break
		}
		u = next
	}
	return u
}

// unwrap is one step; "" where there is none.
func unwrap(u *URI) string {
	if !u.Web() {
		return ""
	}
	path, query := u.Path, ""
	if i := strings.IndexByte(path, '#'); i >= 0 && u.Host != "urldefense.com" {
		path = path[:i]
	}
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i+1:]
	}
	if label, ok := strings.CutSuffix(u.Host, ".translate.goog"); ok {
		return "https://" + strings.NewReplacer("--", "-", "-", ".").Replace(label) + path
	}
	switch u.Domain {
	case "proofpoint.com", "urldefense.com":
		return proofpoint(u, path, query)
	case "cisco.com": // secure-web.cisco.com/TOKEN/https%3A%2F%2F...
		if i := strings.LastIndexByte(path, '/'); u.Host == "secure-web.cisco.com" && i > 0 {
			return webOnly(unescapeURL(path[i+1:]))
		}
		return ""
	case "avanan.click", "checkpoint.com": // .../v2/___https://...___.TOKEN
		return between(u.Path, "___", "___")
	case "bing.com":
		if strings.HasPrefix(path, "/ck/") {
			v := value(query, "u")
			if b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(v, "a1")); err == nil && len(v) > 2 {
				return webOnly(string(b))
			}
		}
		return ""
	case "href.li", "anonym.to", "anonymz.com", "nullrefer.com", "dereferer.me":
		return webOnly(unescapeURL(query))
	}
	for _, s := range services {
		if s.domain != u.Domain && !(s.domain == "google" && strings.HasPrefix(u.Domain, "google.")) || !strings.HasPrefix(path, s.path) || !strings.HasSuffix(u.Host, s.host) {
			continue
		}
		for key := range strings.FieldsSeq(s.keys) {
			if inner := webOnly(value(query, key)); inner != "" {
				return inner
			}
		}
	}
	if strings.HasPrefix(u.Domain, "google.") && strings.HasPrefix(path, "/amp/") { // google.com/amp/s/HOST/PATH
		return "https://" + strings.TrimPrefix(strings.TrimPrefix(path, "/amp/"), "s/")
	}
	return ""
}

// service is a rewriting service whose links have what they lead to in their query.
type service struct{ domain, host, path, keys string }

var services = [...]service{
	{"outlook.com", "safelinks.protection.outlook.com", "", "url"},
	{"office.com", "statics.teams.cdn.office.net", "", "url"},
	{"google", "", "/url", "q url"},
	{"google", "", "/imgres", "imgurl imgrefurl"},
	{"google", "", "/aclk", "adurl"},
	{"googleadservices.com", "", "/pagead/", "adurl"},
	{"doubleclick.net", "", "", "adurl ds_dest_url"},
	{"youtube.com", "", "/redirect", "q"},
	{"facebook.com", "", "/l.php", "u"},
	{"instagram.com", "l.instagram.com", "", "u"},
	{"linkedin.com", "", "/redir", "url urlhash"},
	{"linkedin.com", "", "/safety/go", "url"},
	{"reddit.com", "out.reddit.com", "", "url"},
	{"tumblr.com", "t.umblr.com", "/redirect", "z"},
	{"umblr.com", "", "/redirect", "z"},
	{"slack-redir.net", "", "/link", "url"},
	{"vk.com", "", "/away.php", "to"},
	{"steamcommunity.com", "", "/linkfilter", "u url"},
	{"duckduckgo.com", "", "/l/", "uddg"},
	{"cudasvc.com", "linkprotect.cudasvc.com", "/url", "a"},
	{"symantec.com", "clicktime.symantec.com", "", "u"},
	{"mimecast.com", "", "", "url domain"},
	{"mimecastprotect.com", "", "", "domain"},
	{"trendmicro.com", "", "", "url"},
	{"fireeye.com", "", "", "u"},
	{"fireeyecloud.com", "", "", "u"},
	{"emailprotection.link", "", "", "url"},
	{"sophos.com", "", "", "u url"},
	{"azure.net", "safelink.emails.azure.net", "/redirect", "destination"},
	{"skimresources.com", "", "", "url"},
	{"viglink.com", "", "", "u"},
	{"awstrack.me", "", "", "url"},
	{"disq.us", "", "/url", "url"},
	{"medium.com", "", "/r/", "url"},
	{"zhihu.com", "link.zhihu.com", "", "target"},
	{"baidu.com", "", "/link", "url"},
	{"yandex.ru", "", "/redir", "url"},
	{"mail.ru", "r.mail.ru", "", "url"},
}

// proofpoint reads the three forms of urldefense.
func proofpoint(u *URI, path, query string) string {
	switch {
	case strings.HasPrefix(path, "/v1/url"):
		return webOnly(value(query, "u"))
	case strings.HasPrefix(path, "/v2/url"):
		return webOnly(unescapeURL(strings.NewReplacer("-", "%", "_", "/").Replace(value(query, "u"))))
	case strings.HasPrefix(path, "/v3/"):
		inner := between(u.Path, "__", "__;")
		// Each * stands for an octet of what is encoded behind; "https:/host" has lost a slash.
		_, tail, _ := strings.Cut(u.Path, "__;")
		code, _, _ := strings.Cut(tail, "!")
		octets, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(code, "="))
		if err == nil && strings.Count(inner, "*") == len(octets) {
			for _, c := range octets {
				inner = strings.Replace(inner, "*", string(rune(c)), 1)
			}
		}
		return webOnly(inner)
	}
	return ""
}

func between(s, from, to string) string {
	_, s, ok := strings.Cut(s, from)
	if !ok {
		return ""
	}
	s, _, ok = strings.Cut(s, to)
	if !ok {
		return ""
	}
	return webOnly(s)
}

// value is the decoded value of a key of a query; the first that is not empty.
func value(query, key string) string {
	for field := range strings.SplitSeq(strings.ReplaceAll(query, "&amp;", "&"), "&") {
		if k, v, ok := strings.Cut(field, "="); ok && strings.EqualFold(k, key) && v != "" {
			return unescapeURL(v)
		}
	}
	return ""
}

func unescapeURL(s string) string {
	if d, err := url.QueryUnescape(s); err == nil {
		return d
	}
	return s
}

// webOnly is a link of the web, or "". A name alone is one too, where a service writes it so.
func webOnly(s string) string {
	if scheme, _, ok := cutScheme(s); ok {
		if scheme == "http" || scheme == "https" {
			return s
		}
		return ""
	}
	if BareHost(s) {
		return "http://" + s
	}
	return ""
}

// Shortener reports whether a host makes short links, so that nobody sees where they lead.
func Shortener(host string) bool {
	switch strings.TrimPrefix(host, "www.") {
	case "bit.ly", "bitly.com", "j.mp", "tinyurl.com", "t.co", "goo.gl", "ow.ly", "is.gd", "v.gd", "buff.ly", "cutt.ly", "rb.gy", "t.ly", "tiny.cc", "shorturl.at",
		"rebrand.ly", "bl.ink", "s.id", "lnkd.in", "short.io", "soo.gd", "clck.ru", "u.to", "x.co", "adf.ly", "shorte.st", "bc.vc", "mcaf.ee", "qr.ae", "qrco.de",
		"q-r.to", "me-qr.com", "l.ead.me", "urlz.fr", "urlr.me", "vo.la", "han.gl", "surl.li", "shrtco.de", "tny.im", "trib.al", "dlvr.it", "ift.tt", "snip.ly",
		"linktr.ee", "page.link", "app.link", "onelink.me", "smarturl.it", "t2m.io", "tr.im", "2no.co", "iplogger.org", "grabify.link", "kutt.it", "1url.com", "zpr.io",
		"lc.chat", "chilp.it", "hyperurl.co", "spoo.me", "dub.sh", "shorten.world", "n9.cl", "acesse.one", "encurtador.com.br", "did.li", "wa.link", "e.vg", "gg.gg":
		return true
	}
	return false
}

// Tracker reports whether a domain is one of a mailing service, whose links every newsletter leads through.
func Tracker(domain string) bool {
	switch domain {
	case "list-manage.com", "mailchimp.com", "mailchi.mp", "mandrillapp.com", "sendgrid.net", "sendgrid.com", "mailgun.org", "mailgun.net", "mailgun.com", "mailjet.com", "mjt.lu",
		"sparkpostmail.com", "sparkpostmail2.com", "sparkpost.com", "amazonses.com", "awstrack.me", "constantcontact.com", "rs6.net", "ctctcdn.com", "hubspotlinks.com", "hubspotemail.net",
		"hubspot.com", "hs-sites.com", "hubspotstarter.net", "exacttarget.com", "exct.net", "salesforce.com", "pardot.com", "marketo.com", "mktoweb.com", "mkt-tool.com", "eloqua.com", "en25.com",
		"sendinblue.com", "sibautomation.com", "brevo.com", "sendibt2.com", "sendibt3.com", "sendibm1.com", "sendibm2.com", "sendibm3.com", "campaignmonitor.com", "createsend.com", "cmail19.com", "cmail20.com", "cmail1.com",
		"cmail2.com", "createsend1.com", "klaviyomail.com", "klclick.com", "klclick1.com", "klclick2.com", "klclick3.com", "klaviyo.com", "postmarkapp.com", "pstmrk.it", "cleverreach.com", "crsend.com", "rapidmail.de", "emailsys1a.net", "emailsys2a.net",
		"newsletter2go.com", "inxmail.com", "inxmail-commerce.com", "episerver.net", "optivo.com", "emarsys.net", "emarsys.com", "responsys.net", "rsys2.com", "sailthru.com", "braze.com", "iterable.com",
		"customeriomail.com", "customer.io", "activehosted.com", "activecampaign.com", "acemlnb.com", "aweber.com", "getresponse.com", "getresponse-mail.com", "icontact.com", "mailerlite.com", "mlsend.com", "mailerlite.io", "convertkit.com", "convertkit-mail.com",
		"convertkit-mail2.com", "ck.page", "substack.com", "beehiiv.com", "ghost.org", "sendpulse.com", "moosend.com", "omnisend.com", "drip.com", "intercom-mail.com", "intercom-clicks.com", "zendesk.com", "freshdesk.com",
		"dotdigital.com", "dotmailer.com", "trackedlink.net", "e2ma.net", "myemma.com", "bronto.com", "cordial.com", "listrak.com", "zohocampaigns.com", "zcsend.net", "benchmarkemail.com", "vresp.com", "verticalresponse.com", "madmimi.com",
		"maropost.com", "ongage.net", "elasticemail.com", "mailpoet.com", "sailplay.ru", "unisender.com", "mindbox.ru", "tinyletter.com", "eventbrite.com", "mail-list.com", "mailup.com", "contactlab.it", "acoustic.com", "mkt-track.com", "sg-links.com", "ct.sendgrid.net":
		return true
	}
	return false
}
