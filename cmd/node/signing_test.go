package node

import (
	"crypto/tls"
	"io"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"rookery"
	"rookery/cmd/node/adminapi"
	ours "rookery/protocols/outbound/dkim"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// submit sends a message as a user who signs in.
func submit(t *testing.T, n *Node, user, message string, to ...string) {
	t.Helper()
	raw, err := net.Dial("tcp", n.Addrs()["submission"][0])
	if err != nil {
		t.Fatal(err)
	}
	cl, err := smtp.NewClient(raw, "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	err = cl.StartTLS(&tls.Config{InsecureSkipVerify: true})
	if err == nil {
		err = cl.Auth(smtp.PlainAuth("", user, "secret", "localhost"))
	}
	if err == nil {
		err = cl.Mail(user)
	}
	for _, who := range to {
		if err == nil {
			err = cl.Rcpt(who)
		}
	}
	var w io.WriteCloser
	if err == nil {
		w, err = cl.Data()
	}
	if err == nil {
		_, err = io.WriteString(w, message)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// dkimRecords are the DKIM records of a domain, by their names.
func dkimRecords(t *testing.T, n *Node, domain string) map[string]string {
	t.Helper()
	all, err := n.system.SigningKeys()
	if err != nil {
		t.Fatal(err)
	}
	zone := map[string]string{}
	for _, x := range all {
		for _, k := range x.Keys {
			if x.Domain == domain {
				zone[ours.RecordName(k.Selector, domain)] = k.Record
			}
		}
	}
	return zone
}

// owedMessage reads the message that an account's group owes to another system.
func owedMessage(t *testing.T, n *Node, id rookery.AccountID) string {
	t.Helper()
	group, err := n.accounts.Group(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	m := n.groups.Machine(group)
	items, err := m.OpenItems(command.ItemID{}, 9)
	if err != nil || len(items) != 1 {
		t.Fatalf("group %d owes the items %v, %v", group, items, err)
	}
	row := queue.Ref{Item: items[0]}
	var h queue.Header
	if err := m.Queue(func(v state.Reader) (err error) {
		h, _, err = queue.Find(v, row)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	o, err := m.Owed(row)
	if err != nil {
		t.Fatal(err)
	}
	day, err := n.days.Open(t.Context(), group, keys.Day(h.Day))
	if err != nil {
		t.Fatal(err)
	}
	key, err := day.UnwrapMessage(h.Email, h.Key)
	if err != nil {
		t.Fatal(err)
	}
	var layout body.Layout
	if err := layout.UnmarshalBinary(o.Body.Layout); err != nil {
		t.Fatal(err)
	}
	r := body.NewReader(layout, key, n.objects.Reader.Open(group, o.Body))
	defer r.Close()
	text := make([]byte, r.Size())
	if _, err := r.ReadAt(t.Context(), text, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(text)
}

// What a user of a new cluster sends to another system lies signed in the queue,
// by both keys, without its Bcc and in 7 bit; and so after a restart.
func TestSubmittedMailLiesSignedInTheQueue(t *testing.T) {
	cfg, deps := testConfig(t), testDeps(t, directoryServer(t))
	cfg.Listen.Submission = []string{"127.0.0.1:0"}
	n := startNode(t, cfg, deps)
	until(t, "the domain has keys", func() bool { return len(dkimRecords(t, n, testDomain)) == 2 })
	zone := dkimRecords(t, n, testDomain)
	stopNode(t, n)
	n = startNode(t, cfg, deps)
	id := mustEnsure(t, n, login(0))
	submit(t, n, login(0), "From: "+login(0)+"\r\nTo: x@far.example\r\nBcc: y@far.example\r\nSubject: chào\r\n\r\nchào bạn\r\n.dot\r\n",
		"x@far.example", "y@far.example")
	path, sent, _ := strings.Cut(owedMessage(t, n, id), "\r\n")
	if path != "Return-Path: <"+login(0)+">" || !strings.HasPrefix(sent, "DKIM-Signature: ") || strings.Contains(sent, "y@far.example") {
		t.Errorf("it lies there as %s\n%s", path, sent)
	}
	if slices.ContainsFunc([]byte(sent), func(c byte) bool { return c >= 0x80 }) {
		t.Error("it is not 7 bit")
	}
	got, err := dkim.VerifyWithOptions(strings.NewReader(sent), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) { return []string{zone[name]}, nil }})
	if err != nil || len(got) != 2 {
		t.Fatalf("%d signatures, %v", len(got), err)
	}
	for _, v := range got {
		if v.Err != nil || v.Domain != testDomain {
			t.Errorf("%s: %v", v.Domain, v.Err)
		}
	}
}

// An operator is told of a domain that is not the cluster's, without a question to
// the DNS.
func TestRecordsOfAnotherDomain(t *testing.T) {
	n, cfg, _ := oneNode(t)
	if _, err := adminapi.New(cfg.Admin).DNS(t.Context(), "elsewhere.test", nil); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("%v", err)
	}
	if got := n.report().Hostname; got != cfg.Hostname {
		t.Errorf("the report names it %q", got)
	}
}
