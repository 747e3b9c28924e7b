package links

import "testing"

// TestUnwrap: what a rewriting service leads to is found, through several of them, and nothing else is taken apart.
func TestUnwrap(t *testing.T) {
	for _, c := range [][2]string{
		{"https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2Fx&data=05%7C01", "evil.example"},
		{"https://eur01.safelinks.protection.outlook.com/ap/w-59584e83/?url=https%3A%2F%2Fevil.example%2Fx&amp;data=05", "evil.example"},
		{"https://urldefense.proofpoint.com/v1/url?u=http://evil.example/x&k=1", "evil.example"},
		{"https://urldefense.proofpoint.com/v2/url?u=https-3A__www.evil.example_x-3Fy&d=DwMFaQ", "www.evil.example"},
		{"https://urldefense.com/v3/__https://evil.example/a*b__;Iw!!token$", "evil.example"},
		{"https://urldefense.com/v3/__https://evil.example:8080/__;!!token$", "evil.example"},
		{"https://www.google.com/url?q=https://evil.example/&sa=D", "evil.example"},
		{"https://www.google.de/url?sa=t&url=https%3A%2F%2Fevil.example", "evil.example"},
		{"https://www.google.com/amp/s/evil.example/x", "evil.example"},
		{"https://l.facebook.com/l.php?u=https%3A%2F%2Fevil.example%2F&h=x", "evil.example"},
		{"https://secure-web.cisco.com/1token/https%3A%2F%2Fevil.example%2Fx", "evil.example"},
		{"https://url.avanan.click/v2/___https://evil.example/x___.token", "evil.example"},
		{"https://evil-example--shop-net.translate.goog/x", "evil.example-shop.net"},
		{"https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9ldmlsLmV4YW1wbGUv&ntb=1", "evil.example"},
		{"https://href.li/?https://evil.example/", "evil.example"},
		{"https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fevil.example&c=E", "evil.example"},
		{"https://www.google.com/url?q=https%3A%2F%2Feur01.safelinks.protection.outlook.com%2F%3Furl%3Dhttps%253A%252F%252Fevil.example%252F", "evil.example"},
		{"https://protect-de.mimecast.com/s/abc?domain=evil.com", "evil.com"},
		{"https://www.google.com/search?q=https://evil.example", "www.google.com"},
		{"https://www.google.com/url?q=javascript:alert(1)", "www.google.com"},
		{"https://google.evil.example/url?q=https://good.example", "google.evil.example"},
		{"https://example.org/?url=https://other.example", "example.org"},
		{"https://safelinks.protection.outlook.com.evil.example/?url=https://good.example", "safelinks.protection.outlook.com.evil.example"},
	} {
		if u := Unwrap(Read(c[0])); u.Host != c[1] {
			t.Errorf("%s leads to %q, not %q", c[0], u.Host, c[1])
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	f.Add("https://urldefense.com/v3/__https://evil.example/a*b__;Iw!!token$")
	f.Add("https://urldefense.proofpoint.com/v2/url?u=https-3A__www.evil.example_x-3Fy&d=DwMFaQ")
	f.Add("https://www.bing.com/ck/a?u=a1aHR0cHM6Ly9ldmlsLmV4YW1wbGUv")
	f.Fuzz(func(t *testing.T, s string) {
		u := Read(s)
		if inner := Unwrap(u); u.Web() && !inner.Web() {
			t.Errorf("%q leads to %+v", s, inner)
		}
	})
}

// TestTables: the names of services are as Read tells them.
func TestTables(t *testing.T) {
	for _, host := range []string{"bit.ly", "www.tinyurl.com", "t.co"} {
		if !Shortener(Read("https://" + host + "/x").Host) {
			t.Errorf("%s makes no short links", host)
		}
	}
	for _, host := range []string{"us1.list-manage.com", "u1.ct.sendgrid.net"} {
		if !Tracker(Read("https://" + host + "/x").Domain) {
			t.Errorf("%s is of no mailing service", host)
		}
	}
	if Shortener("example.org") || Tracker("example.org") || Tracker("") {
		t.Error("example.org is one")
	}
}
