package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/members"
	"rookery/directory/embedded"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
)

// victim is an account to be erased, with what is stored of its mail: what a
// thief would look for.
type victim struct {
	address string
	id      rookery.AccountID
	group   rookery.GroupID
	emails  []mailbox.Email // sealed
}

// victims makes accounts with mail of their own, small and staged, some of it
// packed and cached.
func (c *sim) victims(count int) (all []*victim) {
	c.t.Helper()
	ctx := c.t.Context()
	n := c.nodes[0].Node
	for i := range count {
		v := &victim{address: fmt.Sprintf("victim%d@%s", i, testDomain)}
		if err := c.dir.AddUser(embedded.User{UID: fmt.Sprintf("victim%d", i), Mail: v.address, Password: "secret"}); err != nil {
			c.t.Fatal(err)
		}
		var err error
		if v.id, err = ensure(ctx, n, v.address); err != nil {
			c.t.Fatal(err)
		}
		for _, size := range []int{100, 5_000, 400_000} {
			c.sendTo(n, v.id, size)
		}
		if v.group, err = n.accounts.Group(ctx, v.id); err != nil {
			c.t.Fatal(err)
		}
		v.emails = c.emailsOf(v)
		all = append(all, v)
	}
	return all
}

func (c *sim) sendTo(n *Node, id rookery.AccountID, size int) {
	c.t.Helper()
	s := n.deliver.Spool(spool.Normalise, 0)
	defer s.Close()
	fmt.Fprintf(s, "Subject: secret of %s\r\n\r\n", id)
	noise := make([]byte, size)
	for i := range noise {
		noise[i] = "abcdefghijklmnopqrstuvwxyz0123456789\n"[c.rng.IntN(37)]
	}
	s.Write(noise)
	if err := s.Finish(); err != nil {
		c.t.Fatal(err)
	}
	if err := n.deliver.Deliver(c.t.Context(),
		delivery.Request{From: "x@example.net", Spool: s, Recipients: []delivery.Recipient{{Account: id}}}); err != nil {
		c.t.Fatal(err)
	}
}

// emailsOf reads what is stored of an account's messages.
func (c *sim) emailsOf(v *victim) (emails []mailbox.Email) {
	c.t.Helper()
	for _, x := range c.nodes {
		if x.Node == nil || x.groups.Machine(v.group) == nil {
			continue
		}
		if err := x.groups.Barrier(c.t.Context(), v.group); err != nil {
			continue
		}
		view, err := x.groups.Machine(v.group).View(v.id)
		if err != nil {
			c.t.Fatal(err)
		}
		defer view.Close()
		err = view.Rows(mailbox.Inbox, 1, 1<<30, func(r mailbox.Row) bool {
			e, err := view.Email(r.Email)
			if err != nil {
				c.t.Fatal(err)
			}
			emails = append(emails, e)
			return true
		})
		if err != nil {
			c.t.Fatal(err)
		}
		return emails
	}
	c.t.Fatal("no node shows the account")
	return nil
}

// thief has every disk, every key file, every ring in memory, the object store,
// and an image of every group.
type thief struct {
	t     *testing.T
	rings []*keys.Keyring
	files map[string][]byte
}

func (c *sim) thief() *thief {
	c.t.Helper()
	th := &thief{t: c.t, files: map[string][]byte{}}
	for _, x := range c.nodes {
		if x.Node != nil {
			th.rings = append(th.rings, x.rings.Tenant.Keys)
			c.takeImages(th, x)
		}
		if ring, err := datadir.Dir(x.cfg.DataDir).TenantKeys(x.cfg.Keys.Command).Load(context.Background()); err == nil {
			th.rings = append(th.rings, ring)
		}
		th.takeDir(x.cfg.DataDir)
		th.takeMem(x.cfg.Name, x.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: c.rng}), "/")
	}
	th.takeDir(c.store)
	return th
}

func (c *sim) takeImages(th *thief, x *simNode) {
	c.t.Helper()
	for _, g := range append(members.FirstMail(), rookery.SystemGroup) {
		r := x.groups.Group(g)
		if r == nil {
			continue
		}
		image, err := r.Machine().Snapshot()
		if err != nil {
			c.t.Fatal(err)
		}
		var b bytes.Buffer
		if _, err := image.WriteTo(&b); err != nil {
			c.t.Fatal(err)
		}
		image.Close()
		th.files[fmt.Sprintf("image of group %d on %s", g, x.cfg.Name)] = b.Bytes()
	}
}

func (th *thief) takeDir(dir string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if b, err := os.ReadFile(path); err == nil {
				th.files[path] = b
			}
		}
		return nil
	})
}

func (th *thief) takeMem(name string, m *vfs.MemFS, dir string) {
	list, err := m.List(dir)
	if err != nil {
		return
	}
	for _, entry := range list {
		path := m.PathJoin(dir, entry)
		info, err := m.Stat(path)
		if err != nil {
			continue
		}
		if info.IsDir() {
			th.takeMem(name, m, path)
			continue
		}
		if f, err := m.Open(path); err == nil {
			if b, err := io.ReadAll(f); err == nil {
				th.files[name+":"+path] = b
			}
			f.Close()
		}
	}
}

// accountKeys tries every ring on everything in every file that can be a
// wrapped key of the account.
func (th *thief) accountKeys(id rookery.AccountID) (keys []*keys.AccountKey, where map[string]bool) {
	where = map[string]bool{}
	for name, b := range th.files {
		for i := 0; i+62 <= len(b); i++ {
			if b[i] != 1 || b[i+1] == 0 || b[i+1] > 60 {
				continue
			}
			for _, ring := range th.rings {
				if k, err := ring.OpenAccount(id, b[i:i+62]); err == nil {
					keys, where[name] = append(keys, k), true
					break
				}
			}
		}
	}
	return keys, where
}

// reads says how much of an account's mail the thief reads, and where the keys
// were.
func (th *thief) reads(v *victim) (messages int, where []string) {
	keys, files := th.accountKeys(v.id)
	for _, e := range v.emails {
		opened := false
		for _, k := range keys {
			mk, err := k.UnwrapMessage(e.ID, e.Key)
			if err != nil {
				continue
			}
			// The sealed extract must still lie somewhere, or there is nothing to open.
			for _, b := range th.files {
				if len(e.Extract) > 0 && bytes.Contains(b, e.Extract) {
					x, err := body.Open(e.Extract, mk)
					opened = opened || err == nil && strings.Contains(x.Envelope.Subject, "secret of")
				}
			}
		}
		if opened {
			messages++
		}
	}
	return messages, slices.Sorted(maps.Keys(files))
}

// awaitErased waits until no erasure is left.
func (c *sim) awaitErased(within time.Duration) {
	c.t.Helper()
	c.until(within, "the erasures are done", func() bool {
		for _, x := range c.nodes {
			if x.Node == nil {
				continue
			}
			all, err := x.system.Erasures()
			if err != nil || len(all) > 0 {
				return false
			}
		}
		return true
	})
}

func names(all []*victim) (out []string) {
	for i, v := range all {
		if i%2 == 0 {
			out = append(out, v.address)
		} else {
			out = append(out, v.id.String())
		}
	}
	return out
}

// After an erasure nothing of the accounts opens with any key that anybody
// still has, from any disk, log, state, image, cache or pack, and all else
// does. Without its last step, the same search finds everything.
func TestSimErasureLeavesNothingThatOpens(t *testing.T) {
	bubble(t, func(u *tuning) { u.packAge = 2 * time.Second }, func(c *sim) {
		victims := c.victims(4)
		c.sendFor(5 * time.Second)
		time.Sleep(10 * time.Second) // some is packed
		c.sendTo(c.nodes[1].Node, victims[0].id, 3000)
		victims[0].emails = c.emailsOf(victims[0])
		n := c.nodes[1].Node
		ctx := c.t.Context()

		// All steps but the last: bar, rotate, rewrap.
		for _, v := range victims {
			if err := n.groups.Commit(ctx, v.group, &command.BarAccount{Account: v.id}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := n.keys.Rotate(ctx); err != nil {
			t.Fatal(err)
		}
		c.until(time.Minute, "everything is rewrapped", func() bool {
			s, err := n.keys.Status(ctx)
			return err == nil && len(s.Problems) == 0 && accountsUnder(s, 1) == 0
		})
		th := c.thief()
		for _, v := range victims {
			if got, where := th.reads(v); got != len(v.emails) {
				t.Errorf("before the old key is destroyed the thief reads %d of %d messages: the search is worth nothing", got, len(v.emails))
			} else {
				t.Logf("before: %d messages, keys in %d files such as %s", got, len(where), where[0])
			}
		}

		ids, err := n.keys.Erase(ctx, names(victims))
		if err != nil || len(ids) != len(victims) {
			t.Fatal(ids, err)
		}
		c.awaitErased(2 * time.Minute)
		th = c.thief()
		for _, v := range victims {
			if keys, where := th.accountKeys(v.id); len(keys) > 0 {
				t.Errorf("%d keys of %s open, from %v", len(keys), v.address, where)
			}
			if _, err := n.accounts.Open(ctx, v.id); !rookery.Is(err, rookery.KindNotFound) {
				t.Errorf("%s opens: %v", v.address, err)
			}
			if id, err := ensure(ctx, n, v.address); err != nil || id == v.id {
				t.Errorf("%s is not a new account: %v", v.address, err)
			}
		}
		found := 0
		for _, p := range c.ledger.people {
			if keys, _ := th.accountKeys(p.account); len(keys) > 0 {
				found++
			}
		}
		if found != len(c.ledger.people) {
			t.Errorf("the search finds the keys of %d of %d living accounts", found, len(c.ledger.people))
		}
		s, err := n.keys.Status(ctx)
		if err != nil || len(s.Problems) > 0 {
			t.Errorf("%+v %v", s, err)
		}
		c.sendFor(2 * time.Second)
		c.mustCheck()
	})
}

func accountsUnder(s adminapi.KeyStatus, version uint32) int {
	for _, v := range s.Versions {
		if v.Version == version {
			return v.Accounts
		}
	}
	return 0
}

// Many accounts erased at once cost one rotation.
func TestSimErasingManyCostsOneRotation(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		n := c.nodes[2].Node
		var all []string
		for i := range 100 {
			id, err := n.accounts.Ensure(c.t.Context(), rookery.Owner{Key: fmt.Sprintf("gone/%d", i)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, id.String())
		}
		if _, err := n.keys.Erase(c.t.Context(), all); err != nil {
			t.Fatal(err)
		}
		c.awaitErased(2 * time.Minute)
		if v := n.rings.Tenant.Keys.Versions(); !slices.Equal(v, []uint32{2}) {
			t.Errorf("the ring has versions %v", v)
		}
	})
}

// A node that is down while keys are rotated reads everything when it is back;
// no key is destroyed without it.
func TestSimNodeIsDownWhileKeysRotate(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		c.sendFor(2 * time.Second)
		away := c.nodes[2]
		c.off(away)
		n := c.nodes[0].Node
		ctx := c.t.Context()
		c.until(time.Minute, "a rotation without a dead node", func() bool {
			r, err := n.keys.Rotate(ctx)
			return err == nil && slices.Equal(r.Without, []string{away.cfg.Name})
		})
		use := n.rings.Tenant.Keys.Current()
		c.until(time.Minute, "everything is rewrapped", func() bool {
			s, err := n.keys.Status(ctx)
			return err == nil && accountsUnder(s, use) == testPeople
		})
		if _, err := n.keys.Destroy(ctx); !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), away.cfg.Name) {
			t.Errorf("destroyed while a node is away: %v", err)
		}
		if len(n.rings.Tenant.Keys.Versions()) < 2 {
			t.Error("the old key is gone")
		}
		c.on(away)
		c.mustCheck()
		if got := away.rings.Tenant.Keys.Current(); got != use {
			t.Errorf("it uses %d", got)
		}
		// The connection to the node that was down is tried again within half a
		// second; until then it does not answer, which is temporary.
		c.until(time.Minute, "the old key is destroyed", func() bool {
			_, err := n.keys.Destroy(ctx)
			if err != nil && !rookery.Is(err, rookery.KindUnavailable) {
				t.Fatal(err)
			}
			if err != nil {
				t.Log(err)
			}
			return err == nil
		})
		for _, x := range c.nodes {
			if v := x.rings.Tenant.Keys.Versions(); !slices.Equal(v, []uint32{use}) {
				t.Errorf("%s holds %v", x.cfg.Name, v)
			}
		}
		c.mustCheck()
	})
}

// A node that lives and cannot keep the new key stops a rotation, however
// often it is tried, and no ring grows by that.
func TestSimRotationWaitsForTheLiving(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		n, stuck := c.nodes[0].Node, c.nodes[2]
		good := stuck.rings.Tenant.UseSource(stuck.dir.TenantKeys([]string{"/bin/false"}))
		for range 3 {
			_, err := n.keys.Rotate(c.t.Context())
			if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), stuck.cfg.Name) ||
				!strings.Contains(err.Error(), "keys.command") {
				t.Errorf("the rotation went on: %v", err)
			}
			if n.rings.Tenant.Keys.Current() != 1 || len(n.rings.Tenant.Keys.Versions()) > 2 {
				t.Errorf("the ring is %v", n.rings.Tenant.Keys)
			}
		}
		stuck.rings.Tenant.UseSource(good)
		if r, err := c.nodes[1].keys.Rotate(c.t.Context()); err != nil || r.Version != 2 {
			t.Errorf("%+v %v", r, err)
		}
		c.mustCheck()
	})
}

// A node that joins after a rotation gets the keys over mutual TLS, and one
// whose keyring is lost gets it again; alone it says what is wrong.
func TestSimKeysComeFromOtherNodes(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		c.sendFor(time.Second)
		n := c.nodes[0].Node
		if _, err := n.keys.Rotate(c.t.Context()); err != nil {
			t.Fatal(err)
		}
		c.add(3, nil)
		joiner := c.nodes[3]
		token, addresses, err := n.registry.MintToken(c.t.Context(), time.Hour)
		if err == nil {
			err = joiner.join(c.t.Context(), joiner.cfg, token, addresses)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r, err := n.keys.Rotate(c.t.Context()); err != nil || !slices.Equal(r.Without, []string{joiner.cfg.Name}) {
			t.Errorf("a rotation between joining and starting: %+v %v", r, err)
		}
		c.on(joiner)
		if a, b := joiner.rings.Tenant.Keys.Fingerprints(), n.rings.Tenant.Keys.Fingerprints(); !maps.Equal(a, b) ||
			joiner.rings.Tenant.Keys.Current() != n.rings.Tenant.Keys.Current() {
			t.Errorf("the joiner holds %v, the others %v", joiner.rings.Tenant.Keys, n.rings.Tenant.Keys)
		}

		lost := c.nodes[1]
		c.off(lost)
		file := filepath.Join(lost.cfg.DataDir, tenantKeys)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		c.on(lost)
		if a, b := lost.rings.Tenant.Keys.Fingerprints(), n.rings.Tenant.Keys.Fingerprints(); !maps.Equal(a, b) {
			t.Errorf("it holds %v, the others %v", lost.rings.Tenant.Keys, n.rings.Tenant.Keys)
		}
		if ring, err := keys.LoadKeyring(file); err != nil || ring.Current() != n.rings.Tenant.Keys.Current() {
			t.Errorf("its file holds %v: %v", ring, err)
		}
		c.nodes = c.nodes[:3] // the joiner has no replicas yet
		c.mustCheck()

		c.off(joiner)
		for _, x := range c.nodes {
			c.off(x)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		lost.disk = newDisk(lost.mem, 0, nil)
		lost.disk.lies.Store("")
		lost.deps.FS = lost.disk
		_, err = Open(c.t.Context(), lost.cfg, lost.deps)
		if !rookery.Is(err, rookery.KindDamaged) || !strings.Contains(err.Error(), "recovery kit") ||
			!strings.Contains(err.Error(), "start another node") {
			t.Errorf("alone and without keys: %v", err)
		}
	})
}

// The power goes on nodes while keys are rotated, rewrapped and destroyed, and
// accounts erased: it goes on by itself, loses nothing and leaves nothing.
func TestSimPowerCutsWhileErasing(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		victims := c.victims(3)
		l, stop := c.send(1)
		for round, v := range victims {
			if _, err := c.nodes[round].keys.Erase(c.t.Context(), []string{v.id.String()}); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				time.Sleep(time.Duration(c.rng.IntN(2500)) * time.Millisecond)
				x := c.nodes[c.rng.IntN(3)]
				if lead := c.leader(rookery.SystemGroup); lead != nil && c.rng.IntN(2) == 0 {
					x = lead
				}
				c.powerCut(x)
				time.Sleep(time.Duration(c.rng.IntN(1500)) * time.Millisecond)
				c.on(x)
			}
			c.awaitErased(3 * time.Minute)
		}
		stop()
		l.mustBeTemporary(t)
		c.mustCheck()
		th := c.thief()
		for _, v := range victims {
			if keys, where := th.accountKeys(v.id); len(keys) > 0 {
				t.Errorf("%d keys of %s open, from %v", len(keys), v.address, where)
			}
		}
	})
}
