package imap

import (
	"strings"
	"testing"
)

const nested = "From: Ann <ann@example.org>, friends: Bob <bob@example.org>, carl@example.org;\r\n" +
	"Sender: root\r\nTo: undisclosed:;\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b1\"\r\n\r\npreamble\r\n" +
	"--b1\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-Language: en, " +
	"de\r\n\r\nGr=FC=DFe aus K=F6ln\r\n" +
	"--b1\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment; filename=\"x.eml\"\r\n\r\n" +
	"From: carl@example.org\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=b2\r\n\r\n" +
	"--b2\r\n\r\ninner plain\r\n--b2\r\nContent-Type: text/html\r\n\r\n<p>inner <b>html</b></p>\r\n--b2--\r\n" +
	"--b1\r\nContent-Type: application/octet-stream; name=\"d.bin\"\r\nContent-Transfer-Encoding: base64\r\nContent-ID: " +
	"<id1>\r\n\r\nAAECAwQF\r\n" +
	"--b1--\r\n"

// fetched gives a client with the messages in its INBOX, selected.
func fetched(t *testing.T, texts ...string) *client {
	t.Helper()
	s := newStack(t)
	c := s.signIn("ann")
	for _, text := range texts {
		c.append("INBOX", "", text)
	}
	c.ok("SELECT INBOX")
	return c
}

func TestFetchStructure(t *testing.T) {
	c := fetched(t, nested)
	got := c.ok("FETCH 1 (BODYSTRUCTURE BODY ENVELOPE)")
	has(t, got, `BODYSTRUCTURE (("text" "plain" ("charset" "iso-8859-1") NIL NIL "quoted-printable" `,
		`NIL NIL ("en" "de") NIL)`, `"message" "rfc822" NIL NIL NIL "7bit"`, `(NIL "inner" ((NIL NIL "carl" "example.org"))`,
		`"alternative" ("boundary" "b2") NIL NIL NIL)`, `("attachment" ("filename" "x.eml"))`,
		`("application" "octet-stream" ("name" "d.bin") "<id1>" NIL "base64" 8 NIL NIL NIL NIL) "mixed" ("boundary" "b1") NIL NIL NIL)`,
		`(("Ann" NIL "ann" "example.org")(NIL NIL "friends" NIL)("Bob" NIL "bob" "example.org")(NIL NIL "carl" "example.org")(NIL NIL NIL NIL))`,
		`((NIL NIL "root" ""))`, `((NIL NIL "undisclosed" NIL)(NIL NIL NIL NIL))`, `"=?utf-8?q?Gr=C3=BC=C3=9Fe?="`)
	lacks(t, got, " -")
}

func TestFetchSections(t *testing.T) {
	c := fetched(t, nested)
	for item, want := range map[string]string{
		"BODY.PEEK[]":                             "BODY[] {",
		"BODY.PEEK[1]":                            "BODY[1] {20}\r\nGr=FC=DFe aus K=F6ln",
		"BODY.PEEK[1.MIME]":                       "BODY[1.MIME] {",
		"BODY.PEEK[2.HEADER]":                     "BODY[2.HEADER] {92}\r\nFrom: carl",
		"BODY.PEEK[2.TEXT]":                       "--b2\r\n\r\ninner plain",
		"BODY.PEEK[2.1]":                          "inner plain",
		"BODY.PEEK[2.2]<3.5>":                     "BODY[2.2]<3> {5}\r\ninner",
		"BODY.PEEK[2.HEADER.FIELDS (SUBJECT)]":    "BODY[2.HEADER.FIELDS (SUBJECT)] {18}\r\nSubject: inner\r\n\r\n",
		"BODY.PEEK[HEADER.FIELDS (to \"x y\")]":   "BODY[HEADER.FIELDS (to \"x y\")] {21}\r\nTo: undisclosed:;\r\n\r\n",
		"BODY.PEEK[HEADER.FIELDS.NOT (FROM TO)]":  "Subject: =?utf",
		"BODY.PEEK[9]":                            "BODY[9] NIL",
		"BODY.PEEK[1.HEADER]":                     "BODY[1.HEADER] NIL",
		"BODY.PEEK[TEXT]<0.8>":                    "BODY[TEXT]<0> {8}\r\npreamble",
		"BODY.PEEK[]<100000.5>":                   `BODY[]<100000> ""`,
		"BINARY.PEEK[3]":                          "BINARY[3] ~{6}\r\n\x00\x01\x02\x03\x04\x05",
		"BINARY.PEEK[1]":                          "BINARY[1] ~{",
		"BINARY.SIZE[3]":                          "BINARY.SIZE[3] 6",
		"BINARY.PEEK[3]<2.2>":                     "BINARY[3]<2> ~{2}\r\n\x02\x03",
		"RFC822.HEADER":                           "RFC822.HEADER {",
		"(UID RFC822.SIZE INTERNALDATE SAVEDATE)": "RFC822.SIZE ",
		"PREVIEW (LAZY)":                          "PREVIEW {17}\r\nGrüße aus Köln",
		"PREVIEW (CHANGEDSINCE 1)":                "PREVIEW {17}",
		"(PREVIEW (LAZY) UID)":                    "UID 1",
		"(PREVIEW PREVIEW UID) (CHANGEDSINCE 1)":  "UID 1",
		"(PREVIEW UID)":                           "UID 1",
		"ALL":                                     "ENVELOPE (",
		"FULL":                                    "BODY ((",
		"FAST":                                    "FLAGS ()",
	} {
		if got := c.ok("FETCH 1 " + item); !strings.Contains(got, want) {
			t.Errorf("%s gave:\n%s\nwant %q", item, got, want)
		}
	}
	lacks(t, c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS.NOT (FROM TO)]"), "From:", "To:")
	lacks(t, c.ok("FETCH 1 FLAGS"), `\Seen`)
	has(t, c.ok("FETCH 1 BODY[1]"), `FLAGS (\Seen)`)
	has(t, c.ok("FETCH 1 (FLAGS RFC822)"), `FLAGS (\Seen)`, "RFC822 {")
}

func TestFetchUnknownEncoding(t *testing.T) {
	c := fetched(t, "Subject: x\r\nContent-Transfer-Encoding: x-uuencode-like\r\n\r\nabc\r\n", hello)
	got := c.fails("FETCH 1:2 BINARY.PEEK[1]", "NO [UNKNOWN-CTE]")
	has(t, got, "* 2 FETCH")
	c.ok("FETCH 1 BODY.PEEK[1]")
}

func TestFetchSets(t *testing.T) {
	c := fetched(t, hello, hello, hello, hello)
	c.ok(`STORE 2 +FLAGS.SILENT (\Deleted)`)
	c.ok("EXPUNGE")
	has(t, c.ok("FETCH * UID"), "* 3 FETCH (UID 4)")
	has(t, c.ok("FETCH 3:1 UID"), "* 1 FETCH (UID 1)", "* 2 FETCH (UID 3)", "* 3 FETCH (UID 4)")
	has(t, c.ok("UID FETCH 2:3,9:* FLAGS"), "* 2 FETCH (UID 3", "* 3 FETCH (UID 4")
	lacks(t, c.ok("UID FETCH 2 FLAGS"), "FETCH (")
	c.fails("FETCH 4 FLAGS", "BAD")
	c.fails("FETCH 1:9 FLAGS", "BAD")
	empty := fetched(t)
	empty.fails("FETCH 1 FLAGS", "BAD")
	empty.ok("UID FETCH 1:* FLAGS")
}

// Another session's expunge does not shift the numbers of this one before it
// has been told.
func TestFetchWhileExpunged(t *testing.T) {
	s := newStack(t)
	a, b := s.signIn("ann"), s.signIn("ann")
	for range 3 {
		a.append("INBOX", "", hello)
	}
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	b.ok(`STORE 1 +FLAGS (\Deleted)`)
	b.ok("EXPUNGE")
	got := a.ok("FETCH 1:3 UID")
	has(t, got, "* 2 FETCH (UID 2)", "* 3 FETCH (UID 3)", "[EXPUNGEISSUED]")
	lacks(t, got, "EXPUNGE\n")
	has(t, a.ok("SEARCH ALL"), "* SEARCH 2 3")
	s.file("ann", "INBOX", hello)
	a.fails("FETCH 4 UID", "BAD")
	got = a.ok("NOOP")
	has(t, got, "* 1 EXPUNGE")
	has(t, a.ok("FETCH 3 UID"), "* 3 FETCH (UID 4)")
}
