package abuse

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// monsters are messages built to cost or confuse whoever parses them.
func monsters() map[string][]byte {
	m := map[string]string{}
	m["no header"] = "\r\nbody\r\n"
	m["no colon"] = "this is no header at all\r\nFrom: x@example.net\r\nneither is this\r\n\r\nbody\r\n"
	m["only blank lines"] = strings.Repeat("\r\n", 10_000)
	m["header of 8 MiB"] = "Subject: big\r\n" + strings.Repeat("X-Pad: "+strings.Repeat("p", 900)+"\r\n", 9_000) +
		"From: late@example.net\r\n\r\nbody\r\n"
	m["one folded field of 4 MiB"] = "Subject: x\r\n" + strings.Repeat(" "+strings.Repeat("f", 900)+"\r\n", 4_500) + "\r\nbody\r\n"
	m["100,000 fields"] = strings.Repeat("A:b\r\n", 100_000) + "\r\nbody\r\n"
	m["100,000 addresses"] = "From: f@example.net\r\nTo: " + strings.Repeat("\"a\\\"b\" <a@example.net>,\r\n ", 100_000) +
		"z@example.net\r\n\r\nbody\r\n"
	m["nested groups"] = "To: " + strings.Repeat("g:", 20_000) + ";\r\n\r\nbody\r\n"
	m["nested comments"] = "From: " + strings.Repeat("(", 50_000) + " a@example.net\r\n\r\nbody\r\n"
	m["open quotes"] = "From: \"" + strings.Repeat("\\", 50_001) + "\r\nTo: " + strings.Repeat("<", 30_000) +
		"\r\nCc: @,@;:::<>\"(\r\n\r\nbody\r\n"
	m["odd bytes"] = "From: \xff\xfe\x80\r\nSubject: =?utf-8?B?////?= =?x-none?Q?=ZZ?= =?utf-8?Q?=00=0d=0a?= " +
		"\x01\x02\r\nMessage-ID: <\"\\\r\n \x7f>\r\nDate: never \"\\\r\n\r\n\xff\xfe\r\n"
	m["broken charset"] = "Content-Type: text/plain; charset=\"utf-99\\\"; x=\xff; =; charset*0*=%%%; " +
		"charset*9999999999=x\r\nContent-Transfer-Encoding: \"quoted\xffprintable\"\r\n\r\n=ZZ=\xff\r\n"
	m["base64 of nonsense"] = "Content-Type: text/html; charset=utf-7\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		strings.Repeat("!!!=AAA\xff", 10_000) + "\r\n"
	m["part-header bomb"] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
		strings.Repeat("--b\r\n"+strings.Repeat("X: "+strings.Repeat("h", 900)+"\r\n", 20)+"\r\n.\r\n", 300) + "--b--\r\n"
	m["100,000 parts"] = "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\np\r\n", 100_000) + "--b--\r\n"
	m["100,000 parameters"] = "Content-Type: text/plain" + strings.Repeat(";\r\n a=b", 100_000) + "\r\n\r\nbody\r\n"
	m["continued parameter"] = "Content-Type: text/plain" + continued(20_000) + "\r\n\r\nbody\r\n"
	m["boundary inside boundary"] = "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\nContent-Type: multipart/mixed; " +
		"boundary=a\r\n\r\n--a\r\n--a--\r\n--a\r\n----\r\n"
	m["long boundary"] = "Content-Type: multipart/mixed; boundary=\"" + strings.Repeat("b", 60_000) + "\"\r\n\r\n" +
		strings.Repeat("-", 100_000) + "\r\n"
	m["same boundary, deep"] = strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", 10_000)
	var deep, rfc822 strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
		rfc822.WriteString("Content-Type: message/rfc822\r\n\r\n")
	}
	m["10,000 multiparts deep"] = deep.String() + "\r\nbottom\r\n"
	m["10,000 messages deep"] = rfc822.String() + "Subject: bottom\r\n\r\nbottom\r\n"
	m["many boundaries open"] = deep.String()[:300_000] + "\r\n" + strings.Repeat("--b\r\n--b1x\r\n--b99", 20_000) + "\r\n"
	m["references"] = "Message-ID: <a@b>\r\nReferences: " + strings.Repeat("<r@example.net>\r\n ", 50_000) + "\r\nIn-Reply-To: " +
		strings.Repeat("<", 50_000) + "\r\n\r\nbody\r\n"
	m["subjects"] = "Subject: " + strings.Repeat("Re: [x] Fwd: ", 5_000) + strings.Repeat("(fwd)", 5_000) + "\r\n\r\nbody\r\n"
	m["encoded words"] = "Subject: " + strings.Repeat("=?utf-8?B?w6Q=?=\r\n ", 30_000) + "\r\n\r\nbody\r\n"
	m["language and location"] = "Content-Type: text/plain\r\nContent-Language: " + strings.Repeat("en,", 30_000) +
		"\r\nContent-Location: \"\\\r\nContent-MD5: \x00x\r\nContent-Disposition: \";=;;\"\r\nContent-ID: \xff\r\n\r\nx\r\n"
	m["language and location"] = strings.ReplaceAll(m["language and location"], "\x00", "\x01")
	m["a line of 100,000"] = "Subject: long\r\n\r\n" + strings.Repeat("l", 100_000) + "\r\n"
	m["dots"] = "Subject: dots\r\n\r\n" + strings.Repeat(".\r\n", 50_000)
	out := make(map[string][]byte, len(m))
	for k, v := range m {
		out[k] = []byte(v)
	}
	return out
}

func continued(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ";\r\n a*%d*=%%ff", i)
	}
	return b.String()
}

// Every monster is stored and served byte for byte, and its structure and
// envelope are read by a client without error.
func TestMIME(t *testing.T) {
	g := attackDev(t)
	empty(t, g, 0)
	for name, m := range monsters() {
		t.Run(name, func(t *testing.T) {
			g.under(t, 96<<20, func() {
				g.deliver(t, 0, m, "250")
				c := g.imapClient(t, 0)
				defer c.Close()
				sel, err := c.Select("INBOX", nil).Wait()
				if err != nil || sel.NumMessages == 0 {
					t.Fatalf("select: %v, %v", sel, err)
				}
				n := imap.SeqSetNum(sel.NumMessages)
				whole := &imap.FetchItemBodySection{Peek: true}
				header := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader}
				text := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierText}
				msgs, err := c.Fetch(n, &imap.FetchOptions{Envelope: true, RFC822Size: true,
					BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
					BodySection:   []*imap.FetchItemBodySection{whole, header, text}}).Collect()
				if err != nil || len(msgs) != 1 {
					t.Fatalf("fetch: %d messages, %v", len(msgs), err)
				}
				got := msgs[0].FindBodySection(whole)
				if !bytes.HasSuffix(got, m) || msgs[0].RFC822Size != int64(len(got)) {
					t.Errorf("it is not served as it was sent: %d bytes of %d, RFC822.SIZE %d", len(got), len(m), msgs[0].RFC822Size)
				}
				if both := append(bytes.Clone(msgs[0].FindBodySection(header)), msgs[0].FindBodySection(text)...); !bytes.Equal(both, got) {
					t.Errorf("HEADER and TEXT are %d bytes, the message %d", len(both), len(got))
				}
				if msgs[0].Envelope == nil || msgs[0].BodyStructure == nil {
					t.Fatal("no ENVELOPE or BODYSTRUCTURE")
				}
				depth, parts := 0, 0
				msgs[0].BodyStructure.Walk(func(path []int, _ imap.BodyStructure) bool {
					depth, parts = max(depth, len(path)), parts+1
					return true
				})
				if depth > 102 || parts > 20_100 {
					t.Errorf("the structure has %d levels and %d parts", depth, parts)
				}
				if _, err := c.Fetch(n, &imap.FetchOptions{BodyStructure: &imap.FetchItemBodyStructure{}}).Collect(); err != nil {
					t.Errorf("BODY: %v", err)
				}
				if _, err := c.Search(&imap.SearchCriteria{Text: []string{"bottom"},
					Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "x"}}}, nil).Wait(); err != nil {
					t.Errorf("SEARCH: %v", err)
				}
				retr(t, g, m)
			})
			empty(t, g, 0)
		})
	}
}

// retr checks that POP3 gives the newest message as it was sent.
func retr(t *testing.T, g *target, want []byte) {
	t.Helper()
	p := g.pop3(t, 0)
	n := strings.Fields(p.ok("STAT", "+OK"))[1]
	p.ok("TOP "+n+" 1", "+OK")
	for p.must("") != "." {
	}
	p.ok("RETR "+n, "+OK")
	var got bytes.Buffer
	for {
		l, err := p.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if l == ".\r\n" {
			break
		}
		got.WriteString(strings.TrimPrefix(l, "."))
	}
	if !bytes.HasSuffix(got.Bytes(), want) {
		t.Errorf("RETR gives %d bytes for %d", got.Len(), len(want))
	}
}

func (g *target) imapClient(t *testing.T, user int) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(g.node.IMAPS, &imapclient.Options{TLSConfig: g.tls})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(g.users[user].Login, g.users[user].Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// empty removes everything from an INBOX.
func empty(t *testing.T, g *target, user int) {
	t.Helper()
	c := g.imap(t, user)
	c.cmd("s SELECT INBOX", "s OK")
	c.send("d STORE 1:* +FLAGS.SILENT (\\Deleted)\r\n")
	c.until("d ", "d ")
	c.cmd("e EXPUNGE", "e OK")
}
