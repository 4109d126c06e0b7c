package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
)

// told is a source that is told what its directory has: it gives everything at
// first, and what changes every two seconds.
type told struct {
	mu  sync.Mutex
	now map[string]directory.Record
	log []directory.Batch
}

func (f *told) tell(changed []directory.Record, gone ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range changed {
		f.now[r.Key] = r
	}
	for _, k := range gone {
		delete(f.now, k)
	}
	f.log = append(f.log, directory.Batch{Changed: changed, Gone: gone})
}

func (f *told) since(cookie []byte) (all []directory.Batch, next []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, err := strconv.Atoi(string(cookie))
	if err != nil {
		first := directory.Batch{Full: true}
		for _, r := range f.now {
			first.Changed = append(first.Changed, r)
		}
		all, at = append(all, first), len(f.log)
	}
	return append(all, append(slices.Clone(f.log[at:]), directory.Batch{Complete: true})...), []byte(strconv.Itoa(len(f.log)))
}

// Follow implements directory.Follower.
func (f *told) Follow(ctx context.Context, cookie []byte, emit func(directory.Batch) error) error {
	for {
		all, next := f.since(cookie)
		for i := range all {
			if all[i].Complete {
				all[i].Cookie = next
			}
			if err := emit(all[i]); err != nil {
				return err
			}
		}
		cookie = next
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// While the directory is away mail is taken for everybody whom the copy has, on
// nodes too that never asked for them; who is disabled in it does not sign in; and
// when many vanish at once nothing happens before an operator has said so.
func TestSimDirectoryCopy(t *testing.T) {
	source := &told{now: map[string]directory.Record{}}
	bubble(t, func(o *tuning) { o.follower = func(string) directory.Follower { return source } }, func(c *sim) {
		t, x := c.t, c.nodes[0]
		id := x.people.Opened()[0].By.ID
		const copied = 40
		mail := func(i int) rookery.Address {
			return rookery.Address{Local: fmt.Sprintf("copied%d", i), Domain: testDomain}
		}
		key := func(i int) string { return fmt.Sprintf("%s/%032x", id, i) }
		var people []directory.Record
		for i := range copied {
			people = append(people, directory.Record{
				Entry: directory.Entry{Key: key(i), DN: fmt.Sprintf("uid=copied%d,dc=example,dc=test", i), Login: mail(i).Local, Primary: mail(i),
					Addresses: []rookery.Address{mail(i)}},
				Logins: []string{mail(i).String()},
			})
		}
		first, err := x.people.Find(t.Context(), login(0))
		if err != nil {
			t.Fatal(err)
		}
		user := directory.Record{Entry: first, Logins: []string{login(0)}}
		source.tell(append(people, user))
		everywhere := func(what string, is func(n *Node) bool) {
			t.Helper()
			c.until(2*time.Minute, what, func() bool {
				return !slices.ContainsFunc(c.nodes, func(x *simNode) bool { return !is(x.Node) })
			})
		}
		everywhere("every node has the copy", func(n *Node) bool {
			d, _, err := n.system.People().Directory(id)
			return err == nil && d.Present == copied+1 && d.Complete != 0
		})

		c.net.Cut(simDirectory+":0", true)
		for k, x := range c.nodes {
			for i := range copied {
				if e, err := x.people.Recipient(t.Context(), mail(i)); e.Key != key(i) || err != nil {
					t.Fatalf("node %d, the directory away, person %d: %q, %v", k, i, e.Key, err)
				}
			}
			_, err := x.people.Recipient(t.Context(), rookery.Address{Local: "nobody", Domain: testDomain})
			if !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("node %d, the directory away, an unknown address: %v", k, err)
			}
			said := c.converse(x, 25, "EHLO a.example", "MAIL FROM:<a@far.example>", "RCPT TO:<"+mail(k).String()+">", "DATA",
				"Subject: hi\r\n\r\nhi\r\n.")
			if last := said[len(said)-1]; !strings.HasPrefix(last, "250 ") {
				t.Errorf("node %d, the directory away, a message for a person without an account: %q", k, said)
			}
		}
		c.net.Cut(simDirectory+":0", false)
		everywhere("the directory is back", func(n *Node) bool {
			_, err := n.people.Authenticate(t.Context(), login(0), "secret")
			return err == nil
		})

		off := user
		off.Disabled = true
		source.tell([]directory.Record{off})
		everywhere("who is disabled is refused", func(n *Node) bool {
			_, err := n.people.Authenticate(t.Context(), login(0), "secret")
			return rookery.Is(err, rookery.KindDisabled)
		})

		var gone []string
		for i := range copied * 3 / 10 {
			gone = append(gone, key(i))
		}
		source.tell(nil, gone...)
		everywhere("the change is held", func(n *Node) bool {
			d, _, err := n.system.People().Directory(id)
			return err == nil && int(d.Held) == len(gone) && d.Vanished == 0
		})
		for k, x := range c.nodes {
			if e, err := x.people.Find(t.Context(), mail(0).String()); e.Key != key(0) || err != nil {
				t.Errorf("node %d: who is held is not found: %q, %v", k, e.Key, err)
			}
			p := x.monitor.Status().Problems
			if !slices.ContainsFunc(p, func(s string) bool { return strings.Contains(s, "12 entries would vanish") }) {
				t.Errorf("node %d says nothing of it: %q", k, p)
			}
		}
		all, err := c.nodes[1].elected.Status()
		if err != nil || len(all) != 1 || all[0].Pending == nil || len(all[0].Pending.Changes) != len(gone) || all[0].By == "" ||
			all[0].Problem != "" {
			t.Fatalf("%+v %v", all, err)
		}
		_, err = c.nodes[1].elected.Settle(t.Context(), all[0].Name, true, all[0].Pending.Number+1)
		if !rookery.Is(err, rookery.KindConflict) {
			t.Errorf("what was not shown is approved: %v", err)
		}
		if _, err := c.nodes[1].elected.Settle(t.Context(), all[0].Name, true, all[0].Pending.Number); err != nil {
			t.Fatal(err)
		}
		everywhere("it is approved", func(n *Node) bool {
			d, _, err := n.system.People().Directory(id)
			return err == nil && int(d.Vanished) == len(gone) && d.Held == 0 && d.Present == copied+1-uint32(len(gone))
		})
		for k, x := range c.nodes {
			if e, err := x.people.Recipient(t.Context(), mail(0)); e.Key != key(0) || err != nil {
				t.Errorf("node %d: who has vanished does not receive: %q, %v", k, e.Key, err)
			}
			if _, err := x.people.Find(t.Context(), mail(0).String()); !rookery.Is(err, rookery.KindNotFound) {
				t.Errorf("node %d: who has vanished is found to sign in: %v", k, err)
			}
		}
		c.failover(t, source, id, copied)
	})
}

// failover has another node follow, from where the first one was.
func (c *sim) failover(t *testing.T, source *told, id string, n int) {
	t.Helper()
	leader := slices.IndexFunc(c.nodes, func(x *simNode) bool { return x.groups.Leads(rookery.SystemGroup) })
	if leader < 0 {
		t.Fatal("nobody leads")
	}
	before, _, err := c.nodes[leader].system.People().Directory(id)
	to := c.nodes[(leader+1)%3].id.Node
	if err := errors.Join(err, c.nodes[leader].groups.Group(rookery.SystemGroup).Transfer(t.Context(), to)); err != nil {
		t.Fatal(err)
	}
	late := directory.Record{Entry: directory.Entry{Key: fmt.Sprintf("%s/%032x", id, n), Login: "late"}}
	source.tell([]directory.Record{late})
	c.until(2*time.Minute, "another node follows", func() bool {
		_, found, _ := c.nodes[leader].system.People().Entry(late.Key)
		return found
	})
	after, _, err := c.nodes[leader].system.People().Directory(id)
	if err != nil || after.Generation != before.Generation {
		t.Errorf("everything was read again: %d after %d, %v", after.Generation, before.Generation, err)
	}
}
