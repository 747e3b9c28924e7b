package filters

import "strings"

// Freemail reports whether anybody can have a mailbox of a domain, an A-label in lower case: what one of its users does says
// nothing of the others.
func Freemail(domain string) bool {
	switch domain {
	case "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com", "rocketmail.com",
		"icloud.com", "me.com", "mac.com", "aol.com", "aim.com", "gmx.com", "gmx.net", "gmx.de", "gmx.at", "gmx.ch", "web.de", "mail.com", "email.com",
		"t-online.de", "freenet.de", "arcor.de", "posteo.de", "mailbox.org", "proton.me", "protonmail.com", "protonmail.ch", "pm.me", "tutanota.com",
		"tutanota.de", "tuta.io", "tuta.com", "keemail.me", "zoho.com", "zohomail.com", "zohomail.eu", "fastmail.com", "fastmail.fm", "hushmail.com",
		"mail.ru", "bk.ru", "inbox.ru", "list.ru", "internet.ru", "yandex.ru", "yandex.com", "ya.ru", "rambler.ru", "ukr.net", "i.ua", "meta.ua",
		"qq.com", "foxmail.com", "163.com", "126.com", "yeah.net", "sina.com", "sina.cn", "sohu.com", "aliyun.com", "139.com", "189.cn",
		"naver.com", "daum.net", "hanmail.net", "nate.com", "rediffmail.com", "orange.fr", "wanadoo.fr", "free.fr", "laposte.net", "sfr.fr", "neuf.fr",
		"libero.it", "virgilio.it", "alice.it", "tin.it", "tiscali.it", "wp.pl", "o2.pl", "onet.pl", "interia.pl", "op.pl", "seznam.cz", "email.cz",
		"centrum.cz", "post.cz", "centrum.sk", "azet.sk", "freemail.hu", "citromail.hu", "abv.bg", "mail.bg", "uol.com.br", "bol.com.br", "terra.com.br",
		"comcast.net", "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net", "cox.net", "charter.net", "earthlink.net", "optonline.net",
		"btinternet.com", "sky.com", "virginmedia.com", "talktalk.net", "ntlworld.com", "telenet.be", "skynet.be", "ziggo.nl", "kpnmail.nl", "planet.nl",
		"hey.com", "duck.com", "inbox.lv", "mailfence.com", "runbox.com", "disroot.org", "riseup.net", "cock.li", "yopmail.com", "mailinator.com":
		return true
	}
	// The national domains of those that have many.
	for _, family := range [...]string{"yahoo.", "hotmail.", "outlook.", "live.", "ymail.", "windowslive."} {
		if rest, ok := strings.CutPrefix(domain, family); ok && len(rest) <= len("com.xx") {
			return true
		}
	}
	return false
}
