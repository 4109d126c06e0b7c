package imap

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// dialLibrary connects an independent client library.
func (s *stack) dialLibrary(o *imapclient.Options) *imapclient.Client {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	go s.server.Serve(context.Background(), ln, Mode{})
	if o == nil {
		o = &imapclient.Options{}
	}
	o.TLSConfig = &tls.Config{InsecureSkipVerify: true}
	c, err := imapclient.DialStartTLS(ln.Addr().String(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close(); ln.Close() })
	if err := c.Login("ann", "secret").Wait(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestLibraryClient(t *testing.T) {
	s := newStack(t)
	c := s.dialLibrary(nil)
	put := func(box, text string) *imaplib.AppendData {
		cmd := c.Append(box, int64(len(text)), &imaplib.AppendOptions{Flags: []imaplib.Flag{imaplib.FlagFlagged}, Time: time.Unix(1e9, 0)})
		io.WriteString(cmd, text)
		cmd.Close()
		return must(cmd.Wait())(t)
	}
	if d := put("INBOX", nested); d.UID != 1 {
		t.Errorf("UID %d", d.UID)
	}
	put("INBOX", hello)
	sel := must(c.Select("INBOX", &imaplib.SelectOptions{CondStore: true}).Wait())(t)
	if sel.NumMessages != 2 || sel.HighestModSeq == 0 || sel.UIDNext != 3 {
		t.Errorf("%+v", sel)
	}
	msgs := must(c.Fetch(imaplib.SeqSetNum(1, 2),
		&imaplib.FetchOptions{Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true, ModSeq: true,
			BodyStructure: &imaplib.FetchItemBodyStructure{Extended: true},
			BodySection:   []*imaplib.FetchItemBodySection{{Peek: true, Part: []int{2, 1}}},
			BinarySection: []*imaplib.FetchItemBinarySection{{Peek: true, Part: []int{1}}}}).Collect())(t)
	if len(msgs) != 2 || msgs[0].Envelope.Subject != "Grüße" || msgs[0].InternalDate.Unix() != 1e9 ||
		msgs[1].Envelope.From[0].Addr() != "ann@example.org" {
		t.Errorf("%+v", msgs)
	}
	parts := 0
	msgs[0].BodyStructure.Walk(func([]int, imaplib.BodyStructure) bool { parts++; return true })
	if parts != 4 {
		t.Errorf("%d parts", parts)
	}
	if got := string(msgs[0].BodySection[0].Bytes); got != "inner plain" {
		t.Errorf("%q", got)
	}
	if got := msgs[0].BinarySection[0].Bytes; string(got) != "Gr\xfc\xdfe aus K\xf6ln" {
		t.Errorf("%q", got)
	}
	found := must(c.UIDSearch(&imaplib.SearchCriteria{Text: []string{"inner"}},
		&imaplib.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait())(t)
	if found.Count != 1 || len(found.AllUIDs()) != 1 {
		t.Errorf("%+v", found)
	}
	if err := c.Store(imaplib.SeqSetNum(1), &imaplib.StoreFlags{Op: imaplib.StoreFlagsAdd,
		Flags: []imaplib.Flag{imaplib.FlagSeen}}, nil).Close(); err != nil {
		t.Fatal(err)
	}
	if d := must(c.Copy(imaplib.SeqSetNum(1, 2), "Archive").Wait())(t); len(d.DestUIDs) == 0 {
		t.Errorf("%+v", d)
	}
	must(c.Move(imaplib.SeqSetNum(2), "Deleted Items").Wait())(t)
	list := must(c.List("", "*", &imaplib.ListOptions{ReturnStatus: &imaplib.StatusOptions{NumMessages: true, Size: true},
		ReturnSpecialUse: true}).Collect())(t)
	for _, l := range list {
		if l.Mailbox == "Archive" && (l.Status == nil || *l.Status.NumMessages != 2) {
			t.Errorf("%+v", l)
		}
	}
	if err := c.Create("Entwürfe mehr", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	must(c.Status("Entwürfe mehr", &imaplib.StatusOptions{UIDValidity: true}).Wait())(t)
	must(c.Enable(imaplib.CapIMAP4rev2).Wait())(t)
	must(c.Status("Entwürfe mehr", &imaplib.StatusOptions{UIDValidity: true}).Wait())(t)
	if names := must(c.List("", "Entw*", nil).Collect())(t); len(names) != 1 || names[0].Mailbox != "Entwürfe mehr" {
		t.Errorf("%+v", names)
	}
	must(c.GetQuotaRoot("INBOX").Wait())(t)
	must(c.Namespace().Wait())(t)
	must(c.ID(&imaplib.IDData{Name: "test"}).Wait())(t)
	if err := c.Logout().Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestLibraryIdle(t *testing.T) {
	s := newStack(t)
	told := make(chan uint32, 10)
	c := s.dialLibrary(&imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				told <- *d.NumMessages
			}
		},
	}})
	must(c.Select("INBOX", nil).Wait())(t)
	idle := must(c.Idle())(t)
	s.file("ann", "INBOX", hello)
	select {
	case n := <-told:
		if n != 1 {
			t.Errorf("%d messages", n)
		}
	case <-time.After(time.Minute):
		t.Fatal("nothing was pushed")
	}
	idle.Close()
	if err := idle.Wait(); err != nil {
		t.Fatal(err)
	}
}

// What Outlook sends, as its traces show it.
func TestOutlookTrace(t *testing.T) {
	s := newStack(t)
	s.file(`dom\ann`, "INBOX", nested)
	c := s.dial(true)
	c.ok("CAPABILITY")
	c.ok(`LOGIN "dom\\ann" "secret"`)
	c.ok("CAPABILITY")
	c.ok(`XLIST "" "*"`)
	c.ok(`LSUB "" "*"`)
	c.ok(`SELECT "INBOX"`)
	c.ok("UID FETCH 1:* (UID FLAGS)")
	has(t, c.ok("UID FETCH 1 (UID BODY.PEEK[HEADER])"), "BODY[HEADER] {", "Subject:")
	has(t, c.ok("UID FETCH 1 (UID BODY.PEEK[])"), "BODY[] {")
	has(t, c.ok("UID FETCH 1 (RFC822.PEEK)"), "RFC822 {")
	has(t, c.ok("UID FETCH 1:3,7:9 (UID FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (REFERENCES "+
		"THREAD-TOPIC)])"), "BODY[HEADER.FIELDS (REFERENCES THREAD-TOPIC)] {2}")
	c.ok(`UID STORE 1 +FLAGS.SILENT (\Deleted)`)
	has(t, c.ok("EXPUNGE"), "* 1 EXPUNGE")
}

func TestKeepalive(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Limits.Keepalive, o.Limits.Inactive = 20*time.Millisecond, 30*time.Millisecond })
	c := s.signIn("ann")
	c.send("i IDLE\r\n")
	c.line()
	for range 3 {
		if l := c.line(); l != "* OK Still here" {
			t.Fatal(l)
		}
	}
	c.send("DONE\r\n")
	c.until("i")
	if l := c.line(); !strings.HasPrefix(l, "* BYE") {
		t.Fatal(l)
	}
}

func TestSlowClients(t *testing.T) {
	s := newStack(t, func(o *Options) {
		o.Limits.SignIn, o.Limits.Command, o.Limits.MinRate = 200*time.Millisecond, 30*time.Millisecond, 1<<20
	})
	c := s.dial(true)
	has(t, c.line(), "* BYE")
	c = s.signIn("ann")
	c.send("a APPEND INBOX {1000000}\r\n")
	c.line()
	c.send("some")
	has(t, c.line(), "* BYE")
	c.closed()
}
