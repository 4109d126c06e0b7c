package node

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/backup/sealed"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/backups"
	"rookery/cmd/node/keyring"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
	"rookery/test/harness"
)

// backupNode is a node with a backup, and mail in one account.
type backupNode struct {
	*Node
	t      *testing.T
	client *adminapi.Client
	id     rookery.AccountID
}

func openBackupNode(t *testing.T) *backupNode { return openBackupNodeWith(t, func(*Deps) {}) }

func openBackupNodeWith(t *testing.T, change func(*Deps)) *backupNode {
	return openBackupNodeAt(t, "", change)
}

// openBackupNodeAt has the metrics at an address, where there is one.
func openBackupNodeAt(t *testing.T, metrics string, change func(*Deps)) *backupNode {
	cfg, deps := testConfig(t), testDeps(t, directoryServer(t))
	if metrics != "" {
		cfg.Listen.Metrics = []string{metrics}
	}
	change(&deps)
	deps.Settings.Backup.Kind, deps.Settings.Backup.Path = "dir", filepath.Join(t.TempDir(), "backup")
	b := &backupNode{Node: startNode(t, cfg, deps), t: t, client: adminapi.New(cfg.Admin)}
	b.id = mustEnsure(t, b.Node, login(0))
	mustEnsure(t, b.Node, login(2))
	for n := range 5 {
		sendOne(t, b.Node, login(0), fmt.Sprintf("From: Eve <eve@example.net>\r\nSubject: message %d\r\n\r\nhi %d\r\n", n, n))
	}
	sendOne(t, b.Node, login(0), "Subject: large\r\n\r\n"+strings.Repeat("0123456789abcdef\r\n", 40000))
	b.say("c CREATE Projects", "c OK", "d SELECT INBOX", "d OK", "e COPY 1:2 Projects", "e OK", `f STORE 2 +FLAGS (\Flagged $Blue)`, "f OK")
	b.now()
	return b
}

// say speaks IMAP as the account's owner.
func (b *backupNode) say(dialogue ...string) {
	b.t.Helper()
	speak(b.t, b.Node, "imaps", append([]string{"", "* OK", "a LOGIN " + login(0) + " secret", "a OK"}, dialogue...)...)
}

// now archives, and gives the time then.
func (b *backupNode) now() time.Time {
	b.t.Helper()
	b.await("the backup runs", func() (bool, error) {
		_, err := b.client.RunBackup(b.t.Context())
		return err == nil, nil
	})
	at := time.Now()
	time.Sleep(20 * time.Millisecond) // group time is a millisecond's or two off
	return at
}

func (b *backupNode) await(what string, is func() (bool, error)) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), harness.Patience(30*time.Second))
	defer cancel()
	if err := harness.Poll(ctx, is); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// restore brings something back, and waits until it is.
func (b *backupNode) restore(o adminapi.RestoreOrder) (j adminapi.RestoreJob) {
	b.t.Helper()
	j, err := b.client.BeginRestore(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	b.await("the restore ends", func() (bool, error) {
		all, err := b.client.Restores(b.t.Context())
		for _, x := range all {
			if x.ID == j.ID {
				j = x
			}
		}
		return j.State != "running", err
	})
	if j.State != "done" {
		b.t.Fatalf("%+v", j)
	}
	return j
}

// destroy expunges everything and has it purged, with its packs' last references.
func (b *backupNode) destroy() {
	b.t.Helper()
	b.say("c SELECT INBOX", "c OK", `d STORE 1:* +FLAGS.SILENT (\Deleted)`, "d OK", "e EXPUNGE", "e OK", "f CLOSE", "f OK",
		"g DELETE Projects", "g OK")
	group, err := b.accounts.Group(b.t.Context(), b.id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.await("purged", func() (bool, error) {
		_, _, err := propose.Command(b.t.Context(), b.groups, group, &command.PurgeExpunged{Account: b.id,
			Before: b.deps.Clock().UnixNano()})
		if err != nil {
			return false, err
		}
		v, err := b.groups.Machine(group).View(b.id)
		if err != nil {
			return false, err
		}
		defer v.Close()
		left, err := v.Expunged(command.ExpungedID{}, 10)
		return len(left) == 0, err
	})
}

// looks is what a client can tell of the account, but for UIDs.
func (b *backupNode) looks(who int) string {
	b.t.Helper()
	account, err := b.accounts.Open(b.t.Context(), mustEnsure(b.t, b.Node, login(who)))
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
	var out strings.Builder
	for _, m := range boxes {
		if m.Messages == 0 {
			continue
		}
		fmt.Fprintf(&out, "%s %s %d messages, %d unseen, %d bytes\n", m.Name, m.Role, m.Messages, m.Unseen, m.Size)
		if err := v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
			fmt.Fprintf(&out, "  %v %v %v %v %d %d %d", r.Email, r.Thread, r.Flags, r.Keywords, r.Size, r.InternalDate, r.SaveDate)
			e, err := v.Email(r.Email)
			if err == nil {
				var x interface{ Size() int64 }
				body, berr := account.Body(b.t.Context(), v, e)
				if x, err = body, berr; err == nil {
					fmt.Fprintf(&out, " read %d %v", x.Size(), body.Verify(b.t.Context()))
				}
			}
			fmt.Fprintln(&out, err)
			return true
		}); err != nil {
			b.t.Fatal(err)
		}
	}
	return out.String()
}

// TestAMailboxComesBack: after everything was expunged and purged, a restore brings
// folders, flags, keywords, dates, ids and bodies back, from packs that were dead.
func TestAMailboxComesBack(t *testing.T) {
	b := openBackupNode(t)
	before := b.looks(0)
	at := b.now()
	b.destroy()
	if got := b.looks(0); got != "" {
		t.Fatalf("left: %s", got)
	}
	plan, err := b.client.PlanRestore(t.Context(), adminapi.RestoreOrder{Account: login(0), At: at})
	if err != nil || plan.Add != 8 || plan.Remove != 0 || b.looks(0) != "" {
		t.Fatalf("%+v %v", plan, err)
	}
	j := b.restore(adminapi.RestoreOrder{Account: login(0), At: at})
	if got := b.looks(0); got != before {
		t.Errorf("as it was:\n%s\nas it is:\n%s", before, got)
	}
	if j.Done != 8 || j.Total != 8 || j.By == "" || !j.At.Equal(at.UTC().Truncate(time.Nanosecond)) {
		t.Errorf("%+v", j)
	}
	// Again, nothing is missing.
	if plan, err = b.client.PlanRestore(t.Context(), adminapi.RestoreOrder{Account: login(0), At: at}); err != nil || plan.Add != 0 {
		t.Errorf("%+v %v", plan, err)
	}
	if b.restore(adminapi.RestoreOrder{Account: login(0), At: at}); b.looks(0) != before {
		t.Error("a second restore has doubled something")
	}
}

// TestARestoreIsUndoneByARestore: with replace a mailbox becomes what it was, and
// again what it was before that.
func TestARestoreIsUndoneByARestore(t *testing.T) {
	b := openBackupNode(t)
	first, was := b.now(), b.looks(0)
	b.say("c SELECT INBOX", "c OK", `d STORE 1 +FLAGS (\Answered)`, "d OK", `e STORE 3:4 +FLAGS.SILENT (\Deleted)`, "e OK",
		"f EXPUNGE", "f OK")
	sendOne(t, b.Node, login(0), "Subject: later\r\n\r\nlater\r\n")
	second, later := b.now(), b.looks(0)
	b.restore(adminapi.RestoreOrder{Account: login(0), At: first, Replace: true})
	if got := b.sorted(b.looks(0)); got != b.sorted(was) {
		t.Errorf("as it was:\n%s\nas it is:\n%s", was, got)
	}
	b.restore(adminapi.RestoreOrder{Account: login(0), At: second, Replace: true})
	if got := b.sorted(b.looks(0)); got != b.sorted(later) {
		t.Errorf("undone:\n%s\nas it is:\n%s", later, got)
	}
}

// sorted leaves out the order of messages, which a restore changes.
func (b *backupNode) sorted(looks string) string {
	lines := strings.Split(looks, "\n")
	seen := map[string]int{}
	for _, l := range lines {
		seen[l]++
	}
	return fmt.Sprint(seen)
}

// TestPartsComeBack: single messages, a folder, everything beside what there is, and
// everything into another account.
func TestPartsComeBack(t *testing.T) {
	b := openBackupNode(t)
	at, before := b.now(), b.looks(0)
	found, err := b.client.FindMessages(t.Context(), adminapi.FindOrder{Account: login(0), At: at, From: "EVE", Subject: "message 3"})
	if err != nil || len(found.Messages) != 1 || found.Messages[0].Deleted {
		t.Fatalf("%+v %v", found, err)
	}
	b.destroy()
	found, err = b.client.FindMessages(t.Context(), adminapi.FindOrder{Account: login(0), At: at, Deleted: true, Limit: 3})
	if err != nil || len(found.Messages) != 3 || !found.More || !found.Messages[0].Deleted {
		t.Fatalf("%+v %v", found, err)
	}
	b.restore(adminapi.RestoreOrder{Account: login(0), At: at, Emails: []string{found.Messages[1].Email}, Mailbox: "INBOX"})
	b.say("b STATUS INBOX (MESSAGES)", `* STATUS "INBOX" (MESSAGES 1)`)
	b.restore(adminapi.RestoreOrder{Account: login(0), At: at, Mailbox: "Projects"})
	b.say("b STATUS Projects (MESSAGES)", `* STATUS "Projects" (MESSAGES 2)`)
	b.restore(adminapi.RestoreOrder{Account: login(0), At: at, Into: "Back/again"})
	b.say("b STATUS Back/again/INBOX (MESSAGES)", `* STATUS "Back/again/INBOX" (MESSAGES 6)`)
	b.restore(adminapi.RestoreOrder{Account: login(0), To: login(2), At: at})
	if got := b.looks(2); got != before {
		t.Errorf("as it was:\n%s\nin the other account:\n%s", before, got)
	}
}

// TestWhatCannotBeRestored: each answer says why, and changes nothing.
func TestWhatCannotBeRestored(t *testing.T) {
	b := openBackupNode(t)
	at := b.now()
	for name, c := range map[string]struct {
		o    adminapi.RestoreOrder
		kind rookery.Kind
		says string
	}{
		"a time to come": {adminapi.RestoreOrder{Account: login(0), At: time.Now().Add(time.Hour)}, rookery.KindInvalid, "future"},
		"no time":        {adminapi.RestoreOrder{Account: login(0)}, rookery.KindInvalid, "which time"},
		"before the first image": {adminapi.RestoreOrder{Account: login(0), At: at.Add(-time.Hour)}, rookery.KindNotFound,
			"the nearest time after"},
		"nobody": {adminapi.RestoreOrder{Account: "nobody@" + testDomain, At: at}, rookery.KindNotFound, ""},
		"no such folder": {adminapi.RestoreOrder{Account: login(0), At: at, Mailbox: "None"}, rookery.KindNotFound,
			"was not in the account"},
		"no such message": {adminapi.RestoreOrder{Account: login(0), At: at, Emails: []string{rookery.NewEmailID().String()}},
			rookery.KindNotFound, "was not in the account"},
		"no id": {adminapi.RestoreOrder{Account: login(0), At: at, Emails: []string{"M1"}}, rookery.KindInvalid, "EMAILID"},
	} {
		if _, err := b.client.BeginRestore(t.Context(), c.o); !rookery.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	all, err := b.client.Restores(t.Context())
	if err != nil || len(all) != 0 {
		t.Errorf("%+v %v", all, err)
	}
	// An account that is erased is gone, in the archive too.
	if _, err := b.client.Erase(t.Context(), []string{b.id.String()}); err != nil {
		t.Fatal(err)
	}
	b.await("it is erased", func() (bool, error) {
		_, err := b.backups.Plan(t.Context(), b.id, b.id, adminapi.RestoreOrder{At: at})
		if err == nil || !strings.Contains(err.Error(), "erased") || errors.Is(err, past.ErrGap) {
			return false, fmt.Errorf("an account that is being erased can be restored: %w", err)
		}
		return rookery.Is(err, rookery.KindNotFound), nil
	})
	_, err = b.client.PlanRestore(t.Context(), adminapi.RestoreOrder{Account: b.id.String(), At: at})
	if !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("an account that was erased: %v", err)
	}
}

// TestTheArchiveIsPruned: after days, what is from before the window and no kept point
// goes, a point of before it can be restored as of its own second, and its packs are
// held.
func TestTheArchiveIsPruned(t *testing.T) {
	var ahead atomic.Int64
	b := openBackupNodeWith(t, func(d *Deps) {
		d.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		d.Settings.Backup.Window, d.Settings.Backup.Daily, d.Settings.Backup.Weekly, d.Settings.Backup.Monthly = 1, 3, 0, 0
		// Half a day from now, whenever the test runs.
		d.Settings.Backup.Nightly = time.Now().UTC().Add(12 * time.Hour).Format("15:04")
	})
	before := b.looks(0)
	images := func() []adminapi.BackupImage {
		l, err := b.client.ListBackups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		group, err := b.accounts.Group(t.Context(), b.id)
		return slices.DeleteFunc(l.Images, func(i adminapi.BackupImage) bool { return err != nil || i.Group != group })
	}
	group, err := b.accounts.Group(t.Context(), b.id)
	if err != nil {
		t.Fatal(err)
	}
	for day := 1; day <= 5; day++ {
		ahead.Store(int64(time.Duration(day) * 24 * time.Hour))
		if day == 4 {
			b.destroy()
		}
		sendOne(t, b.Node, login(0), fmt.Sprintf("Subject: day %d\r\n\r\nhi\r\n", day)) // an idle group's time stands still
		b.await("a night's images", func() (bool, error) { return len(images()) >= day+1, nil })
	}
	b.backups.HoldPoints(t.Context())
	plan, err := b.client.PruneBackup(t.Context(), adminapi.PruneOrder{DryRun: true})
	all := len(images()) // a new leader may have made one of a night again
	if err != nil || plan.Images == 0 || plan.Points == 0 || plan.Bytes == 0 || all < 6 {
		t.Fatalf("%+v %v", plan, err)
	}
	if _, err := b.client.PruneBackup(t.Context(), adminapi.PruneOrder{}); !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("most of the archive goes without a word: %v", err)
	}
	done, err := b.client.PruneBackup(t.Context(), adminapi.PruneOrder{Force: true})
	if err != nil || done.Images != plan.Images || len(images()) >= all {
		t.Fatalf("%+v, %d images are left: %v", done, len(images()), err)
	}
	var oldest adminapi.BackupImage
	for _, i := range images() {
		if oldest.Index == 0 {
			oldest = i
		}
	}
	p, err := b.client.PlanRestore(t.Context(), adminapi.RestoreOrder{Account: login(0), At: oldest.Time})
	if err != nil || p.Add == 0 {
		t.Errorf("a kept point: %+v %v", p, err)
	}
	if _, err := b.client.PlanRestore(t.Context(), adminapi.RestoreOrder{Account: login(0), At: oldest.Time.Add(time.Minute)}); err == nil ||
		!strings.Contains(err.Error(), "missing from the archive") {
		t.Errorf("a minute behind a kept point: %v", err)
	}
	b.restore(adminapi.RestoreOrder{Account: login(0), At: oldest.Time, Into: "Then"})
	if got := b.looks(0); !strings.Contains(got, "Then/INBOX") || strings.Count(before, "read") < 8 {
		t.Errorf("restored from a kept point: %s", got)
	}
	m := b.groups.Machine(group)
	holds, err := m.Holds()
	held := len(holds)
	if err != nil || held < 6 {
		t.Errorf("%d holds, %v", held, err)
	}
	b.backups.HoldPoints(t.Context())
	if holds, err = m.Holds(); err != nil || len(holds) >= held || len(holds) == 0 {
		t.Errorf("after the prune %d holds, %v", len(holds), err)
	}
}

// TestTheArchivesKeysLieBesideIt: what lies under keys/ in the backup store opens, with
// the settings key alone, every image.
func TestTheArchivesKeysLieBesideIt(t *testing.T) {
	b := openBackupNode(t)
	set := b.settings.Backup()
	store, err := dir.Open(set.Path)
	if err != nil {
		t.Fatal(err)
	}
	var kept backups.KeptKeys
	b.await("the keys are kept", func() (bool, error) {
		err := store.List(t.Context(), "keys/", func(i blob.Info) error {
			in, err := store.Get(t.Context(), i.Key, 0, -1)
			if err != nil {
				return err
			}
			defer in.Close()
			return json.NewDecoder(in).Decode(&kept)
		})
		return len(kept.Keys) == 1, err
	})
	text, err := keyring.NewSealer(b.rings.Settings.Keys).Open("archive key 1", kept.Keys[0].Sealed)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	images, err := archive.Images(t.Context(), store, 0)
	if err != nil || len(images) < 3 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	for _, i := range images {
		if _, err := sealed.Open(t.Context(), store, sealed.Place{Cluster: kept.Cluster, Kind: sealed.Image, Name: i.Key()}, i.Size,
			oneKey(key)); err != nil {
			t.Error(err)
		}
	}
}

// oneKey is an archive's only key.
type oneKey []byte

func (k oneKey) Current(context.Context) (uint32, []byte, error) { return 1, k, nil }
func (k oneKey) Key(context.Context, uint32) ([]byte, error)     { return k, nil }
