package node

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
)

// readsBack fetches the first message of an INBOX over IMAP.
func readsBack(t *testing.T, n *Node, who string) (said string) {
	t.Helper()
	c, err := tls.Dial("tcp", n.Addrs()["imaps"][0], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "a LOGIN %s secret\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\nd LOGOUT\r\n", who)
	for lines := bufio.NewScanner(c); lines.Scan(); {
		said += lines.Text() + "\n"
	}
	return said
}

func sendOne(t *testing.T, n *Node, to, text string) {
	t.Helper()
	c, err := smtp.Dial(n.Addrs()["smtp"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = errors.Join(c.Mail(login(1)), c.Rcpt(to))
	w, derr := c.Data()
	if err = errors.Join(err, derr); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// One disk is left, and no key on it: the recovery kit gives them back, to the
// right cluster alone, and the mail is read. What is there is not touched.
func TestKeysComeBackFromTheKit(t *testing.T) {
	cfg, deps, _ := onDisk(t)
	quiet := testDeps(t, nil).Logger
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	sendOne(t, n, login(0), "Subject: kept\r\n\r\nunder three keys\r\n")
	dir := t.TempDir()
	kitOf := func(data, name string) datadir.Kit {
		t.Helper()
		path := filepath.Join(dir, name)
		err := datadir.Dir(data).WriteKit(path, time.Now(), true)
		kit, rerr := datadir.ReadKit(path)
		if err != nil || rerr != nil {
			t.Fatal(err, rerr)
		}
		return kit
	}
	old := kitOf(cfg.DataDir, "old")
	if _, err := n.keys.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	kit := kitOf(cfg.DataDir, "kit")
	_, err = datadir.Dir(cfg.DataDir).RestoreKeys(t.Context(), kit, nil, false, quiet, time.Now())
	if !rookery.Is(err, rookery.KindConflict) {
		t.Errorf("while the node runs: %v", err)
	}
	if err := closeTest(n); err != nil {
		t.Fatal(err)
	}
	otherCfg, otherDeps, _ := onDisk(t)
	startAndStop(t, otherCfg, otherDeps)
	strange := kitOf(otherCfg.DataDir, "strange")

	r, err := datadir.Dir(cfg.DataDir).RestoreKeys(t.Context(), kit, nil, false, quiet, time.Now())
	if err != nil || len(r.Written) > 0 || len(r.Kept) != 4 {
		t.Errorf("where nothing is missing: %+v, %v", r, err)
	}
	refused := func(kit datadir.Kit, kind rookery.Kind, word string) {
		t.Helper()
		r, err := datadir.Dir(cfg.DataDir).RestoreKeys(t.Context(), kit, nil, false, quiet, time.Now())
		if !rookery.Is(err, kind) || !strings.Contains(err.Error(), word) || len(r.Written) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	refused(strange, rookery.KindInvalid, "the kit is of cluster "+strange.Cluster)
	if err := os.Remove(filepath.Join(cfg.DataDir, tenantKeys)); err != nil {
		t.Fatal(err)
	}
	refused(old, rookery.KindConflict, "tenant keys [2] are in use and not in this kit")
	for _, name := range []string{"keys", certificateDir} {
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	refused(old, rookery.KindConflict, "tenant keys [2] are in use and not in this kit")
	refused(strange, rookery.KindConflict, "are in use and not in this kit") // nothing else tells of whom the directory is
	if r, err = datadir.Dir(cfg.DataDir).RestoreKeys(t.Context(), kit, nil, false, quiet, time.Now()); err != nil || len(r.Written) != 4 {
		t.Fatalf("%+v, %v", r, err)
	}
	if slices.Contains(r.Written, "") || len(r.Missing) > 0 {
		t.Errorf("%+v", r)
	}
	if n, err = Open(t.Context(), cfg, deps); err != nil {
		t.Fatal(err)
	}
	if said := readsBack(t, n, login(0)); !strings.Contains(said, "under three keys") {
		t.Errorf("with the keys of the kit: %s", said)
	}
	if err := closeTest(n); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(cfg.DataDir, identityFile)); err != nil {
		t.Fatal(err)
	}
	refused(kit, rookery.KindNotFound, identityFile)
}
