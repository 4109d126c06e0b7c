package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/test/harness"
)

// An account moves from group to group while mail comes, once over the death of
// the node that leads: its client sees the same mailboxes, UIDs, flags, MODSEQs
// and bytes as before, and what was acknowledged meanwhile is there once.
func TestAccountMoves(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	nodes, user, other := d.Facts.Nodes, d.Facts.Users[0], d.Facts.Users[1]
	furnish(t, d, nodes[1], user)
	before := picture(t, d, nodes[2], user)

	var mu sync.Mutex
	var acked []string
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			for k := 0; ; k++ {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
				}
				subject := fmt.Sprintf("through %d while it moves: %d", i, k)
				if send(n.SMTP, []string{user.Login, other.Login}, "Subject: "+subject+"\r\n\r\nhi\r\n") == nil {
					mu.Lock()
					acked = append(acked, subject)
					mu.Unlock()
				}
			}
		})
	}
	idle := dial(t, d, nodes[1].IMAPS)
	defer idle.close()
	idle.until("* OK")
	idle.send("a LOGIN %s %s\r\nb SELECT Kept\r\nc IDLE\r\n", user.Login, user.Password)
	idle.until("+ ")

	data := filepath.Join(d.Dir, nodes[1].Name)
	at := moveOn(t, data, user.Login, 0)
	at = moveOn(t, data, user.Login, at)
	// The next one survives the node that leads most.
	leader := leaderOf(t, data, at)
	if leader == nodes[1].Name {
		data = filepath.Join(d.Dir, nodes[2].Name)
	}
	to := 2 + (at-2+1)%4
	operate(t, "account", "move", user.Login, "-to", fmt.Sprint(to), "-no-wait", "-data", data)
	if err := d.KillNode(leader); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the move ends without the node that led it", func() bool {
		st, err := adminapi.New(filepath.Join(data, "admin.sock")).Status(t.Context())
		return err == nil && len(st.Moves) == 0
	})
	if err := d.StartNode(leader); err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	if leader != nodes[1].Name {
		idle.send("DONE\r\nd NOOP\r\n")
		idle.until("d OK")
		if idle.err != nil {
			t.Errorf("the session that idled through the moves: %v", idle.err)
		}
	}
	for _, n := range nodes {
		var after []string
		eventually(t, time.Minute, n.Name+" shows the mailbox", func() bool {
			after = picture(t, d, n, user)
			return slices.Equal(before, after)
		})
	}
	for _, u := range []harness.User{user, other} {
		var all []string
		eventually(t, time.Minute, "all mail has come", func() bool {
			all = subjects(t, d, u)
			return !slices.ContainsFunc(acked, func(s string) bool { return !slices.Contains(all, s) })
		})
		slices.Sort(all)
		for i := 1; i < len(all); i++ {
			if all[i] == all[i-1] {
				t.Errorf("%s has %q twice", u.Login, all[i])
			}
		}
	}
	t.Logf("%d messages were acknowledged meanwhile", len(acked))
}

// moveOn moves an account to another group than it is in, and says which.
func moveOn(t *testing.T, data, login string, at int) int {
	t.Helper()
	for to := 2; to <= 5; to++ {
		if to == at {
			continue
		}
		out, err := exec.Command(harness.Binary(t), "account", "move", login, "-to", fmt.Sprint(to), "-data", data, "--json",
			"-timeout", "5m").CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 4 && at == 0 {
			continue // it is there
		}
		if err != nil {
			t.Fatalf("move to group %d: %v\n%s", to, err, out)
		}
		var said struct {
			Group int
			Done  bool
		}
		if err := json.Unmarshal(out, &said); err != nil || said.Group != to || !said.Done {
			t.Fatalf("move to group %d says %s", to, out)
		}
		return to
	}
	t.Fatal("the account is in every group")
	return 0
}

func leaderOf(t *testing.T, data string, group int) string {
	t.Helper()
	st, err := adminapi.New(filepath.Join(data, "admin.sock")).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range st.Groups {
		if int(g.Group) == group {
			return g.Leader
		}
	}
	t.Fatalf("group %d is not in the status", group)
	return ""
}

// furnish makes folders with messages, flags and gaps.
func furnish(t *testing.T, d *harness.Dev, n harness.Node, u harness.User) {
	t.Helper()
	c := dial(t, d, n.IMAPS)
	defer c.close()
	c.until("* OK")
	c.send("a LOGIN %s %s\r\n", u.Login, u.Password)
	c.until("a OK")
	c.send("b CREATE Kept\r\nc CREATE Kept/Below\r\n")
	c.until("b OK")
	c.until("c OK")
	for i := range 12 {
		body := fmt.Sprintf("Subject: kept %d\r\nMessage-ID: <%d@kept.test>\r\n\r\n%s", i, i, incompressible(1000*(1+i*i)))
		c.send("d%d APPEND Kept (\\Flagged $Label%d) {%d}\r\n", i, i%3, len(body))
		c.until("+ ")
		c.send("%s\r\n", body)
		c.until(fmt.Sprintf("d%d OK", i))
	}
	c.send("e SELECT Kept\r\nf STORE 2:3 +FLAGS (\\Seen \\Deleted)\r\ng EXPUNGE\r\nh COPY 4:6 Kept/Below\r\ni MOVE 5 " +
		"Kept/Below\r\nj UNSUBSCRIBE Kept/Below\r\n")
	c.until("j OK")
	if c.err != nil {
		t.Fatal(c.err)
	}
}

var changing = regexp.MustCompile(`(?i)HIGHESTMODSEQ|^\* FLAGS|OK|^\* \d+ (EXISTS|RECENT)`)

// picture is what a client sees of a user's folders Kept and below, but for the
// account's own highest MODSEQ.
func picture(t *testing.T, d *harness.Dev, n harness.Node, u harness.User) (lines []string) {
	t.Helper()
	c := dial(t, d, n.IMAPS)
	defer c.close()
	c.until("* OK")
	c.send("a LOGIN %s %s\r\n", u.Login, u.Password)
	c.until("a OK")
	c.send("b LIST \"\" *\r\nc LSUB \"\" *\r\nd STATUS Kept (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\r\ne STATUS " +
		"Kept/Below (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)\r\n")
	for _, tag := range []string{"b OK", "c OK", "d OK", "e OK"} {
		for _, l := range c.until(tag) {
			if strings.HasPrefix(l, "* ") {
				lines = append(lines, l)
			}
		}
	}
	for _, box := range []string{"Kept", "Kept/Below"} {
		c.send("f SELECT %s (CONDSTORE)\r\n", box)
		c.until("f OK")
		c.send("g UID FETCH 1:* (UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE EMAILID THREADID BODY.PEEK[])\r\n")
		for _, l := range c.until("g OK") {
			if !changing.MatchString(l) {
				lines = append(lines, l)
			}
		}
	}
	if c.err != nil {
		return nil
	}
	return lines
}

// eventually waits for something that must come true.
func eventually(t *testing.T, within time.Duration, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(within))
	defer cancel()
	if err := harness.Poll(ctx, func() (bool, error) { return is(), nil }); err != nil {
		t.Fatalf("not within %v: %s", harness.Patience(within), what)
	}
}
