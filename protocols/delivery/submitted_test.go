package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"rookery"
	"rookery/protocols/delivery"
	ours "rookery/protocols/outbound/dkim"
	"rookery/protocols/policy"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/daykey"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// pen signs for example.com with a key of each kind.
type pen struct {
	ours.Signer
	zone map[string]string
	err  error
	seen string // what was signed last
}

func newPen(t *testing.T) *pen {
	p := &pen{Signer: ours.Signer{Domain: "example.com"}, zone: map[string]string{}}
	for _, kind := range []ours.Kind{ours.RSA, ours.Ed25519} {
		private, err := ours.Generate(kind)
		if err != nil {
			t.Fatal(err)
		}
		if p.zone[ours.RecordName(kind.String(), "example.com")], err = ours.Record(private.Public()); err != nil {
			t.Fatal(err)
		}
		p.Keys = append(p.Keys, ours.Key{Selector: kind.String(), Private: private})
	}
	return p
}

func (p *pen) Sign(message io.Reader) ([]byte, error) {
	b, err := io.ReadAll(message)
	if err != nil || p.err != nil {
		return nil, errors.Join(err, p.err)
	}
	p.seen = string(b)
	return p.Signer.Sign(bytes.NewReader(b), time.Now())
}

// verified wants a message to have n good signatures.
func (p *pen) verified(t *testing.T, message string, n int) {
	t.Helper()
	got, err := dkim.VerifyWithOptions(strings.NewReader(message), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		return []string{p.zone[name]}, nil
	}})
	if err != nil || len(got) != n {
		t.Fatalf("%d signatures, want %d: %v", len(got), n, err)
	}
	for _, v := range got {
		if v.Err != nil {
			t.Errorf("a signature is wrong: %v", v.Err)
		}
	}
}

// dated adds what a submission server adds.
type dated struct{ policy.Base }

func (dated) OnMessage(context.Context, *policy.Message) policy.Verdict {
	return policy.Verdict{Add: []policy.Field{{Name: "Date", Value: "Mon, 30 Nov 2026 12:00:00 +0000"}}}
}

const head = "Return-Path: <anna@example.com>\r\nReceived: from laptop\r\n\tby mail; today\r\n"

// submit sends a message of example.com to another system and to local accounts.
func submit(t *testing.T, r *rig, message string, change func(*delivery.Request)) error {
	t.Helper()
	s := r.spool(message)
	defer s.Close()
	req := delivery.Request{From: "anna@example.com", Sender: r.account(2).ID(), Submitted: true, Spool: s, ID: "abc", Judge: dated{},
		Trace:  []byte(head),
		Remote: []delivery.RemoteRecipient{{Address: address(t, "x@far.example")}}}
	if change != nil {
		change(&req)
	}
	return r.d.Deliver(t.Context(), req)
}

// queued reads the message that group 2 owes, as a courier does.
func queued(t *testing.T, r *rig, days *daykey.Store) string {
	t.Helper()
	m := r.n.Machine(2)
	items, err := m.OpenItems(command.ItemID{}, 9)
	if err != nil || len(items) == 0 {
		t.Fatalf("items %v, %v", items, err)
	}
	item := items[len(items)-1]
	var h queue.Header
	if err := m.Queue(func(v state.Reader) (err error) {
		h, _, err = queue.Find(v, queue.Ref{Item: item})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	day, err := days.Open(t.Context(), 2, keys.Day(h.Day))
	if err != nil {
		t.Fatal(err)
	}
	key, err := day.UnwrapMessage(h.Email, h.Key)
	if err != nil {
		t.Fatal(err)
	}
	o, err := m.Owed(queue.Ref{Item: item})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, r, o.Body, key)
}

func read(t *testing.T, r *rig, b mailbox.Body, key keys.MessageKey) string {
	t.Helper()
	var layout body.Layout
	if err := layout.UnmarshalBinary(b.Layout); err != nil {
		t.Fatal(err)
	}
	br := body.NewReader(layout, key, r.n.Bodies.Open(2, b))
	defer br.Close()
	text := make([]byte, br.Size())
	if _, err := br.ReadAt(t.Context(), text, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(text)
}

func signing(t *testing.T) (*rig, *daykey.Store, *pen) {
	p := newPen(t)
	r, days := outward(t, func(o *delivery.Options) { o.Signer = p })
	return r, days, p
}

const letter = "From: Anna <anna@example.com>\r\nTo: x@far.example\r\nBCC: boss@example.com,\r\n\tother@example.com\r\nSubject: hello\r\n" +
	"Resent-Bcc : z@example.com\r\nX-Bcc: stays\r\n\r\nBcc: is text here\r\n.\r\n..dots\r\n"

// What lies in the queue is what others get: the hidden recipients gone, both
// signatures good and before all but the Return-Path.
func TestSubmittedMailIsSignedAsItLeaves(t *testing.T) {
	r, days, p := signing(t)
	other := r.account(2)
	err := submit(t, r, letter, func(q *delivery.Request) { q.Recipients = []delivery.Recipient{{Account: other.ID()}} })
	if err != nil {
		t.Fatal(err)
	}
	got := queued(t, r, days)
	path, sent, _ := strings.Cut(got, "\r\n")
	if path != "Return-Path: <anna@example.com>" || !strings.HasPrefix(sent, "DKIM-Signature:") {
		t.Errorf("it begins with %.200q", got)
	}
	want := "Received: from laptop\r\n\tby mail; today\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\n" +
		"From: Anna <anna@example.com>\r\nTo: x@far.example\r\nSubject: hello\r\nX-Bcc: stays\r\n\r\nBcc: is text here\r\n.\r\n..dots\r\n"
	if !strings.HasSuffix(sent, want) || p.seen != want {
		t.Errorf("got %q, signed %q, want %q", sent, p.seen, want)
	}
	p.verified(t, sent, 2)
	r.wantInbox(other, got)
}

// Mail that stays here is not signed, and its copies tell of no hidden recipient.
func TestBccIsRemovedFromLocalCopies(t *testing.T) {
	r, _, p := signing(t)
	to := r.account(2)
	local := func(q *delivery.Request) {
		q.Remote, q.Recipients, q.Judge = nil, []delivery.Recipient{{Account: to.ID()}}, nil
	}
	if err := submit(t, r, letter, local); err != nil {
		t.Fatal(err)
	}
	foreign := func(q *delivery.Request) { local(q); q.Submitted = false }
	if err := submit(t, r, letter, foreign); err != nil {
		t.Fatal(err)
	}
	cut := strings.NewReplacer("BCC: boss@example.com,\r\n\tother@example.com\r\n", "", "Resent-Bcc : z@example.com\r\n", "").Replace(letter)
	r.wantInbox(to, head+cut, head+letter)
	if p.seen != "" {
		t.Error("mail that stays here was signed")
	}
}

// 8-bit mail of ours leaves as 7 bit, and is signed so. Sealed mail stays as it is.
func TestSubmittedMailLeavesInSevenBit(t *testing.T) {
	const plain = "From: anna@example.com\r\nBcc: b@example.com\r\nSubject: Xin chào\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nXin chào các bạn\r\n"
	const sealed = "From: anna@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=x; protocol=\"a/b\"\r\n\r\n" +
		"--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nchào\r\n--x\r\n\r\nsig\r\n--x--\r\n"
	long := "From: anna@example.com\r\n\r\n" + strings.Repeat("a", 1000) + "\r\n"
	for name, c := range map[string]struct {
		message string
		want    string // in what leaves
	}{
		"8bit":      {plain, "\r\nWGluIGNow6BvIGPDoWMgYuG6oW4"},
		"sealed":    {sealed, "\r\n\r\nchào\r\n"},
		"long line": {long, "aaa=\r\n"},
		"large":     {plain + strings.Repeat("các bạn ạ, một dòng nữa\r\n", 40_000), "\r\nWGluIGNow6BvIGPDoWMgYuG6oW4"},
	} {
		t.Run(name, func(t *testing.T) {
			r, days, p := signing(t)
			if err := submit(t, r, c.message, nil); err != nil {
				t.Fatal(err)
			}
			_, sent, _ := strings.Cut(queued(t, r, days), "\r\n")
			if !strings.Contains(sent, c.want) || strings.Contains(sent, "\r\nBcc:") {
				t.Errorf("it leaves as %.2000q", sent)
			}
			p.verified(t, sent, 2)
		})
	}
}

// Mail of others is signed by nobody here and leaves octet by octet; what cannot be
// signed is not taken.
func TestOnlyOwnMailIsSigned(t *testing.T) {
	r, days, p := signing(t)
	foreign := strings.Replace(letter, "hello", "chào", 1)
	if err := submit(t, r, foreign, func(q *delivery.Request) { q.Submitted, q.Judge = false, nil }); err != nil {
		t.Fatal(err)
	}
	if got := queued(t, r, days); got != head+foreign {
		t.Errorf("it leaves as %q", got)
	}
	p.err = rookery.E("open key", rookery.KindUnavailable, fmt.Errorf("the key is away"))
	if err := submit(t, r, letter, nil); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("without its key: %v", err)
	}
}

// The spools of the last edits are given back.
func TestLastEditsAreGivenBack(t *testing.T) {
	r, _, _ := signing(t)
	message := strings.Replace(letter, "hello", "chào", 1) + strings.Repeat("dòng\r\n", 100_000)
	for range 3 {
		if err := submit(t, r, message, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.d.Spooled(); n != 0 {
		t.Errorf("%d bytes are still taken", n)
	}
}
