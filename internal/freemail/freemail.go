// Package freemail knows domains of which everybody can have an address, and those that send for everybody who pays. That a
// message is proven to come from one says nothing of who wrote it: no entry that makes anything milder may name one, and
// their mail is always looked at. It asks nobody anything. The lists are of the ones that most mail comes from, and will
// never be whole.
package freemail

import "strings"

// Shared says what is shared of a domain that everybody can send from, as "gmail.com is free mail"; "" for none that is
// known. The domain is a lower-case A-label, also with a leading dot for all names below it.
func Shared(domain string) string {
	domain = strings.TrimPrefix(domain, ".")
	if Free(domain) {
		return domain + " is free mail"
	}
	for rest := domain; ; {
		if service(rest) {
			return rest + " is a shared sending service"
		}
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return ""
		}
		rest = rest[i+1:]
	}
}

// Free reports whether everybody can have an address of a domain, a lower-case A-label. A provider with a name in many countries is known by it.
func Free(domain string) bool {
	switch name, _, _ := strings.Cut(domain, "."); name {
	case "yahoo", "hotmail", "outlook", "live":
		rest := domain[len(name):]
		return strings.Count(rest, ".") <= 2 && len(rest) <= len(".com.au")
	}
	switch domain {
	case "gmail.com", "googlemail.com", "msn.com", "ymail.com", "rocketmail.com", "aol.com", "aim.com", "icloud.com", "me.com", "mac.com",
		"gmx.de", "gmx.net", "gmx.com", "gmx.at", "gmx.ch", "gmx.us", "web.de", "t-online.de", "freenet.de", "arcor.de", "posteo.de", "mailbox.org",
		"mail.ru", "inbox.ru", "list.ru", "bk.ru", "rambler.ru", "yandex.ru", "yandex.com", "ya.ru", "ukr.net",
		"qq.com", "foxmail.com", "163.com", "126.com", "yeah.net", "sina.com", "sina.cn", "sohu.com", "139.com", "aliyun.com", "naver.com", "daum.net", "hanmail.net",
		"proton.me", "protonmail.com", "pm.me", "tutanota.com", "tuta.io", "tutamail.com", "fastmail.com", "fastmail.fm", "hushmail.com",
		"mail.com", "email.com", "zoho.com", "zohomail.com", "rediffmail.com",
		"orange.fr", "wanadoo.fr", "free.fr", "sfr.fr", "laposte.net", "libero.it", "virgilio.it", "alice.it", "tiscali.it", "tin.it",
		"wp.pl", "o2.pl", "onet.pl", "interia.pl", "seznam.cz", "centrum.cz", "email.cz", "azet.sk", "abv.bg", "freemail.hu", "citromail.hu",
		"ziggo.nl", "kpnmail.nl", "planet.nl", "telenet.be", "skynet.be", "bluewin.ch", "hispeed.ch", "chello.at", "aon.at",
		"btinternet.com", "talktalk.net", "virginmedia.com", "ntlworld.com", "sky.com", "comcast.net", "verizon.net", "att.net", "sbcglobal.net",
		"bellsouth.net", "cox.net", "charter.net", "earthlink.net", "juno.com", "shaw.ca", "rogers.com", "bigpond.com", "optusnet.com.au",
		"terra.com.br", "uol.com.br", "bol.com.br", "mail.ee", "inbox.lv", "hey.com", "duck.com", "keemail.me", "tutanota.de", "tuta.com", "protonmail.ch", "zohomail.eu", "internet.ru", "i.ua", "meta.ua", "189.cn", "nate.com", "neuf.fr", "op.pl",
		"post.cz", "centrum.sk", "mail.bg", "optonline.net", "mailfence.com", "runbox.com", "disroot.org", "riseup.net", "cock.li", "yopmail.com", "mailinator.com", "telia.com", "online.no", "mynet.com":
		return true
	}
	return false
}

// service: it sends for others, below names of its own.
func service(domain string) bool {
	switch domain {
	case "sendgrid.net", "sendgrid.com", "amazonses.com", "mailgun.org", "mailgun.net", "mcsv.net", "mcdlv.net", "mandrillapp.com", "mailchimpapp.net",
		"sparkpostmail.com", "onmicrosoft.com", "protection.outlook.com", "sendinblue.com", "brevo.com", "brevosend.com", "mailjet.com", "postmarkapp.com",
		"mtasv.net", "exacttarget.com", "rsgsv.net", "hubspotemail.net", "constantcontact.com", "google.com", "googlegroups.com", "gserviceaccount.com",
		"salesforce.com", "appspotmail.com", "firebaseapp.com", "zendesk.com", "klaviyomail.com", "createsend.com", "cmail19.com", "cmail20.com",
		"mailerlite.com", "mlsend.com", "emarsys.net", "rapidmail.de", "inxmail.de", "cleverreach.com":
		return true
	}
	return false
}
