package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/blob"
	"rookery/storage/mailbox"
)

// exported is what came of an export: messages by mailbox and UID.
type exported struct {
	begin    adminapi.ExportBegin
	messages map[string]string
	unread   []adminapi.UnreadMessage
}

// export takes an export in. during, where set, is told of each event.
func (b *backupNode) export(o adminapi.ExportOrder, during func(adminapi.ExportEvent) error) (x exported, err error) {
	b.t.Helper()
	x.messages = map[string]string{}
	last, text := "", new(strings.Builder)
	end := func() {
		if last != "" {
			x.messages[last] += text.String()
		}
		last = ""
		text.Reset()
	}
	err = b.client.ExportMail(b.t.Context(), o, func(e adminapi.ExportEvent) error {
		switch m := e.Message; {
		case e.Begin != nil:
			x.begin = *e.Begin
		case m != nil:
			end()
			last = fmt.Sprintf("%s %d %s %v %v %d %d: ", m.Mailbox, m.UID, m.Email, m.Flags, m.Keywords, m.Date.Unix(), m.Size)
		case e.Unread != nil:
			x.unread = append(x.unread, *e.Unread)
			last = ""
			text.Reset()
		default:
			text.Write(e.Part)
		}
		if during != nil {
			return during(e)
		}
		return nil
	})
	end()
	return x, err
}

// has is the same of the account as it is, and the bodies that are not in packs yet.
func (b *backupNode) has() (all map[string]string, unpacked int) {
	b.t.Helper()
	all = map[string]string{}
	account, err := b.accounts.Open(b.t.Context(), b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	v, err := account.View()
	if err != nil {
		b.t.Fatal(err)
	}
	defer v.Close()
	boxes, err := v.Mailboxes()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range boxes {
		if err := v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
			e, err := v.Email(r.Email)
			if err != nil {
				b.t.Fatal(err)
			}
			body, err := account.Body(b.t.Context(), v, e)
			if err != nil {
				b.t.Fatal(err)
			}
			text := make([]byte, body.Size())
			if _, err := body.ReadAt(b.t.Context(), text, 0); err != nil {
				b.t.Fatal(err)
			}
			if rec, err := v.Body(e.Body); err != nil || len(rec.Pack) == 0 {
				unpacked++
			}
			all[fmt.Sprintf("%s %d %s %v %v %d %d: ", m.Name, r.UID, r.Email, r.Flags.Names(), r.Keywords, r.InternalDate, r.Size)] += string(text)
			return true
		}); err != nil {
			b.t.Fatal(err)
		}
	}
	return all, unpacked
}

func sameMail(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for k, text := range want {
		if have, ok := got[k]; !ok || have != text {
			t.Errorf("%s: %s there: %v, %d bytes of %d", what, k, ok, len(have), len(text))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d messages, want %d", what, len(got), len(want))
	}
}

// below is what of a mailbox is in a folder or below it.
func below(all map[string]string, folder string) map[string]string {
	out := map[string]string{}
	for k, v := range all {
		if strings.HasPrefix(k, folder+" ") || strings.HasPrefix(k, folder+"/") {
			out[k] = v
		}
	}
	return out
}

// TestExport: what an account had comes out of the archive octet for octet, all of it or
// a folder with those below it, after it was destroyed; nothing of it is in plain text
// on the node's disk meanwhile; and the audit says who read what, and why.
func TestExport(t *testing.T) {
	b := openBackupNode(t)
	b.say("c CREATE Projects/2026", "c OK", "d CREATE Projects-old", "d OK", "e SELECT INBOX", "e OK", "f COPY 3 Projects/2026", "f OK",
		"g COPY 4 Projects-old", "g OK")
	all, _ := b.has()
	at := b.now()
	b.say("d DELETE Projects/2026", "d OK")
	b.destroy()
	if left, _ := b.has(); len(left) > 1 { // of Projects-old
		t.Fatalf("left: %d", len(left))
	}
	o := adminapi.ExportOrder{Account: login(0), At: at, Reason: "Ticket 4711"}
	looked := 0
	x, err := b.export(o, func(e adminapi.ExportEvent) error {
		if len(e.Part) > 60_000 { // of the large one, when it has just been read
			looked++
			return b.noPlainText("0123456789abcdef\r\n0123456789abcdef\r\n")
		}
		return nil
	})
	if err != nil || looked == 0 || len(x.unread) > 0 || x.begin.Messages != 10 || !x.begin.At.Equal(at) {
		t.Fatalf("%v, looked %d times, %+v, unread %+v", err, looked, x.begin, x.unread)
	}
	sameMail(t, "all", x.messages, all)
	for folder, n := range map[string]int{"Projects": 3, "Projects/2026": 1, "inbox": 6} {
		o.Folder = folder
		x, err := b.export(o, nil)
		if err != nil || x.begin.Messages != n || len(x.messages) != n {
			t.Fatalf("%s: %v, %+v", folder, err, x.begin)
		}
		if folder == "inbox" {
			folder = "INBOX"
		}
		sameMail(t, folder, x.messages, below(all, folder))
	}
	b.exportRefused(o)
	found := 0
	if err := b.client.Audit(t.Context(), adminapi.AuditQuery{Verb: "backup export"}, func(c adminapi.AuditedCall) error {
		if strings.Contains(c.Args, "Ticket 4711") && strings.Contains(c.Args, login(0)) && strings.HasPrefix(c.Outcome, "done: 10 messages, ") {
			found++
		}
		if strings.Contains(c.Args+c.Outcome, "0123456789") {
			t.Errorf("the audit has the message: %.200s", c.Args+c.Outcome)
		}
		return nil
	}); err != nil || found != 1 {
		t.Errorf("the audit has it %d times, %v", found, err)
	}
}

// exportRefused asks for what cannot be.
func (b *backupNode) exportRefused(o adminapi.ExportOrder) {
	b.t.Helper()
	with := func(change func(*adminapi.ExportOrder)) adminapi.ExportOrder {
		o := o
		o.Folder = ""
		change(&o)
		return o
	}
	for name, c := range map[string]struct {
		o    adminapi.ExportOrder
		kind rookery.Kind
		says string
	}{
		"no reason":        {with(func(o *adminapi.ExportOrder) { o.Reason = " " }), rookery.KindInvalid, "reason"},
		"a long reason":    {with(func(o *adminapi.ExportOrder) { o.Reason = strings.Repeat("x", 501) }), rookery.KindInvalid, "reason"},
		"no such folder":   {with(func(o *adminapi.ExportOrder) { o.Folder = "Project" }), rookery.KindNotFound, "was not in the account"},
		"no folder":        {with(func(o *adminapi.ExportOrder) { o.Folder = "a//b" }), rookery.KindInvalid, "empty level"},
		"a time to come":   {with(func(o *adminapi.ExportOrder) { o.At = time.Now().Add(time.Hour) }), rookery.KindInvalid, "future"},
		"no time":          {with(func(o *adminapi.ExportOrder) { o.At = time.Time{} }), rookery.KindInvalid, "which time"},
		"before all of it": {with(func(o *adminapi.ExportOrder) { o.At = o.At.Add(-time.Hour) }), rookery.KindNotFound, "the nearest time after"},
		"nobody":           {with(func(o *adminapi.ExportOrder) { o.Account = "nobody@" + testDomain }), rookery.KindNotFound, ""},
	} {
		x, err := b.export(c.o, nil)
		if !rookery.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) || len(x.messages) > 0 {
			b.t.Errorf("%s: %v, %d messages", name, err, len(x.messages))
		}
	}
}

// noPlainText looks for a text in all files of the node.
func (b *backupNode) noPlainText(text string) error {
	return filepath.WalkDir(b.cfg.DataDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil // the node works meanwhile
			}
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			b.t.Errorf("%s has a message in plain text", path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return err
	})
}

// brokenStore is an object store whose answers go wrong when they are told to.
type brokenStore struct {
	blob.Store
	// bad are the objects of which bytes are wrong.
	bad  atomic.Pointer[[]string]
	away atomic.Bool
}

func (s *brokenStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if s.away.Load() && strings.HasPrefix(key, "b/") {
		return nil, rookery.E("get", rookery.KindUnavailable, errors.New("503 SlowDown"))
	}
	in, err := s.Store.Get(ctx, key, off, n)
	if bad := s.bad.Load(); err != nil || bad == nil || !slices.Contains(*bad, key) {
		return in, err
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	for i := range b {
		b[i] ^= 1
	}
	return io.NopCloser(bytes.NewReader(b)), err
}

// TestExportLeavesOutWhatCannotBeRead: messages in a damaged pack are told of by EMAILID
// and cause, and all others come; a store that does not answer ends the export; and so
// does an operator who goes away, which the audit has.
func TestExportLeavesOutWhatCannotBeRead(t *testing.T) {
	store := &brokenStore{}
	b := openBackupNodeWith(t, func(d *Deps) {
		d.tuning.store = func(s blob.Store) blob.Store { store.Store = s; return store }
	})
	first := b.packs(nil)
	for n := range 8 {
		sendOne(t, b.Node, login(0), fmt.Sprintf("Subject: doomed %d\r\n\r\nhi %d\r\n", n, n))
	}
	bad := b.packs(first)
	all, _ := b.has()
	at := b.now()
	store.bad.Store(&bad)
	o := adminapi.ExportOrder{Account: login(0), At: at, Reason: "Ticket 4711"}
	x, err := b.export(o, nil)
	if err != nil || len(x.unread) == 0 || len(x.unread)+len(x.messages) != len(all) || x.begin.Messages != len(all) {
		t.Fatalf("%v: %d unread, %d messages of %d, packs %v", err, len(x.unread), len(x.messages), len(all), bad)
	}
	for _, u := range x.unread {
		if u.Mailbox != "INBOX" || u.UID < 7 || !strings.HasPrefix(u.Email, "M") || u.Error == "" {
			t.Errorf("%+v", u)
		}
	}
	for k, text := range x.messages {
		if all[k] != text {
			t.Errorf("%s is not what it was", k)
		}
	}
	store.away.Store(true)
	if x, err = b.export(o, nil); !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(fmt.Sprint(err), "it ended after") {
		t.Errorf("the store is away: %v, %d messages, %d unread", err, len(x.messages), len(x.unread))
	}
	store.away.Store(false)
	gone := errors.New("the disk is full")
	if _, err := b.export(o, func(e adminapi.ExportEvent) error {
		if e.Message != nil && e.Message.UID == 6 { // the large one: the node waits to be read
			return gone
		}
		return nil
	}); !errors.Is(err, gone) {
		t.Errorf("an operator who goes away: %v", err)
	}
	b.await("the audit has it", func() (bool, error) {
		var outcomes []string
		err := b.client.Audit(t.Context(), adminapi.AuditQuery{Verb: "backup export"}, func(c adminapi.AuditedCall) error {
			outcomes = append(outcomes, c.Outcome)
			return nil
		})
		return len(outcomes) == 3 && strings.Contains(outcomes[0], "that could not be read") && !strings.Contains(outcomes[0], "and 0 that") &&
			strings.HasPrefix(outcomes[1], "failed: ") && outcomes[2] != "", err
	})
}

// packs waits until all bodies are in packs, and names those that are not in but.
func (b *backupNode) packs(but []string) (keys []string) {
	b.t.Helper()
	b.await("all is packed", func() (bool, error) { _, n := b.has(); return n == 0, nil })
	if err := b.objects.Store.List(b.t.Context(), "b/", func(i blob.Info) error {
		if !slices.Contains(but, i.Key) {
			keys = append(keys, i.Key)
		}
		return nil
	}); err != nil {
		b.t.Fatal(err)
	}
	return keys
}
