package scenario

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/storage/keys"
	"rookery/test/harness"
)

// keyStatus is what rookery key status --json says, as far as it is needed.
type keyStatus struct {
	Versions []struct {
		Version  uint32 `json:"version"`
		State    string `json:"state"`
		Accounts int    `json:"accounts"`
	} `json:"versions"`
	Erasures []any    `json:"erasures"`
	Problems []string `json:"problems"`
}

func (s keyStatus) under(version uint32) (count int) {
	for _, v := range s.Versions {
		if v.Version == version {
			count = v.Accounts
		}
	}
	return count
}

// keys waits until the keys are as wanted.
func (o operator) keys(within time.Duration, what string, is func(keyStatus) bool) {
	o.t.Helper()
	var last string
	waitFor(o.t, within, what, func() bool {
		out, _ := o.run("key", "status", "--json")
		var s keyStatus
		last = out
		return json.Unmarshal([]byte(out), &s) == nil && is(s)
	})
	o.t.Logf("%s: %.60s...", what, strings.Join(strings.Fields(last), ""))
}

// messages counts the messages of every account.
func (o operator) messages() map[string]uint64 {
	o.t.Helper()
	out, code := o.run("account", "list", "--json")
	var all []struct {
		Account  string
		Messages *uint64
	}
	if err := json.Unmarshal([]byte(out), &all); code != 0 || err != nil {
		o.t.Fatalf("account list: exit code %d, %v: %s", code, err, out)
	}
	count := map[string]uint64{}
	for _, a := range all {
		if a.Messages != nil {
			count[a.Account] = *a.Messages
		}
	}
	return count
}

// accountOf sends a user a message, which tells the account's id. So many
// messages came before, which must have been counted.
func (o operator) accountOf(u harness.User, came uint64) (id rookery.AccountID) {
	o.t.Helper()
	var before map[string]uint64
	waitFor(o.t, time.Minute, "all earlier messages are counted", func() bool {
		sum := uint64(0)
		before = o.messages()
		for _, count := range before {
			sum += count
		}
		return sum == came
	})
	must(o.t, send(o.dev.Facts.Nodes[0].SMTP, []string{u.Login}, "Subject: which\r\n\r\none\r\n"))
	waitFor(o.t, time.Minute, "the message is counted", func() bool {
		for account, count := range o.messages() {
			if count > before[account] {
				var err error
				id, err = rookery.ParseAccountID(account)
				must(o.t, err)
				return true
			}
		}
		return false
	})
	return id
}

// steal tries every keyring on the disks on everything on the disks that can be
// a wrapped key of an account, and says in which files one opened.
func steal(t *testing.T, dir string, id rookery.AccountID) (files []string) {
	t.Helper()
	var rings []*keys.Keyring
	paths, err := filepath.Glob(filepath.Join(dir, "*", "keys", "tenant.json*"))
	must(t, err)
	for _, path := range paths {
		ring, err := keys.LoadKeyring(path)
		must(t, err)
		rings = append(rings, ring)
	}
	if len(rings) < 3 {
		t.Fatalf("only %d keyrings lie in %s", len(rings), dir)
	}
	seen := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // files come and go
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		if seen++; opensKey(b, id, rings) {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return nil
	}))
	if seen < 10 {
		t.Fatalf("only %d files lie in %s", seen, dir)
	}
	return files
}

func opensKey(b []byte, id rookery.AccountID, rings []*keys.Keyring) bool {
	for i := 0; i+62 <= len(b); i++ {
		if b[i] != 1 || b[i+1] == 0 || b[i+1] > 60 {
			continue
		}
		for _, ring := range rings {
			if _, err := ring.OpenAccount(id, b[i:i+62]); err == nil {
				return true
			}
		}
	}
	return false
}

// Keys are rotated and an account is erased in a cluster of processes, of which
// the one that does it is killed in the middle. Before the last step every
// key of the account is found on the disks; after it none, and all others are.
func TestErasedAccountsOpenNowhere(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node2"}
	o.until(time.Minute, "the cluster is whole", status.wholeOfAll)
	gone, stays := d.Facts.Users[0], d.Facts.Users[1]
	for i, n := range d.Facts.Nodes {
		for _, u := range []harness.User{gone, stays} {
			must(t, send(n.SMTP, []string{u.Login}, fmt.Sprintf("Subject: through %d\r\n\r\n%s\r\n", i, incompressible(100+300_000*(i%2)))))
		}
	}
	had := subjects(t, d, stays)
	sent := uint64(len(d.Facts.Users) + 2*len(d.Facts.Nodes)) // a welcome for everybody
	goneID, staysID := o.accountOf(gone, sent), o.accountOf(stays, sent+1)
	if out, code := o.run("key", "rotate"); code != 0 {
		t.Fatalf("key rotate: exit code %d: %s", code, out)
	}
	o.keys(time.Minute, "all accounts are rewrapped", func(s keyStatus) bool { return s.under(1) == 0 && s.under(2) > 0 })
	if found := steal(t, d.Dir, goneID); len(found) < 3 {
		t.Fatalf("keys of a living account are found in %v only: the search is worth nothing", found)
	}
	leader := ""
	for _, g := range o.until(time.Minute, "the system group has a leader", func(s status) bool { return s.wholeOfAll() }).Groups {
		if g.Group == 1 {
			leader = g.Leader
		}
	}
	if out, code := o.run("account", "erase", gone.Login, "-yes", "-timeout", "0", "--json"); code != 0 ||
		!strings.Contains(out, goneID.String()) {
		t.Fatalf("account erase: exit code %d: %s", code, out)
	}
	must(t, d.KillNode(leader))
	must(t, d.StartNode(leader))
	o.keys(2*time.Minute, "the erasure is done", func(s keyStatus) bool { return len(s.Erasures) == 0 && len(s.Problems) == 0 })
	if found := steal(t, d.Dir, goneID); len(found) > 0 {
		t.Errorf("keys of the erased account open from %v", found)
	}
	if found := steal(t, d.Dir, staysID); len(found) < 3 {
		t.Errorf("keys of the other account are found in %v only", found)
	}
	if out, code := o.run("account", "erase", goneID.String(), "-yes"); code != 3 {
		t.Errorf("erased twice: exit code %d: %s", code, out)
	}
	if got := subjects(t, d, stays); len(got) < len(had) || len(had) == 0 {
		t.Errorf("the other account has %v, had %v", got, had)
	}
	must(t, send(d.Facts.Nodes[0].SMTP, []string{gone.Login}, "Subject: through anew\r\n\r\nhello\r\n"))
	if got := subjects(t, d, gone); slices.ContainsFunc(got, func(s string) bool { return s != "through anew" }) ||
		!slices.Contains(got, "through anew") {
		t.Errorf("the new account shows %v", got)
	}
}
