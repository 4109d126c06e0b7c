package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/test/harness"
)

// An operator finds and brings back what was deleted, by the commands of the backup's
// page, on any node, also when the node that leads the account's group is killed
// meanwhile; exports it; and is told why where something cannot be.
func TestMailComesBackByCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	nodes, user := d.Facts.Nodes, d.Facts.Users[0]
	data := func(k int) string { return filepath.Join(d.Dir, nodes[k].Name) }
	furnish(t, d, nodes[1], user)
	const mails = 40
	for k := range mails {
		mail := fmt.Sprintf("From: bank@example.test\r\nSubject: statement %d\r\n\r\nhi\r\n", k)
		if err := send(nodes[k%3].SMTP, []string{user.Login}, mail); err != nil {
			t.Fatal(err)
		}
	}
	asked(t, 0, nil, "backup", "run", "-data", data(0))
	at := time.Now().UTC().Format(time.RFC3339Nano)
	time.Sleep(time.Second)
	c := dial(t, d, nodes[0].IMAPS)
	c.until("* OK")
	c.send("a LOGIN %s %s\r\nb SELECT INBOX\r\nc STORE 1:* +FLAGS.SILENT (\\Deleted)\r\nd EXPUNGE\r\n", user.Login, user.Password)
	c.until("d OK")
	c.send("e STATUS INBOX (MESSAGES)\r\n")
	c.until("e OK")
	if c.close(); c.err != nil {
		t.Fatal(c.err)
	}

	var found adminapi.FoundMessages
	asked(t, 0, &found, "backup", "find", user.Login, "-at", at, "-subject", "STATEMENT 7", "-deleted", "-data", data(1))
	if len(found.Messages) != 1 || found.Messages[0].Mailbox != "INBOX" || !found.Messages[0].Deleted {
		t.Fatalf("found %+v", found.Messages)
	}
	exportsMail(t, data(1), user.Login, at, map[string]int{"INBOX": mails + 1, "Kept": 9, "Kept/Below": 4}, // one is the welcome
		map[string]int{"Kept": 9, "Kept/Below": 4})
	var plan adminapi.RestorePlan
	asked(t, 0, &plan, "restore", "mailbox", user.Login, "-at", at, "-dry-run", "-data", data(2))
	if plan.Add < mails {
		t.Errorf("the plan is %+v", plan)
	}
	for _, x := range []struct {
		code int
		args []string
	}{
		{2, []string{"mailbox", user.Login, "-at", at}}, // asks, and there is no terminal
		{2, []string{"mailbox", user.Login}},
		{2, []string{"mailbox", user.Login, "-at", time.Now().Add(time.Hour).Format(time.RFC3339), "-yes"}},
		{3, []string{"mailbox", "nobody@example.test", "-at", at, "-yes"}},
		{3, []string{"folder", user.Login, "No such folder", "-at", at, "-yes"}},
		{3, []string{"mailbox", user.Login, "-at", "-2d", "-yes"}},
		{3, []string{"cancel", strings.Repeat("0", 32)}},
	} {
		asked(t, x.code, nil, append(append([]string{"restore"}, x.args...), "-data", data(0))...)
	}
	var one adminapi.RestoreJob
	asked(t, 0, &one, "restore", "message", user.Login, found.Messages[0].Email, "-at", at, "-yes", "-data", data(1))
	if one.State != "done" || one.Done != 1 {
		t.Errorf("one message: %+v", one)
	}
	list := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(list, []byte("# whom the script has hit\n"+user.Login+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var begun adminapi.RestoreJob
	asked(t, 0, &begun, "restore", "users", list, "-at", at, "-yes", "-no-wait", "-data", data(2))
	if err := d.KillNode(nodes[0].Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the restore ends", func() bool {
		all, err := adminapi.New(filepath.Join(data(2), "admin.sock")).Restores(t.Context())
		return err == nil && len(all) > 0 && all[0].State == "done"
	})
	asked(t, 0, &plan, "restore", "mailbox", user.Login, "-at", at, "-dry-run", "-data", data(1))
	if plan.Add != 0 {
		t.Errorf("after the restore the plan is %+v", plan)
	}
	if err := d.StartNode(nodes[0].Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "every group is archived", func() bool {
		st, err := adminapi.New(filepath.Join(data(1), "admin.sock")).BackupStatus(t.Context())
		return err == nil && st.On && len(st.Problems) == 0 && len(st.Groups) == 5
	})
}

// asked runs an order with --json, wants an exit code, and reads the answer.
func asked(t *testing.T, code int, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), append(args, "--json")...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	got, said := 0, ""
	if errors.As(err, &exit) {
		got, said = exit.ExitCode(), string(exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	if got != code {
		t.Fatalf("rookery %v: exit code %d, want %d\n%s%s", args, got, code, out, said)
	}
	if into != nil {
		if err := json.Unmarshal(out, into); err != nil {
			t.Fatalf("rookery %v: %v\n%s", args, err, out)
		}
	}
}
