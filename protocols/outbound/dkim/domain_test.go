package dkim

import (
	"errors"
	"testing"

	"rookery"
)

func TestSigningDomain(t *testing.T) {
	ours := func(domain string) bool {
		return domain == "example.com" || domain == "team.example.com" || domain == "xn--bcher-kva.example"
	}
	for header, want := range map[string]string{
		"From: alice@example.com\r\n":                                                    "example.com",
		"from : \"A: <x@evil.example>\" <alice@EXAMPLE.com> (c)\r\n":                     "example.com",
		"From:\r\n Alice\r\n <alice@example.com>\r\nTo: b@example.org\r\n":               "example.com",
		"From: a@team.example.com\r\n":                                                   "team.example.com",
		"From: a@lists.example.com\r\n":                                                  "example.com", // relaxed alignment
		"From: a@b\u00fccher.example\r\n":                                                "xn--bcher-kva.example",
		"From: a@example.com, b@example.com\r\n":                                         "example.com",
		"From: a@example.org, b@example.com\r\nSender: s@example.com\r\n":                "example.com",
		"From: a@example.com, b@team.example.com\r\nSender: s@team.example.com\r\n":      "team.example.com",
		"From: a@example.com, b@example.org\r\n":                                         "", // no Sender
		"From: a@example.com, b@example.org\r\nSender: s@example.net\r\n":                "", // of neither
		"From: a@example.com, b@example.org\r\nSender: s@example.com, t@example.com\r\n": "", // two
		"From: a@example.com\r\nFrom: a@example.com\r\n":                                 "", // two fields
		"To: a@example.com\r\n":                                                          "",
		"From: undisclosed:;\r\n":                                                        "",
		"From: Alice\r\n":                                                                "",
		"From: a@[192.0.2.1]\r\n":                                                        "",
		"From: a@notexample.com\r\n":                                                     "",
		"From: a@example.com.evil.example\r\n":                                           "",
		"From: a@example.org\r\nSender: a@example.com\r\nX-From: a@example.com\r\n":      "",
		"From: a@example.com, @example.org\r\n":                                          "", // one of no use
		"":                                                                               "",
		"From: a@example.com\r\n\r\n":                                                    "example.com",
		"From: a@example.com\nX: y\r\n":                                                  "", // malformed
	} {
		got, err := SigningDomain([]byte(header), ours)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", header, got, err, want)
		}
		if err != nil && !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%q: kind %s", header, rookery.KindOf(err))
		}
	}
	if _, err := SigningDomain([]byte("From: a@example.org\r\n"), ours); !errors.Is(err, ErrUnaligned) {
		t.Errorf("%v, want ErrUnaligned", err)
	}
}

func FuzzSigningDomain(f *testing.F) {
	f.Add([]byte("From: g: a@example.com, b@example.org;\r\nSender: s@example.com\r\n"))
	f.Fuzz(func(t *testing.T, header []byte) {
		got, err := SigningDomain(header, func(domain string) bool { return domain == "example.com" })
		if (err == nil) != (got == "example.com") {
			t.Errorf("%q: %q, %v", header, got, err)
		}
	})
}
