package upgrade

import (
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery/test/harness"
)

// TestUpgrade opens a directory of every format with today's binary.
func TestUpgrade(t *testing.T) {
	if *makeName != "" {
		t.Skip("skipped: a directory is being made")
	}
	paths, err := filepath.Glob("testdata/*.tar.zst")
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata holds no directory of an earlier format: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".tar.zst"), func(t *testing.T) { upgrade(t, path) })
	}
}

func upgrade(t *testing.T, path string) {
	dir := t.TempDir()
	b, err := readArchive(path, dir)
	if err != nil {
		t.Fatal(err)
	}
	var want manifest
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	d := harness.StartDev(t, filepath.Join(dir, dataName))
	conf := d.TLS(t)
	// The directory listens elsewhere than it did; a node follows soon.
	await(t, "nobody can sign in", func() bool {
		c, err := signIn(d.Node().IMAPS, conf, d.Facts.Users[0])
		if err == nil {
			c.close()
		}
		return err == nil
	})
	look := func(when string) manifest {
		t.Helper()
		got, err := record(d.Node(), conf, d.Facts.Users)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		return got
	}
	if diff := cmp.Diff(want, look("as it was found")); diff != "" {
		t.Fatalf("this binary shows the mail otherwise than the one that wrote it (-then +now):\n%s", diff)
	}

	for _, u := range d.Facts.Users {
		deliver(t, d.Node().SMTP, plain("after the upgrade", 1), u.Login)
	}
	grown := look("after a delivery")
	for login, was := range want {
		goneOn(t, login, was.Mailboxes["INBOX"], grown[login].Mailboxes["INBOX"])
	}

	// What only the old log held goes into the object store, and reads the same.
	await(t, "bodies stay unpacked", func() bool { return unpacked(t, d) == 0 })
	if diff := cmp.Diff(grown, look("all packed")); diff != "" {
		t.Errorf("packing changed what is shown (-before +after):\n%s", diff)
	}
}

// goneOn checks that an INBOX has one message more, under the next UID.
func goneOn(t *testing.T, login string, was, now mailbox) {
	t.Helper()
	n := len(was.Messages)
	if len(now.Messages) != n+1 {
		t.Fatalf("%s: %d messages and one more are %d", login, n, len(now.Messages))
	}
	if diff := cmp.Diff(was.Messages, now.Messages[:n]); diff != "" {
		t.Errorf("%s: a delivery changed older messages:\n%s", login, diff)
	}
	if !strings.HasPrefix(now.Messages[n], "UID "+was.UIDNext+" ") {
		t.Errorf("%s: UIDNEXT was %s, the new message is %.20s", login, was.UIDNext, now.Messages[n])
	}
	for _, rises := range [][2]string{{was.UIDNext, now.UIDNext}, {was.HighestModSeq, now.HighestModSeq}} {
		before, err := strconv.ParseUint(rises[0], 10, 64)
		after, err2 := strconv.ParseUint(rises[1], 10, 64)
		if err != nil || err2 != nil || after <= before {
			t.Errorf("%s: UIDNEXT or HIGHESTMODSEQ went from %s to %s", login, rises[0], rises[1])
		}
	}
	if was.UIDValidity != now.UIDValidity {
		t.Errorf("%s: UIDVALIDITY went from %s to %s", login, was.UIDValidity, now.UIDValidity)
	}
}
