package scenario

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mailboxCounts has Python's own readers count the messages of an export, by folder,
// those with a subject, and the flagged ones.
const mailboxCounts = `
import json, mailbox, os, sys
form, path = sys.argv[1:]
boxes = {}
if form == "mbox":
    for at, _, names in os.walk(path):
        for n in names:
            if n.endswith(".mbox"):
                whole = os.path.join(at, n)
                boxes[os.path.relpath(whole, path)[:-5]] = mailbox.mbox(whole, create=False)
else:
    root = mailbox.Maildir(path, create=False)
    boxes["INBOX"] = root
    for n in root.list_folders():
        boxes[n.replace(".", "/")] = root.get_folder(n)
print(json.dumps({name: [len(box), sum(1 for m in box if m["Subject"]), sum(1 for m in box if "F" in m.get_flags())]
    for name, box in boxes.items()}))
`

// exportsMail exports what an account had as mbox and as Maildir, and has another
// program count. wantFlagged are the flagged messages of each folder, which a Maildir
// says and an mbox does not.
func exportsMail(t *testing.T, data, login, at string, want, wantFlagged map[string]int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	for _, form := range []string{"mbox", "maildir"} {
		path := filepath.Join(t.TempDir(), form)
		var report struct {
			Messages int   `json:"messages"`
			Unread   []any `json:"unread"`
		}
		args := []string{"backup", "export", login, "-at", at, "-form", form, "-to", path, "-reason", "Ticket 4711", "-data", data}
		asked(t, 0, &report, args...)
		all := 0
		for _, n := range want {
			all += n
		}
		if report.Messages != all || len(report.Unread) > 0 {
			t.Errorf("%s: %+v, want %d messages", form, report, all)
		}
		asked(t, 4, nil, args...) // it is there
		if err != nil {
			t.Logf("python3 is not installed: nothing else has counted the messages of the %s", form)
			continue
		}
		out, err := exec.Command(python, "-c", mailboxCounts, form, path).Output()
		if err != nil {
			t.Fatalf("python3 on %s: %v", form, err)
		}
		var counts map[string][3]int
		if err := json.Unmarshal(out, &counts); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		wanted := map[string][3]int{}
		for name, n := range want {
			wanted[name] = [3]int{n, n, map[bool]int{true: wantFlagged[name]}[form == "maildir"]}
		}
		if diff := cmp.Diff(wanted, counts); diff != "" {
			t.Errorf("%s, messages, with a subject, flagged (-want +got):\n%s", form, diff)
		}
	}
	asked(t, 2, nil, "backup", "export", login, "-at", at, "-form", "zip", "-to", filepath.Join(t.TempDir(), "x"), "-data", data)
}
