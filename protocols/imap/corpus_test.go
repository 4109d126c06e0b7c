package imap

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	imaplib "github.com/emersion/go-imap/v2"

	"rookery/protocols/delivery/spool"
	"rookery/storage/mailbox"
)

// TestCorpus files real mail and has an independent client read all of it:
// envelopes, structures and every section must parse, however odd the message.
// ROOKERY_CORPUS names the archive (tar.xz).
func TestCorpus(t *testing.T) {
	archive := os.Getenv("ROOKERY_CORPUS")
	if archive == "" {
		t.Skip("no corpus: set ROOKERY_CORPUS to an archive of real mail (tar.xz)")
	}
	dir := t.TempDir()
	if out, err := exec.Command("tar", "-xJf", archive, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := newStack(t)
	a := s.account("ann")
	var paths []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			return err
		}
		spool := s.deliver.Spool(spool.Normalise, 0)
		defer spool.Close()
		spool.Write(text)
		if spool.Finish() != nil {
			return nil
		}
		if _, err := s.deliver.Append(context.Background(), a, mailbox.Inbox, 0, nil, time.Time{}, spool); err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		paths = append(paths, path)
		return nil
	})
	t.Logf("%d messages", len(paths))
	c := s.dialLibrary(nil)
	must(c.Select("INBOX", nil).Wait())(t)
	all := imaplib.UIDSetNum()
	all.AddRange(1, imaplib.UID(len(paths)))
	got := must(c.Fetch(all, &imaplib.FetchOptions{Envelope: true, RFC822Size: true, UID: true,
		BodyStructure: &imaplib.FetchItemBodyStructure{Extended: true},
		BodySection:   []*imaplib.FetchItemBodySection{{Peek: true, Specifier: imaplib.PartSpecifierHeader}}}).Collect())(t)
	if len(got) != len(paths) {
		t.Fatalf("%d of %d messages came back", len(got), len(paths))
	}
	sections := 0
	for i, m := range got {
		o := &imaplib.FetchOptions{BodySection: []*imaplib.FetchItemBodySection{{Peek: true}}}
		m.BodyStructure.Walk(func(path []int, p imaplib.BodyStructure) bool {
			o.BodySection = append(o.BodySection, &imaplib.FetchItemBodySection{Peek: true, Part: path})
			return len(o.BodySection) < 40
		})
		sections += len(o.BodySection)
		set := imaplib.UIDSetNum(m.UID)
		back, err := c.Fetch(set, o).Collect()
		if err != nil {
			t.Fatalf("%s: %v", paths[i], err)
		}
		whole := back[0].FindBodySection(o.BodySection[0])
		if int64(len(whole)) != m.RFC822Size {
			t.Errorf("%s: %d octets, RFC822.SIZE %d", paths[i], len(whole), m.RFC822Size)
		}
		header := m.FindBodySection(&imaplib.FetchItemBodySection{Peek: true, Specifier: imaplib.PartSpecifierHeader})
		if !bytes.HasPrefix(whole, header) {
			t.Errorf("%s: the header is not the message's beginning", paths[i])
		}
	}
	t.Logf("%d sections", sections)
	raw := s.signIn("ann")
	raw.conn.SetDeadline(time.Now().Add(5 * time.Minute))
	raw.ok("SELECT INBOX")
	start := time.Now()
	if n := len(strings.Fields(raw.ok("SEARCH TEXT unsubscribe"))); n < 100 {
		t.Errorf("only %d found", n)
	}
	t.Logf("SEARCH TEXT took %v", time.Since(start))
}
