package freemail

import "testing"

func TestShared(t *testing.T) {
	for domain, want := range map[string]string{
		"gmail.com": "gmail.com is free mail", ".gmail.com": "gmail.com is free mail", "yahoo.co.uk": "yahoo.co.uk is free mail", "outlook.de": "outlook.de is free mail",
		"a.b.sendgrid.net": "sendgrid.net is a shared sending service", "contoso.onmicrosoft.com": "onmicrosoft.com is a shared sending service",
		"eur01.protection.outlook.com": "protection.outlook.com is a shared sending service", "google.com": "google.com is a shared sending service",
		"example.org": "", "": "", "notgmail.com": "", "gmail.com.example": "", "live.partner-company.example": "", "mysendgrid.net": "", "com": ""} {
		if got := Shared(domain); got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
}
