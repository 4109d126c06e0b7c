package node

import (
	"maps"
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/directory"
)

// store writes settings as config apply does.
func (n *Node) store(t *testing.T, edit func(*settings.Cluster), orphan ...string) error {
	t.Helper()
	set, version, err := n.settings.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	set.Directories = maps.Clone(set.Directories)
	edit(&set)
	next, err := n.settings.Write(t.Context(), set, version, orphan...)
	if err == nil {
		until(t, "the settings are in force", func() bool { return n.settings.Version() == next })
	}
	return err
}

func (n *Node) entry(t *testing.T, who string) directory.Entry {
	t.Helper()
	addr, err := rookery.ParseAddress(who)
	if err != nil {
		t.Fatal(err)
	}
	e, err := n.people.Recipient(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestDirectoryMayBeRenamed: its accounts stay those of the same people.
func TestDirectoryMayBeRenamed(t *testing.T) {
	n, cfg, _ := oneNode(t)
	id, err := settle(t.Context(), n, 0)
	if err != nil {
		t.Fatal(err)
	}
	admin := adminapi.New(cfg.Admin)
	doc, version, err := admin.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	renamed := strings.Replace(string(doc), "[directories.main]", "[directories.staff]", 1)
	if err := admin.PutSettings(t.Context(), []byte(renamed), version); err != nil {
		t.Fatal(err) // with its password hidden
	}
	until(t, "the settings are in force", func() bool { return n.settings.Version() == version+1 })
	if now, err := n.accounts.Ensure(t.Context(), n.entry(t, login(0)).Owner(), 0); err != nil || now != id {
		t.Errorf("under the directory's new name user 0 has account %v, was %v: %v", now, id, err)
	}
}

func TestDirectoryKeepsItsID(t *testing.T) {
	n, _, _ := oneNode(t)
	first, _, _ := n.settings.Local()
	id := first.Directories["main"].ID
	if id == "" || id == "main" {
		t.Fatalf("the directory has id %q", id)
	}
	err := n.store(t, func(s *settings.Cluster) { // a file without ids, with one directory more
		d := s.Directories["main"]
		d.ID = ""
		s.Directories["main"], s.Directories["more"] = d, d
	})
	if err != nil {
		t.Fatal(err)
	}
	now, _, _ := n.settings.Local()
	if more := now.Directories["more"].ID; now.Directories["main"].ID != id || more == "" || more == id {
		t.Errorf("ids are %q and %q, the first was %q", now.Directories["main"].ID, more, id)
	}
}

func TestDirectoryWithAccountsStays(t *testing.T) {
	n, _, _ := oneNode(t)
	without := func(s *settings.Cluster) { delete(s.Directories, "main") }
	other := func(s *settings.Cluster) {
		d := s.Directories["main"]
		d.ID = "0123456789abcdef"
		s.Directories["main"] = d
	}
	if _, err := settle(t.Context(), n, 0); err != nil {
		t.Fatal(err)
	}
	for _, edit := range []func(*settings.Cluster){without, other} {
		if err := n.store(t, edit); !rookery.Is(err, rookery.KindDenied) || !strings.Contains(err.Error(), "1 accounts") ||
			!strings.Contains(err.Error(), "-orphan main") {
			t.Errorf("answered %v", err)
		}
	}
	if err := n.store(t, without, "main"); err != nil {
		t.Error(err)
	}
}
