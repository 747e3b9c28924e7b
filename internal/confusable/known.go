package confusable

import (
	"slices"
	"strings"
)

// Brand is a name that many imitate, with domains of its own.
type Brand struct {
	Domains []string
	Slips   bool // it is no word, so that a name one letter away from it is hardly honest
}

// WellKnown are the names that are imitated most, by what reports about phishing have named for years. The first domain is
// the one that people know. The caller owns what is returned.
func WellKnown() []Brand {
	var out []Brand
	for _, row := range [...]struct {
		slips bool
		names string
	}{
		// Made-up names: one letter more or less is no word either.
		{true, `paypal.com paypal.me paypalobjects.com; microsoft.com microsoftonline.com; office365.com; outlook.com; hotmail.com; sharepoint.com;
			onedrive.com; google.com; gmail.com; youtube.com; facebook.com fb.com; instagram.com; whatsapp.com; linkedin.com; netflix.com; amazon.com amazonaws.com;
			icloud.com; dropbox.com; docusign.com docusign.net; adobesign.com; wetransfer.com; coinbase.com; binance.com; metamask.io; blockchain.com;
			kraken.com; trezor.io; cloudflare.com; github.com githubusercontent.com; gitlab.com; wordpress.com; godaddy.com; namecheap.com; mailchimp.com;
			salesforce.com; servicenow.com; atlassian.com; slack.com; alibaba.com; aliexpress.com; rakuten.co.jp; mercadolibre.com; walmart.com; bestbuy.com;
			costco.com; homedepot.com; wellsfargo.com; bankofamerica.com; capitalone.com; americanexpress.com; mastercard.com; citibank.com; barclays.co.uk;
			santander.com; revolut.com; unicredit.it; commerzbank.de; deutsche-bank.de; postbank.de; comdirect.de; creditagricole.fr; bnpparibas.com;
			societegenerale.fr; labanquepostale.fr; intesasanpaolo.com; raiffeisen.ch; postfinance.ch; swisscom.ch; bluewin.ch; vodafone.com; verizon.com;
			comcast.net; xfinity.com; spectrum.net; proximus.be; orange.fr; deutschepost.de; correos.es; laposte.fr; chronopost.fr; bpost.be; postnl.nl;
			usps.com; fedex.com; dhl.com dhl.de; evri.com; zalando.de; klarna.com; spotify.com; disneyplus.com; steamcommunity.com steampowered.com;
			roblox.com; playstation.com; epicgames.com; telegram.org; snapchat.com; tiktok.com; airbnb.com; expedia.com; lufthansa.com; elster.de;
			ionos.com ionos.de; strato.de; web.de; protonmail.com proton.me; zoom.us; webex.com; okta.com; norton.com; mcafee.com`},
		// Words, and names that honest ones are near to: only letters that look alike, and additions that promise.
		{false, `apple.com; booking.com; chase.com; discover.com; target.com; steam.com; discord.com; indeed.com; stripe.com; square.com; adobe.com; twitter.com; telekom.de
			telekom.com; ebay.com ebay.de; yahoo.com; intuit.com; quickbooks.com; xerox.com; oracle.com; gmx.net gmx.de; hsbc.com; ups.com; ing.com ing.de; n26.com; nintendo.com;
			usbank.com; sparkasse.de; volksbank.de; santander.co.uk; halifax.co.uk; natwest.com; lloydsbank.com; tesco.com; samsung.com; reddit.com; irs.gov; hmrc.gov.uk; impots.gouv.fr; ameli.fr`},
	} {
		for group := range strings.SplitSeq(row.names, ";") {
			out = append(out, Brand{Domains: strings.Fields(group), Slips: row.slips && !short(strings.Fields(group)[0])})
		}
	}
	return out
}

// honest are domains that are near to well-known ones and have nothing to do with them, or are theirs.
var honest = [...]string{"paypay.ne.jp", "paypay-bank.co.jp", "barclaycard.co.uk", "barclaycardus.com", "amazon-adsystem.com", "google-analytics.com",
	"googleapis.com", "gstatic.com", "facebookmail.com", "linkedin-ei.com", "microsoft365.com", "office.com", "microsoftstore.com", "telecom.com", "orange.com",
	"booking-holdings.com", "amazonpay.com", "applepay.com", "googlemail.com", "hotmail.de", "icloud-content.com", "apple-dns.net", "netflixinvestor.com", "githubassets.com",
	"docusign.net", "cloudflare-dns.com", "cloudflarestatus.com", "githubstatus.com", "dropboxusercontent.com", "dropboxstatic.com", "cookiebot.com", "slackb.com", "zoomgov.com", "stripe.network",
	"paypalcorp.com", "paypal-community.com", "paypal-support.com", "amazonses.com", "whatsapp.net", "fedexoffice.com", "ebayinc.com", "microsoftsupport.com", "telecom.pt", "walmartpay.com", "intuit-pay.com"}

// Honest returns the domains that are near to well-known ones and honest: an allow list for them. The caller owns what is returned.
func Honest() []string { return slices.Clone(honest[:]) }

// short reports whether a domain's label is too short for slips.
func short(domain string) bool {
	label, _, _ := strings.Cut(domain, ".")
	return len(label) < Shortest+1
}

// baits are words that a name of others is made to promise something with.
var baits = [...]string{"login", "logins", "signin", "signon", "secure", "secured", "security", "account", "accounts", "verify", "verification", "verified", "support", "service",
	"services", "update", "updates", "online", "webmail", "mail", "email", "billing", "invoice", "payment", "payments", "helpdesk", "help", "auth", "authenticate", "sso", "portal",
	"confirm", "confirmation", "unlock", "restore", "recovery", "recover", "alert", "alerts", "notice", "notification", "delivery", "tracking", "parcel", "paket", "kundenservice", "anmeldung",
	"konto", "sicherheit", "wallet", "refund", "bonus", "giftcard", "password", "passwort", "reset", "access", "client", "customer", "customers", "kunden", "banking", "ebanking", "document", "documents",
	"share", "signature", "team", "admin", "office", "cloud", "vpn", "remote", "intranet", "hr", "payroll"}

// Promises reports whether a word, or one of those that hyphens join, is one that people are lured with.
func Promises(text string) bool {
	for word := range strings.SplitSeq(text, "-") {
		if slices.Contains(baits[:], word) {
			return true
		}
	}
	return false
}
