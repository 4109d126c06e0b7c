package node

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net/smtp"
	"slices"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/directory/embedded"
)

// askRecipient is the answer to RCPT TO.
func askRecipient(t *testing.T, n *Node, to string) error {
	t.Helper()
	c, err := smtp.Dial(n.Addrs()["smtp"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Mail("x@example.net"); err != nil {
		t.Fatal(err)
	}
	return c.Rcpt(to)
}

// signIn is the answer to LOGIN, then STATUS of INBOX.
func signIn(t *testing.T, n *Node, who string) string {
	t.Helper()
	c, err := tls.Dial("tcp", n.Addrs()["imaps"][0], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var said strings.Builder
	r := bufio.NewReader(c)
	for _, cmd := range []string{"a LOGIN " + who + " secret", "a STATUS INBOX (MESSAGES)"} {
		fmt.Fprintf(c, "%s\r\n", cmd)
		for line := ""; !strings.HasPrefix(line, "a "); {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			said.WriteString(line)
		}
	}
	return said.String()
}

// put replaces a person of the test, who stays the same entry where key is one's.
func put(t *testing.T, n *Node, dir *embedded.Server, i int, key string, aliases ...string) {
	t.Helper()
	u := embedded.User{UID: fmt.Sprint("user", i), Mail: login(i), Password: "secret", Aliases: aliases}
	if _, uuid, ok := strings.Cut(key, "/"); ok {
		u.Extra = map[string][]string{"entryUUID": {uuid}}
	}
	c, err := goldap.DialURL(dir.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(c.Bind("cn=admin,dc=example,dc=test", "secret"), c.Del(goldap.NewDelRequest(dir.UserDN(u.UID), nil))); err != nil {
		t.Fatal(err)
	}
	if err := dir.AddUser(u); err != nil {
		t.Fatal(err)
	}
	n.people.Forget() // as they do within half a minute
}

func mustEnsure(t *testing.T, n *Node, who string) rookery.AccountID {
	t.Helper()
	id, err := ensure(t.Context(), n, who)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// A user who was made anew neither inherits a mailbox nor gets another, until
// an operator has decided.
func TestNoMailboxIsInherited(t *testing.T) {
	dir, cfg := directoryServer(t), testConfig(t)
	n := startNode(t, cfg, testDeps(t, dir))
	admin := adminapi.New(cfg.Admin)
	old := mustEnsure(t, n, login(0))
	sendOne(t, n, login(0), "kept")
	put(t, n, dir, 0, "")
	if err := askRecipient(t, n, login(0)); err == nil || !strings.HasPrefix(err.Error(), "451 ") {
		t.Errorf("mail is answered %v", err)
	}
	if said := signIn(t, n, login(0)); !strings.Contains(said, "a NO [UNAVAILABLE]") {
		t.Errorf("signing in is answered %s", said)
	}
	if all, err := admin.Accounts(t.Context(), 0); err != nil || len(all) != 1 || all[0].Address != login(0) || all[0].Login != "user0" {
		t.Errorf("accounts are %+v, %v", all, err)
	}
	l, err := admin.LinkAccount(t.Context(), login(0), "")
	if err != nil || l.Account != old.String() || l.Entry != n.entry(t, login(0)).Key || l.Former == l.Entry || l.Left != "" {
		t.Fatalf("linked %+v, %v", l, err)
	}
	if err := askRecipient(t, n, login(0)); err != nil {
		t.Error(err)
	}
	if said := signIn(t, n, login(0)); !strings.Contains(said, "MESSAGES 1") {
		t.Errorf("after the link: %s", said)
	}
}

// An alias that goes from one living user to another is no reason to wait.
func TestAliasMovesBetweenTheLiving(t *testing.T) {
	dir, cfg := directoryServer(t), testConfig(t)
	n := startNode(t, cfg, testDeps(t, dir))
	first, second := n.entry(t, login(1)).Key, n.entry(t, login(2)).Key
	desk := "desk@" + testDomain
	id := mustEnsure(t, n, login(1))
	put(t, n, dir, 1, first, desk)
	if mustEnsure(t, n, desk) != id {
		t.Fatal("an entry with one more alias has another account")
	}
	if h, err := n.system.Holders([]string{desk}); err != nil || !slices.Equal(h, []rookery.AccountID{id}) {
		t.Fatalf("the alias is of %v, %v", h, err)
	}
	put(t, n, dir, 1, first)
	put(t, n, dir, 2, second, desk)
	other := mustEnsure(t, n, desk)
	if other == id {
		t.Fatal("an alias brought its former account")
	}
	if h, err := n.system.Holders([]string{desk}); err != nil || !slices.Equal(h, []rookery.AccountID{other}) {
		t.Errorf("the alias is of %v, %v", h, err)
	}

	admin := adminapi.New(cfg.Admin)
	sendOne(t, n, login(1), "mail")
	if _, err := admin.LinkAccount(t.Context(), login(1), other.String()); !rookery.Is(err, rookery.KindExists) {
		t.Errorf("an entry parts from its mail: %v", err)
	}
	if l, err := admin.LinkAccount(t.Context(), login(2), login(1)); err != nil || l.Left != other.String() || l.Account != id.String() {
		t.Fatalf("linked %+v, %v", l, err)
	}
	if a, b := mustEnsure(t, n, login(1)), mustEnsure(t, n, login(2)); a != other || b != id {
		t.Errorf("the entries have %v and %v, want %v and %v", a, b, other, id)
	}
}
