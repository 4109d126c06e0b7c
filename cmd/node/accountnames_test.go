package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/directory/embedded"
	"rookery/storage/command"
)

// removeEntry takes a person out of the directory.
func removeEntry(t *testing.T, dir *embedded.Server, uid string) {
	t.Helper()
	c, err := goldap.DialURL(dir.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Bind("cn=admin,dc=example,dc=test", "secret"), c.Del(goldap.NewDelRequest(dir.UserDN(uid), nil))); err != nil {
		t.Fatal(err)
	}
}

// An account has the names of its directory entry, also when that is gone, what
// it uses, and its last sign-in.
func TestAccountsHaveNames(t *testing.T) {
	dir, cfg := directoryServer(t), testConfig(t)
	n := startNode(t, cfg, testDeps(t, dir))
	admin := adminapi.New(cfg.Admin)
	id := mustEnsure(t, n, login(0))
	sendOne(t, n, login(0), "kept")
	began := time.Now().Add(-time.Second)
	if said := signIn(t, n, login(0)); !strings.Contains(said, "a OK") {
		t.Fatal(said)
	}
	want := func(state string) {
		t.Helper()
		d, err := admin.Account(t.Context(), login(0))
		if err != nil {
			t.Fatal(err)
		}
		if d.Account != id.String() || d.Login != "user0" || d.Address != login(0) || d.DN != dir.UserDN("user0") ||
			d.State != state || d.Entry == "" || d.Group == 0 {
			t.Errorf("%s: shown as %+v", state, d)
		}
		if d.Quota == nil || *d.Quota != 0 || d.Messages == nil || *d.Messages == 0 || d.SignIn == nil ||
			d.SignIn.Protocol != "imap" || d.SignIn.Time.Before(began) {
			t.Errorf("%s: used %v of %v, last sign-in %+v", state, d.Messages, d.Quota, d.SignIn)
		}
	}
	want("present")
	removeEntry(t, dir, "user0")
	n.people.Forget() // as they do within half a minute
	want("gone")
	dir.Close()
	if d, err := admin.Account(t.Context(), id.String()); err != nil || d.State != "unknown" || d.Trouble == "" ||
		d.DN != dir.UserDN("user0") {
		t.Errorf("without a directory: %+v %v", d, err)
	}
	if _, err := admin.Account(t.Context(), "0123456789abcdef0123456789abcdef"); !rookery.Is(err, rookery.KindNotFound) {
		t.Error(err)
	}
	all, err := admin.Accounts(t.Context(), 0)
	if err != nil || len(all) != 1 || all[0].DN != dir.UserDN("user0") || all[0].SignIn == nil {
		t.Errorf("listed as %+v %v", all, err)
	}
}

// Sign-ins cost an account one entry of a command an hour, and all accounts of
// a node one command a minute.
func TestSignInsAreNotedSparingly(t *testing.T) {
	n := startNode(t, testConfig(t), testDeps(t, directoryServer(t)))
	first, second := mustEnsure(t, n, login(0)), mustEnsure(t, n, login(1))
	for range 5 {
		signIn(t, n, login(0))
		signIn(t, n, login(1))
	}
	now := time.Now()
	due := n.edge.SignIns.Due(now)
	if len(due) != 2 {
		t.Fatalf("%+v", due)
	}
	if _, err := n.groups.ProposeSystem(t.Context(), &command.NoteSignIns{SignIns: due}); err != nil {
		t.Fatal(err)
	}
	signIn(t, n, login(0))
	n.edge.SignIns.Noted(due)
	if due := n.edge.SignIns.Due(now.Add(50 * time.Minute)); len(due) != 0 {
		t.Errorf("noted again within the hour: %+v", due)
	}
	due = n.edge.SignIns.Due(now.Add(time.Hour + time.Minute))
	if len(due) != 1 || due[0].Account != first {
		t.Errorf("after the hour: %+v", due)
	}
	if s, err := n.system.LastSignIn(second); err != nil || s.Protocol != "imap" {
		t.Errorf("%+v %v", s, err)
	}
}
