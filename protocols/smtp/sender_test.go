package smtp

import (
	"strings"
	"testing"
)

// TestForgedSenderIsFound hides another's From field where readers of the
// message still see it.
func TestForgedSenderIsFound(t *testing.T) {
	const forged = "From: Bert <bert@example.com>\r\n"
	for name, c := range map[string]struct{ header, want string }{
		"own":                    {"From: anna@example.com\r\n", "250 "},
		"own behind noise":       {"no field\r\nFrom: anna@example.com\r\n", "250 "},
		"behind a line of noise": {"no field\r\n" + forged, "550 5.7.1 "},
		"first line is noise and the second is own": {"noise\r\nFrom: anna@example.com\r\n" + forged, "550 5.7.1 "},
		"behind what is looked at":                  {strings.Repeat("X-Pad: "+strings.Repeat("p", 900)+"\r\n", 300) + forged, "554 5.6.0 "},
		"a large header": {"From: anna@example.com\r\n" +
			strings.Repeat("X-Pad: "+strings.Repeat("p", 900)+"\r\n", 200), "250 "},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Submissions, nil)
			cl := r.dialTLS()
			cl.t = t
			cl.hello()
			cl.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "235 ")
			cl.do("MAIL FROM:<anna@example.com>", "250 ")
			cl.do("RCPT TO:<bert@example.com>", "250 ")
			cl.do("DATA", "354 ")
			cl.do(c.header+"\r\n"+strings.Repeat("body\r\n", 100_000)+".", c.want)
			cl.do("NOOP", "250 ")
		})
	}
}

// TestMalformedResponseIsLasting sends SASL responses that mean nothing.
func TestMalformedResponseIsLasting(t *testing.T) {
	r := newRig(t, Submissions, nil)
	c := r.dialTLS()
	c.hello()
	for _, response := range []string{"anna", "\x00anna", "a\x00b\x00c\x00d"} {
		c.do("AUTH PLAIN "+b64(response), "501 5.5.2 ")
	}
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "235 ")
}
