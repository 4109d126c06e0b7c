package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
)

// Every pack is damaged, and on one node the log as well, which has let the older
// bodies go. That node shows all mail all the same: it reads the other nodes'
// logs. While none of them answers it says that the mail cannot be had now, not
// that it is lost.
func TestSimDamageIsHealedFromAnotherNodesLog(t *testing.T) {
	nodes := 0
	tune := func(u *tuning) {
		unpacked(u)
		if u.logBudget = 1 << 30; nodes == 2 {
			u.logBudget = 2 << 20
		}
		nodes++
	}
	bubble(t, tune, func(c *sim) {
		hurt := c.nodes[2]
		groups := c.applied(hurt)
		c.sendFor(8 * time.Second)
		time.Sleep(250 * time.Second) // until they are packed
		c.sendFor(3 * time.Second)
		c.mustCheck()
		c.mustHaveLetGo(hurt, groups)
		c.off(hurt) // it forgets what it has read
		if err := os.RemoveAll(filepath.Join(hurt.cfg.DataDir, "cache")); err != nil {
			c.t.Fatal(err)
		}
		c.on(hurt)
		c.catchesUp(hurt)
		if n := c.garbleLog(hurt, groups); n == 0 {
			c.t.Fatal("no body is garbled in the log")
		}
		if n := c.garblePacks(); n == 0 {
			c.t.Fatal("no body is garbled in a pack")
		}
		c.part(hurt, true)
		temporary, damaged := c.readsEach(hurt)
		if temporary == 0 || damaged > 0 {
			c.t.Errorf("alone: %d messages are answered as temporary, %d as damaged", temporary, damaged)
		}
		if s := hurt.objects.Reader.Stats(); s.Lost > 0 {
			c.t.Errorf("alone: %+v", s)
		}
		c.part(hurt, false)
		c.until(time.Minute, "it reaches the others", func() bool { return hurt.settled(c.t.Context()) == nil })

		c.readsAlone(hurt)
		if s := hurt.objects.Reader.Stats(); s.Healed == 0 || s.Lost > 0 {
			c.t.Errorf("%+v", s)
		} else {
			c.t.Logf("%d reads healed, %d log entries repaired", s.Healed, hurt.groups.Log().Stats().Repaired)
		}
	})
}

// shutStore takes no object while it is shut.
type shutStore struct {
	blob.Store
	shut *atomic.Bool
}

func (s shutStore) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	if s.shut.Load() && strings.HasPrefix(key, "b/") {
		return rookery.E("put object", rookery.KindUnavailable, errors.New("the store is shut"))
	}
	return s.Store.Put(ctx, key, r, size, o)
}

// The log of whoever packs is damaged, and the others' are whole: what comes into
// packs is what was sent, or the good copies would leave the logs.
func TestSimPacksWhatIsGood(t *testing.T) {
	var shut atomic.Bool
	shut.Store(true)
	tune := func(u *tuning) {
		unpacked(u)
		u.store = func(s blob.Store) blob.Store { return shutStore{s, &shut} }
	}
	bubble(t, tune, func(c *sim) {
		c.sendFor(3 * time.Second)
		c.mustCheck()
		groups := c.applied(c.nodes[0])
		for _, x := range c.nodes {
			c.off(x) // so that no log has in memory what it wrote
			c.on(x)
			c.catchesUp(x)
		}
		garbled := 0
		for g := range groups {
			c.until(time.Minute, "a group has a leader", func() bool { return c.leader(g) != nil })
			from, to := c.leader(g), c.nodes[0]
			if to == from {
				to = c.nodes[1]
			}
			garbled += c.garbleLog(to, map[rookery.GroupID]rookery.LogIndex{g: 0})
			c.until(time.Minute, "it leads", func() bool {
				return to.groups.Leads(g) || from.groups.Group(g).Transfer(context.Background(), to.id.Node) == nil && to.groups.Leads(g)
			})
		}
		if garbled == 0 {
			c.t.Fatal("no body is garbled")
		}
		shut.Store(false)
		x, repaired := c.nodes[0], uint64(0)
		c.until(5*time.Minute, "all is packed", func() bool {
			for g := range groups {
				if n, _, err := x.groups.Machine(g).UnpackedBytes(); err != nil || n > 0 {
					return false
				}
			}
			return true
		})
		for _, x := range c.nodes {
			repaired += x.groups.Log().Stats().Repaired
		}
		if repaired == 0 {
			c.t.Error("no leader has met its damage")
		}
		for g := range groups {
			c.provesPacks(x, g)
		}
		c.t.Logf("%d bodies garbled in logs, %d entries repaired", garbled, repaired)
	})
}

// provesPacks opens every body of a group from its pack alone.
func (c *sim) provesPacks(x *simNode, g rookery.GroupID) {
	c.t.Helper()
	m := x.groups.Machine(g)
	all, err := m.Bodies(0, 1000)
	if err != nil {
		c.t.Fatal(err)
	}
	wanted := map[command.BodyID]bool{}
	for _, b := range all {
		wanted[b.ID] = true
	}
	owners, err := m.Owners(wanted)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, b := range all {
		for _, w := range owners {
			if w.Body == b.ID {
				if err := x.upkeep.Verify(context.Background(), b, []mailbox.Owner{w}, x.objects.Reader.Copy(g, b, 1)); err != nil {
					c.t.Errorf("body %d of group %d in its pack: %v", b.ID, g, err)
				}
			}
		}
	}
}

// mustHaveLetGo waits until a machine has bodies that its log no longer holds.
func (c *sim) mustHaveLetGo(x *simNode, groups map[rookery.GroupID]rookery.LogIndex) {
	c.t.Helper()
	c.until(5*time.Minute, x.cfg.Name+" lets go of its log", func() bool {
		for g := range groups {
			l, err := x.groups.Log().Group(g)
			if err != nil {
				c.t.Fatal(err)
			}
			all, err := x.groups.Machine(g).Bodies(0, 1000)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, b := range all {
				if len(b.Pack) > 0 && !l.Has(b.Log[0].Index, b.Log[0].Term) {
					return true
				}
			}
		}
		return false
	})
}

// garblePacks flips a bit in each body of each pack and says how many they are.
func (c *sim) garblePacks() (bodies int) {
	c.t.Helper()
	store, err := dir.Open(filepath.Join(c.store, "objects"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer store.Close()
	entries := map[string][]pack.Entry{}
	err = check.Rebuild(c.t.Context(), store, func(r check.Rebuilt) error {
		entries[filepath.Base(r.Key)] = r.Entries
		return r.Err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(c.store, "objects"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pk") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, e := range entries[filepath.Base(path)] {
			b[e.Off+e.Len/2] ^= 1
			bodies++
		}
		return os.WriteFile(path, b, 0o600)
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return bodies
}

// garbleLog flips a bit in each body that is in a machine's log alone.
func (c *sim) garbleLog(x *simNode, groups map[rookery.GroupID]rookery.LogIndex) (bodies int) {
	c.t.Helper()
	dir := filepath.Join(x.cfg.DataDir, "log")
	names, err := x.mem.List(dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for g := range groups {
		all, err := x.groups.Machine(g).Unpacked(0, 1000)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, b := range all {
			q := b.Log[0]
			p := make([]byte, min(q.Len, 64))
			if err := x.groups.ReadLog(context.Background(), g, q.Index, q.Term, p, q.Off); err != nil {
				c.t.Fatal(err)
			}
			for _, name := range names {
				if c.flip(x, filepath.Join(dir, name), p) {
					bodies++
				}
			}
		}
	}
	return bodies
}

// flip turns over a bit of what a file of a machine has, wherever it has it.
func (c *sim) flip(x *simNode, name string, what []byte) bool {
	c.t.Helper()
	info, err := x.mem.Stat(name)
	if err != nil || info.IsDir() {
		return false
	}
	f, err := x.mem.OpenReadWrite(name, "")
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	all := make([]byte, info.Size())
	if n, err := f.ReadAt(all, 0); n < len(all) {
		c.t.Fatal(err)
	}
	at := bytes.Index(all, what)
	if at < 0 {
		return false
	}
	if _, err := f.WriteAt([]byte{what[0] ^ 1}, int64(at)); err != nil {
		c.t.Fatal(err)
	}
	return true
}

// readsEach reads some messages of everybody's on a machine and counts those that
// are not had.
func (c *sim) readsEach(x *simNode) (temporary, damaged int) {
	c.t.Helper()
	for _, p := range c.ledger.people {
		a, err := x.accounts.Open(context.Background(), p.account)
		if err != nil {
			c.t.Fatal(err)
		}
		v, err := a.View()
		if err != nil {
			c.t.Fatal(err)
		}
		inbox, err := v.ByName("INBOX")
		if err != nil {
			c.t.Fatal(err)
		}
		n := 0
		if err := v.Rows(inbox.ID, 1, 1<<31, func(row mailbox.Row) bool {
			n++
			err := readWhole(a, v, row)
			switch {
			case rookery.Is(err, rookery.KindUnavailable):
				temporary++
			case err != nil:
				c.t.Log(err)
				damaged++
			}
			return n < 5
		}); err != nil {
			c.t.Fatal(err)
		}
		v.Close()
	}
	return temporary, damaged
}

func readWhole(a *account.Account, v *mailbox.View, row mailbox.Row) error {
	e, err := v.Email(row.Email)
	if err != nil {
		return err
	}
	r, err := a.Body(context.Background(), v, e)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.Verify(context.Background())
}
