package backup

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

// exporter answers on an administration socket as a node that exports: events, and then
// how the stream ends.
type exporter struct {
	dir    string
	asked  adminapi.ExportOrder
	events []adminapi.ExportEvent
	// fail is the error at the end; cut ends the stream without a word.
	fail *adminapi.ErrorBody
	cut  bool
}

func newExporter(t *testing.T) *exporter {
	t.Helper()
	x := &exporter{dir: t.TempDir()}
	ln, err := net.Listen("unix", filepath.Join(x.dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/backup/export", x.serve)
	s := &http.Server{Handler: mux}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return x
}

func (x *exporter) serve(w http.ResponseWriter, r *http.Request) {
	x.asked = adminapi.ExportOrder{}
	json.NewDecoder(r.Body).Decode(&x.asked)
	enc := json.NewEncoder(w)
	for _, e := range x.events {
		b, _ := json.Marshal(e)
		enc.Encode(adminapi.StreamLine{Event: b})
		http.NewResponseController(w).Flush()
	}
	switch {
	case x.cut:
		panic(http.ErrAbortHandler)
	case x.fail != nil:
		enc.Encode(adminapi.StreamLine{Error: x.fail})
	default:
		enc.Encode(adminapi.StreamLine{End: true})
	}
}

// holds sets what the node has to hand over: an empty message, a large one, one that
// cannot be read from its first byte or in its middle, where cause is given.
func (x *exporter) holds(cause string) {
	large := strings.Repeat("0123456789abcdef\r\n", 200_000)
	message := func(mailbox, id string, uid uint32, size int) adminapi.ExportEvent {
		return adminapi.ExportEvent{Message: &adminapi.ExportedMessage{Mailbox: mailbox, UID: uid, Email: id,
			Flags: []string{`\Seen`, `\Flagged`}, Keywords: []string{"$Blue"}, Date: at, Size: int64(size)}}
	}
	x.events = []adminapi.ExportEvent{{Begin: &adminapi.ExportBegin{At: at, Mailboxes: 2, Messages: 3, Bytes: int64(len(large)) + 4}},
		message("INBOX", "M1", 1, 4), {Part: []byte("a: ")}, {Part: []byte("b")}, message("INBOX", "M2", 2, 0),
		message("Projects/2026", "M3", 1, len(large))}
	for rest := large; rest != ""; {
		n := min(len(rest), 64<<10)
		x.events = append(x.events, adminapi.ExportEvent{Part: []byte(rest[:n])})
		rest = rest[n:]
	}
	if cause != "" {
		x.events[0].Begin.Messages += 2
		x.events = append(x.events, message("Projects/2026", "M4", 2, 5), adminapi.ExportEvent{Part: []byte("ab")},
			adminapi.ExportEvent{Unread: &adminapi.UnreadMessage{Mailbox: "Projects/2026", UID: 2, Email: "M4", Error: cause}},
			message("Projects/2026", "M5", 3, 0),
			adminapi.ExportEvent{Unread: &adminapi.UnreadMessage{Mailbox: "Projects/2026", UID: 3, Email: "M5", Error: cause}})
	}
}

// files are those below a directory, whose modes have to be their owner's.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()] {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestExport(t *testing.T) {
	x, to := newExporter(t), t.TempDir()
	x.holds("")
	path := func(name string) string { return filepath.Join(to, name) }
	args := func(form, name string, more ...string) []string {
		return append([]string{"export", "anna@example.com", "--at", at.Format(time.RFC3339), "--form", form, "--to", path(name),
			"--reason", "Ticket 4711"}, more...)
	}
	text, err := call(t, x.dir, args("mbox", "mbox", "--folder", "INBOX")...)
	want := adminapi.ExportOrder{Account: "anna@example.com", At: at, Folder: "INBOX", Reason: "Ticket 4711"}
	if err != nil || x.asked != want {
		t.Errorf("%v: asked for %+v, want %+v", err, x.asked, want)
	}
	has(t, text, "exported 3 messages of INBOX as of 2026-11-30T10:00:00Z to "+path("mbox")+" (3.4 MiB)")
	if got := strings.Join(files(t, to), " "); got != "mbox/INBOX.mbox mbox/Projects/2026.mbox mbox/messages.jsonl" {
		t.Errorf("files: %s", got)
	}
	text, err = call(t, x.dir, args("zip", "out.zip", "--json")...)
	if got := read[exportReport](t, text); err != nil || got.Messages != 3 || got.Bytes != 3_600_004 || got.Path != path("out.zip") ||
		got.Form != "zip" || !got.At.Equal(at) || got.Unread == nil || len(got.Unread) > 0 {
		t.Errorf("%v: %s", err, text)
	}
	z, err := zip.OpenReader(path("out.zip"))
	if err != nil || len(z.File) != 4 {
		t.Fatalf("%v %+v", err, z)
	}
	z.Close()
	if _, err := call(t, x.dir, args("maildir", "maildir")...); err != nil {
		t.Error(err)
	}
	found, err := filepath.Glob(path("maildir") + "/cur/*,S=4:2,FSa")
	if err != nil || len(found) != 1 {
		t.Errorf("%q %v", found, err)
	}
	before := len(files(t, to))
	for _, form := range []string{"mbox", "maildir", "zip"} {
		if _, err := call(t, x.dir, args(form, "mbox")...); cli.ExitCode(err) != cli.ExitConflict {
			t.Errorf("%s to where something is: %v", form, err)
		}
	}
	if n := len(files(t, to)); n != before {
		t.Errorf("%d files, then %d", before, n)
	}
}

// What cannot be read is told, on the terminal and in the export, and is not in it; the
// exit code says so.
func TestExportOfWhatCanBeRead(t *testing.T) {
	x, to := newExporter(t), t.TempDir()
	x.holds("its pack\x1b[2J is lost")
	args := []string{"export", "anna@example.com", "--at=-2h", "--form", "maildir", "--to", filepath.Join(to, "out"), "--reason", "x"}
	text, err := call(t, x.dir, args...)
	if cli.ExitCode(err) != cli.ExitDamaged || !strings.Contains(err.Error(), "2 messages could not be read") {
		t.Errorf("%v", err)
	}
	has(t, text, "exported 3 messages as of", "M4 Projects/2026 2 its pack [2J is lost", "M5 Projects/2026 3 its pack [2J is lost")
	if strings.Contains(text, "\x1b") {
		t.Errorf("an escape reaches the terminal: %q", text)
	}
	list, err := os.ReadFile(filepath.Join(to, "out", "messages.jsonl"))
	if err != nil || bytes.Count(list, []byte("\n")) != 5 || bytes.Count(list, []byte(`"error":"its pack`)) != 2 ||
		bytes.Count(list, []byte(`"email_id":"M4"`)) != 1 {
		t.Errorf("%v: %s", err, list)
	}
	mails := 0
	for _, f := range files(t, to) {
		if strings.Contains(f, "/cur/") {
			mails++
		}
	}
	if mails != 3 {
		t.Errorf("%d messages", mails)
	}
	args[6] = filepath.Join(to, "again")
	text, err = call(t, x.dir, append(args, "--json")...)
	if got := read[exportReport](t, text); cli.ExitCode(err) != cli.ExitDamaged || len(got.Unread) != 2 || got.Unread[0].Email != "M4" {
		t.Errorf("%v: %s", err, text)
	}
}

// An export that the node does not end leaves nothing at all, wherever it breaks off.
func TestExportThatBreaksOff(t *testing.T) {
	x, to := newExporter(t), t.TempDir()
	args := []string{"export", "anna@example.com", "--at=-2h", "--form", "zip", "--to", filepath.Join(to, "out"), "--reason", "x"}
	fails := func(name string, code int, says string) {
		t.Helper()
		for _, form := range []string{"zip", "mbox", "maildir"} {
			args[4] = form
			text, err := call(t, x.dir, args...)
			if cli.ExitCode(err) != code || !strings.Contains(err.Error(), says) || strings.Contains(text, "exported") {
				t.Errorf("%s, %s: %v, %s", name, form, err, text)
			}
			if left, err := os.ReadDir(to); err != nil || len(left) > 0 {
				t.Fatalf("%s, %s leaves %v, %v", name, form, left, err)
			}
		}
	}
	x.holds("")
	whole := x.events
	x.cut = true
	for n := 1; n <= len(whole); n++ {
		if x.events = whole[:n]; n > 8 && n < len(whole)-2 {
			continue // within the large one
		}
		fails("cut off", cli.ExitUnavailable, "cut off")
	}
	x.cut, x.events = false, whole
	x.fail = &adminapi.ErrorBody{Error: "the store does not answer", Kind: rookery.KindUnavailable}
	fails("failed", cli.ExitUnavailable, "the store does not answer")
	x.fail = &adminapi.ErrorBody{Error: "there is no such folder", Kind: rookery.KindNotFound}
	fails("refused", cli.ExitNotFound, "no such folder")
	x.fail, x.events = nil, whole[:4] // it says that it has ended
	fails("a message less", cli.ExitDamaged, "told of 1 messages of 3")
	x.events = whole[:3]
	fails("half a message", cli.ExitDamaged, "1 bytes shorter")
	x.events = append(append(whole[:0:0], whole[:4]...), adminapi.ExportEvent{Part: []byte("more")})
	fails("too much of a message", cli.ExitDamaged, "longer than its record")
}

func TestExportIsCalledRight(t *testing.T) {
	x, to := newExporter(t), filepath.Join(t.TempDir(), "out")
	for _, args := range [][]string{
		{"--at=-2h", "--form", "zip", "--to", to}, {"--at=-2h", "--form", "zip", "--to", to, "--reason", " "},
		{"--form", "zip", "--to", to, "--reason", "x"}, {"--at=-2h", "--form", "zip", "--reason", "x"},
		{"--at=-2h", "--form", "pst", "--to", to, "--reason", "x"}, {"--at=-2h", "--to", to, "--reason", "x"},
		{"--at", "soon", "--form", "zip", "--to", to, "--reason", "x"},
	} {
		if _, err := call(t, x.dir, append([]string{"export", "anna@example.com"}, args...)...); cli.ExitCode(err) != cli.ExitUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
	if x.asked != (adminapi.ExportOrder{}) {
		t.Errorf("the node was asked for %+v", x.asked)
	}
}
