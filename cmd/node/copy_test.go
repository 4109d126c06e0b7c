package node

import (
	"strings"
	"testing"
)

// The copy is what a real directory tells: with the directory gone mail is taken for
// people whom nobody has asked for, and for nobody else for good.
func TestTheCopyOutlivesTheDirectory(t *testing.T) {
	dir, cfg := directoryServer(t), testConfig(t)
	deps := testDeps(t, dir)
	d := deps.Settings.Directories["main"]
	d.Copy = "1s"
	deps.Settings.Directories["main"] = d
	n := startNode(t, cfg, deps)
	id := n.people.Opened()[0].By.ID
	until(t, "the directory is copied", func() bool {
		d, _, err := n.system.People().Directory(id)
		return err == nil && d.Complete != 0 && d.Present > 0
	})
	removeEntry(t, dir, "user1") // one of few: it goes without being asked about
	until(t, "who has gone has vanished from the copy", func() bool {
		d, _, err := n.system.People().Directory(id)
		return err == nil && d.Vanished == 1
	})
	dir.Close()
	if err := askRecipient(t, n, login(2)); err != nil {
		t.Errorf("mail for somebody whom the copy has is answered %v", err)
	}
	if err := askRecipient(t, n, login(1)); err != nil {
		t.Errorf("mail for somebody who has just gone is answered %v", err)
	}
	if err := askRecipient(t, n, "nobody@"+testDomain); err == nil || !strings.HasPrefix(err.Error(), "4") {
		t.Errorf("mail for somebody whom the copy lacks is answered %v", err)
	}
	if said := signIn(t, n, login(2)); !strings.Contains(said, "a NO [UNAVAILABLE]") {
		t.Errorf("signing in is answered %s", said)
	}
}
