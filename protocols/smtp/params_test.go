package smtp

import (
	"strings"
	"testing"

	"rookery"
)

func TestCutPath(t *testing.T) {
	for arg, want := range map[string]string{
		"FROM:<a@b.c>":                "a@b.c|",
		"from: <a@b.c> SIZE=1":        "a@b.c| SIZE=1",
		"FROM:<>":                     "|",
		"FROM:<> BODY=7BIT":           "| BODY=7BIT",
		"FROM:a@b.c SIZE=1":           "a@b.c|SIZE=1",
		"FROM:<@x,@y:a@b.c>":          "a@b.c|",
		`FROM:<"a b"@b.c>`:            "a b@b.c|",
		`FROM:<"a\"b\\c>d"@b.c>`:      `a"b\c>d@b.c|`,
		"FROM:<a@[192.0.2.1]>":        "a@[192.0.2.1]|",
		"FROM:<a@[IPv6:2001:db8::1]>": "a@[IPv6:2001:db8::1]|",
		"FROM:<postmaster>":           "postmaster|",
		"FROM:":                       "",
		"FROM":                        "",
		"TO:<a@b.c>":                  "",
		"FROM:<a@b.c":                 "",
		"FROM:<a@b.c>x":               "",
		"FROM:<a b@b.c>":              "",
		"FROM:<a@b c>":                "",
		`FROM:<"a@b.c>`:               "",
		`FROM:<"a\`:                   "",
		`FROM:<""@b.c>`:               "",
		"FROM:<@x>":                   "",
		"FROM:a@b.c>":                 "",
	} {
		address, params, err := cutPath(arg, "FROM:")
		got := address + "|" + params
		if err != nil {
			got = ""
		}
		if got != want {
			t.Errorf("%s: got %q (%v), want %q", arg, got, err, want)
		}
	}
}

func TestParameters(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	for params, want := range map[string]string{
		"SIZE=10 BODY=8BITMIME RET=full ENVID=a+2Bb SMTPUTF8": "250 2.1.0 ",
		"body=7bit AUTH=<>":         "250 2.1.0 ",
		"SIZE=0":                    "250 2.1.0 ",
		"SIZE=1048577":              "552 5.3.4 ",
		"SIZE=18446744073709551616": "552 5.3.4 ",
		"SIZE=":                     "501 5.5.4 ",
		"SIZE":                      "501 5.5.4 ",
		"SIZE=1x":                   "501 5.5.4 ",
		"SIZE=1 SIZE=1":             "501 5.5.4 ",
		"BODY=BINARYMIME":           "501 5.5.4 ",
		"SMTPUTF8=yes":              "501 5.5.4 ",
		"RET=ALL":                   "501 5.5.4 ",
		"ENVID=":                    "501 5.5.4 ",
		"ENVID=a+0Db":               "501 5.5.4 ",
		"ENVID=a+2":                 "501 5.5.4 ",
		"ENVID=a+zz":                "501 5.5.4 ",
		"HOLDFOR=100":               "555 5.5.4 ",
		"=":                         "555 5.5.4 ",
		"X\x01\u00e9=1":             "555 5.5.4 ",
	} {
		got := c.do("MAIL FROM:<x@example.org> "+params, "")
		if !strings.HasPrefix(got, want) {
			t.Errorf("MAIL %s: got %q, want %q", params, got, want)
		}
		c.do("RSET", "250 ")
	}
	c.do("MAIL FROM:<x@example.org>", "250 ")
	for params, want := range map[string]string{
		"NOTIFY=success,FAILURE,Delay ORCPT=rfc822;anna+40example.com": "250 2.1.5 ",
		"NOTIFY=NEVER":         "250 2.1.5 ",
		"NOTIFY=NEVER,FAILURE": "501 5.5.4 ",
		"NOTIFY=":              "501 5.5.4 ",
		"ORCPT=rfc822":         "501 5.5.4 ",
		"ORCPT=;x":             "501 5.5.4 ",
		"SIZE=1":               "555 5.5.4 ",
	} {
		if got := c.do("RCPT TO:<anna@example.com> "+params, ""); !strings.HasPrefix(got, want) {
			t.Errorf("RCPT %s: got %q, want %q", params, got, want)
		}
	}
}

// TestPostmaster sends to the one address that has no domain.
func TestPostmaster(t *testing.T) {
	r := newRig(t, MX, func(o *Options) {
		o.Postmaster = func() rookery.Address { return rookery.Address{Local: "anna", Domain: "example.com"} }
	})
	c := r.dial()
	c.hello()
	c.envelope("Postmaster")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\nx\r\n.", "250 ")
	if m := r.store.taken(); !strings.Contains(m[0], "\tfor <anna@example.com>;") {
		t.Errorf("%q", m)
	}
	r = newRig(t, MX, nil)
	c = r.dial()
	c.hello()
	c.do("MAIL FROM:<>", "250 ")
	c.do("RCPT TO:<postmaster>", "450 4.3.5 ") // a system has to take it: it comes again until somebody gets it
}
