package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/directory/embedded"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// crowd is one node with accounts for many people, known by their groups.
type crowd struct {
	t *testing.T
	*Node
	byGroup map[rookery.GroupID][]string
	ids     map[string]rookery.AccountID
}

func openCrowd(t *testing.T, people int, tune func(*settings.Node, *Deps)) *crowd {
	t.Helper()
	s, err := embedded.Open(embedded.Options{Addr: "127.0.0.1:0", Base: "dc=example,dc=test", AdminPassword: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for i := range people {
		if err := s.AddUser(embedded.User{UID: fmt.Sprintf("user%d", i), Mail: login(i), Password: "secret"}); err != nil {
			t.Fatal(err)
		}
	}
	cfg, deps := testConfig(t), testDeps(t, s)
	if tune != nil {
		tune(&cfg, &deps)
	}
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(n) })
	c := &crowd{t, n, map[rookery.GroupID][]string{}, map[string]rookery.AccountID{}}
	for i := range people {
		id, err := ensure(t.Context(), n, login(i))
		if err != nil {
			t.Fatal(err)
		}
		g, err := n.accounts.Group(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		c.byGroup[g] = append(c.byGroup[g], login(i))
		c.ids[login(i)] = id
	}
	return c
}

func (c *crowd) send(message string, to ...string) {
	c.t.Helper()
	cl, err := smtp.Dial(c.Addrs()["smtp"][0])
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	err = cl.Mail("sender@elsewhere.test")
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
		c.t.Fatal(err)
	}
}

// until waits for what must come true.
func (c *crowd) until(what string, is func() bool) {
	c.t.Helper()
	timeout := time.After(3 * time.Minute)
	for !is() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-timeout:
			c.t.Fatalf("not within three minutes: %s", what)
		}
	}
}

// settle waits until every message has reached its groups and is packed.
func (c *crowd) settle() {
	c.t.Helper()
	c.until("all is filed and packed", func() bool {
		for _, m := range c.machines() {
			items, err := m.OpenItems(command.ItemID{}, 10)
			waiting, _, uerr := m.UnpackedBytes()
			if err != nil || uerr != nil || len(items) > 0 || waiting > 0 {
				return false
			}
		}
		return true
	})
}

// bodies counts the bodies of each group, and sums them where they lie.
func (c *crowd) stored() (bodies map[rookery.GroupID]int, encoded, packed int64) {
	c.t.Helper()
	bodies = map[rookery.GroupID]int{}
	for g, m := range c.machines() {
		list, err := m.Bodies(0, 10_000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, b := range list {
			bodies[g]++
			encoded += b.Encoded
		}
		packs, err := m.Packs("", 10_000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, p := range packs {
			packed += p.Live
		}
	}
	return bodies, encoded, packed
}

func (c *crowd) account(who string) *account.Account {
	c.t.Helper()
	a, err := c.accounts.Open(c.t.Context(), c.ids[who])
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// texts are the messages of a mailbox, read with the account's own key.
func (c *crowd) texts(who, box string) (texts []string) {
	c.t.Helper()
	a := c.account(who)
	v, err := a.View()
	if err != nil {
		c.t.Fatal(err)
	}
	defer v.Close()
	m, err := v.ByName(box)
	if err != nil {
		c.t.Fatal(err)
	}
	var emails []rookery.EmailID
	if err := v.Rows(m.ID, 1, 1<<31, func(r mailbox.Row) bool { emails = append(emails, r.Email); return true }); err != nil {
		c.t.Fatal(err)
	}
	for _, id := range emails {
		e, err := v.Email(id)
		if err != nil {
			c.t.Fatal(err)
		}
		texts = append(texts, c.text(a, v, e))
	}
	return texts
}

func (c *crowd) text(a *account.Account, v *mailbox.View, e mailbox.Email) string {
	c.t.Helper()
	r, err := a.Body(c.t.Context(), v, e)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	p := make([]byte, r.Size())
	if _, err := r.ReadAt(c.t.Context(), p, 0); err != nil && err != io.EOF {
		c.t.Fatal(err)
	}
	return string(p)
}

// A message to many recipients is stored once in each of their groups, and is
// read by each under a key of its own; copies share it, and it lives as long as
// one of them.
func TestOneCopyPerGroup(t *testing.T) {
	c := openCrowd(t, 260, nil)
	var one rookery.GroupID
	var everywhere []string
	for g, who := range c.byGroup {
		if len(who) >= 50 {
			one = g
		}
		everywhere = append(everywhere, who[:3]...)
	}
	if one == 0 || len(c.byGroup) != 4 {
		t.Fatalf("the accounts lie in groups %v", c.byGroup)
	}
	fifty := c.byGroup[one][:50]
	mark := strings.Repeat("one copy is enough\r\n", 400)
	c.send("Subject: one group\r\n\r\n"+mark, fifty...)
	c.settle()
	if bodies, encoded, packed := c.stored(); len(bodies) != 1 || bodies[one] != 1 || packed != encoded || encoded > 4000 {
		t.Errorf("50 recipients of group %d: bodies %v, %d bytes encoded, %d in packs", one, bodies, encoded, packed)
	}
	c.send("Subject: four groups\r\n\r\n"+mark, everywhere...)
	c.settle()
	bodies, encoded, packed := c.stored()
	if len(bodies) != 4 || packed != encoded {
		t.Errorf("12 recipients of 4 groups: bodies %v, %d bytes encoded, %d in packs", bodies, encoded, packed)
	}
	for g, n := range bodies {
		if want := map[bool]int{true: 2, false: 1}[g == one]; n != want {
			t.Errorf("group %d has %d bodies, want %d", g, n, want)
		}
	}
	t.Logf("62 deliveries of %d bytes: %d bodies, %d bytes in packs", len(mark), 5, packed)
	for _, who := range fifty {
		if got := c.texts(who, "INBOX"); len(got) == 0 || !strings.HasSuffix(got[0], "Subject: one group\r\n\r\n"+mark) {
			t.Errorf("%s reads %.60q", who, got)
		}
	}
	for _, who := range everywhere {
		if got := c.texts(who, "INBOX"); len(got) == 0 || !strings.HasSuffix(got[len(got)-1], "Subject: four groups\r\n\r\n"+mark) {
			t.Errorf("%s reads %.60q", who, got)
		}
	}
	c.distinctKeys(fifty)
	c.shares(one, fifty)
}

// distinctKeys checks that no two recipients' records open with one key.
func (c *crowd) distinctKeys(who []string) {
	c.t.Helper()
	seen := map[string]string{}
	for _, w := range who {
		v, err := c.account(w).View()
		if err != nil {
			c.t.Fatal(err)
		}
		v.Rows(mailbox.Inbox, 1, 1<<31, func(r mailbox.Row) bool {
			e, err := v.Email(r.Email)
			if err != nil || seen[string(e.Key)] != "" {
				c.t.Errorf("%s and %s have the same wrapped key, or none: %v", w, seen[string(e.Key)], err)
			}
			seen[string(e.Key)] = w
			return true
		})
		v.Close()
	}
}

// shares copies within an account and expunges one after the other.
func (c *crowd) shares(g rookery.GroupID, who []string) {
	c.t.Helper()
	ctx := c.t.Context()
	before, _, _ := c.stored()
	a := c.account(who[0])
	v, err := a.View()
	if err != nil {
		c.t.Fatal(err)
	}
	drafts, err := v.ByName("Drafts")
	v.Close()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, _, err := a.Copy(ctx, command.Copy{From: mailbox.Inbox, To: drafts.ID, UIDs: uidset.New(1)}); err != nil {
		c.t.Fatal(err)
	}
	if after, _, _ := c.stored(); after[g] != before[g] {
		c.t.Errorf("COPY made a body: %d, then %d", before[g], after[g])
	}
	c.purgeFirst(ctx, a)
	if got := c.texts(who[0], "Drafts"); len(got) != 1 || !strings.Contains(got[0], "Subject: one group") {
		c.t.Errorf("the copy reads %.60q after the first was expunged", got)
	}
	for _, w := range who[1:49] {
		c.purgeFirst(ctx, c.account(w))
	}
	if after, _, _ := c.stored(); after[g] != before[g] {
		c.t.Errorf("%d bodies, want %d: one recipient and one copy are left", after[g], before[g])
	}
	if got := c.texts(who[49], "INBOX"); !bytes.Contains([]byte(got[0]), []byte("one copy is enough")) {
		c.t.Errorf("the last recipient reads %.60q", got)
	}
	c.purgeFirst(ctx, c.account(who[49]))
	if _, _, err := a.Expunge(ctx, command.Expunge{Mailbox: drafts.ID, UIDs: uidset.New(1), Force: true}); err != nil {
		c.t.Fatal(err)
	}
	c.purge(ctx, a)
	if after, _, _ := c.stored(); after[g] != before[g]-1 {
		c.t.Errorf("%d bodies, want %d: nobody has it any more", after[g], before[g]-1)
	}
}

func (c *crowd) purgeFirst(ctx context.Context, a *account.Account) {
	c.t.Helper()
	if _, _, err := a.Expunge(ctx, command.Expunge{Mailbox: mailbox.Inbox, UIDs: uidset.New(1), Force: true}); err != nil {
		c.t.Fatal(err)
	}
	c.purge(ctx, a)
}

func (c *crowd) purge(ctx context.Context, a *account.Account) {
	c.t.Helper()
	if err := c.groups.Commit(ctx, a.Group(),
		&command.PurgeExpunged{Account: a.ID(), Before: c.deps.Clock().Add(time.Hour).UnixNano()}); err != nil {
		c.t.Fatal(err)
	}
}
