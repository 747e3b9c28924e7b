package gateway

import "testing"

func TestPhrase(t *testing.T) {
	tests := []struct {
		phrase Phrase
		args   []string
		want   Reply
	}{
		{SayBanner, []string{"mx.example.org", "Gatepost"}, Reply{Code: 220, Text: "mx.example.org ESMTP Gatepost"}},
		{SayBanner, []string{"mx.example.org", ""}, Reply{Code: 220, Text: "mx.example.org ESMTP"}},
		{SayGoAhead, nil, Reply{Code: 354, Text: "Send the message; end it with a line that has only a dot"}},
		{SayBadParameter, []string{"SI\r\nZE"}, Reply{Code: 501, Enhanced: "5.5.4", Text: "Bad parameter (SI  ZE)"}},
		{SayBadParameter, nil, Reply{Code: 501, Enhanced: "5.5.4", Text: "Bad parameter (?)"}},
		{SayOK, nil, Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}},
	}
	for _, tt := range tests {
		if got := tt.phrase.Reply(tt.args...); got != tt.want {
			t.Errorf("%q: %+v, want %+v", tt.phrase, got, tt.want)
		}
	}
}
