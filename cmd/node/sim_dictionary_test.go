package node

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/protocols/delivery"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/dictionary"
	"rookery/storage/mailbox"
)

// office invents the mail of people who use the same forms.
type office struct {
	c     *sim
	rng   *rand.Rand
	forms []string
	sent  map[int][]letter // by person
}

type letter struct {
	uid  rookery.UID
	text []byte
}

func newOffice(c *sim) *office {
	o := &office{c: c, rng: rand.New(rand.NewPCG(3, 9)), sent: map[int][]letter{}}
	for range 50 {
		o.forms = append(o.forms, o.words(25))
	}
	return o
}

func (o *office) words(n int) string {
	var b strings.Builder
	for range n {
		for range 4 + o.rng.IntN(6) {
			b.WriteByte(byte('a' + o.rng.IntN(26)))
		}
		b.WriteByte(' ')
	}
	return b.String()
}

// post appends a letter to a person's INBOX through a machine.
func (o *office) post(x *simNode, person int) {
	o.c.t.Helper()
	text := fmt.Appendf(nil, "From: office@%s\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%x@%s>\r\n\r\n%s\r\n%s\r\n%s\r\n", testDomain, login(person), o.words(2), o.rng.Uint64(), testDomain,
		o.forms[o.rng.IntN(len(o.forms))], o.forms[o.rng.IntN(len(o.forms))], o.words(6))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, err := x.accounts.Open(ctx, o.c.ledger.people[person].account)
	if err != nil {
		o.c.t.Fatal(err)
	}
	spool := x.deliver.Spool(delivery.Normalise, 0)
	defer spool.Close()
	spool.Write(text)
	if err := spool.Finish(); err != nil {
		o.c.t.Fatal(err)
	}
	f, err := x.deliver.Append(ctx, a, mailbox.Inbox, 0, nil, time.Time{}, spool)
	if err != nil {
		o.c.t.Fatal(err)
	}
	o.sent[person] = append(o.sent[person], letter{f.UID, text})
}

func (o *office) postAll(x *simNode, each int) {
	for range each {
		for person := range testPeople {
			o.post(x, person)
		}
	}
}

// read reads every letter on a machine, header and body, and counts the bodies
// by the dictionary they name.
func (o *office) read(x *simNode) map[rookery.DictionaryID]int {
	o.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	named := map[rookery.DictionaryID]int{}
	for person, letters := range o.sent {
		a, err := x.accounts.Open(ctx, o.c.ledger.people[person].account)
		if err == nil {
			err = a.Sync(ctx)
		}
		if err != nil {
			o.c.t.Fatal(err)
		}
		v, err := a.View()
		if err != nil {
			o.c.t.Fatal(err)
		}
		for _, l := range letters {
			row, err := v.Row(mailbox.Inbox, l.uid)
			if err != nil {
				o.c.t.Fatal(err)
			}
			e, err := v.Email(row.Email)
			if err != nil {
				o.c.t.Fatal(err)
			}
			head, err := a.Header(ctx, e)
			if err != nil {
				o.c.t.Fatal(err)
			}
			if !bytes.HasPrefix(l.text, head.Header) || len(head.Header) == 0 {
				o.c.t.Fatalf("%s: a header reads as %q", x.cfg.Name, head.Header)
			}
			r, err := a.Body(ctx, v, e)
			if err != nil {
				o.c.t.Fatal(err)
			}
			text, err := r.ReadSection(ctx, body.Section{Len: r.Size()})
			if err != nil || !bytes.Equal(text, l.text) {
				o.c.t.Fatalf("%s: a letter reads as %q: %v", x.cfg.Name, text, err)
			}
			r.Close()
			b, err := v.Body(e.Body)
			var layout body.Layout
			if err == nil {
				err = layout.UnmarshalBinary(b.Layout)
			}
			if err != nil || layout.Dictionary != body.SealedWith(e.Extract) {
				o.c.t.Fatalf("a body names dictionary %d, its extract %d: %v", layout.Dictionary, body.SealedWith(e.Extract), err)
			}
			named[layout.Dictionary]++
		}
		v.Close()
	}
	return named
}

// uses waits until every machine that runs compresses with a dictionary.
func (c *sim) uses(id rookery.DictionaryID) {
	c.t.Helper()
	c.until(3*time.Minute, fmt.Sprintf("dictionary %d is in use", id), func() bool {
		for _, x := range c.nodes {
			if x.Node != nil && x.dicts.Current().ID() != id {
				return false
			}
		}
		return true
	})
}

// TestSimDictionary takes a site from the generic dictionary to one of its own,
// while a node is away and the leader dies in the middle, through ten more, and
// to a new node.
func TestSimDictionary(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		t := c.t
		ctx := t.Context()
		o := newOffice(c)
		c.uses(dictionary.Generic)
		o.postAll(c.nodes[0], 50)

		// A node that is away keeps the new one out of use.
		away := c.nodes[2]
		c.off(away)
		time.Sleep(5 * time.Second) // what is committed is applied by then
		trained, err := c.nodes[1].dicts.trainNow(ctx)
		if err != nil || trained.ID != rookery.FirstSiteDictionary || trained.Adopted || trained.After >= trained.Before || trained.Accounts != testPeople {
			t.Fatalf("trained %+v: %v", trained, err)
		}
		if !strings.Contains(trained.Why, away.cfg.Name) {
			t.Errorf("it does not say whom it waits for: %q", trained.Why)
		}
		time.Sleep(3 * time.Minute)
		c.uses(dictionary.Generic)
		o.postAll(c.nodes[1], 1)
		// The leader loses its power before anybody has adopted it.
		leader := c.leader(rookery.SystemGroup)
		c.powerCut(leader)
		c.onAll([]*simNode{leader, away})
		c.uses(trained.ID)
		for _, x := range c.nodes {
			o.postAll(x, 2)
		}
		want := map[rookery.DictionaryID]int{dictionary.Generic: 51 * testPeople, trained.ID: 6 * testPeople}
		for _, x := range c.nodes {
			if got := o.read(x); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: bodies by dictionary: %v, want %v", x.cfg.Name, got, want)
			}
		}

		// Ten more, each used once. Everything is read by nodes that have just
		// started, from packs.
		sealed, err := c.nodes[0].groups.system.SealedDictionary(trained.ID)
		if err != nil {
			t.Fatal(err)
		}
		for id := trained.ID + 1; id <= trained.ID+10; id++ {
			c.introduce(o, id)
			want[id] = testPeople
		}
		for _, x := range c.nodes {
			c.off(x)
			c.on(x)
			c.catchesUp(x)
		}
		for _, x := range c.nodes {
			if got := o.read(x); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: bodies by dictionary: %v, want %v", x.cfg.Name, got, want)
			}
		}
		use, uncounted, err := c.nodes[0].dictionaryUse(ctx)
		if err != nil || len(uncounted) > 0 || use[trained.ID].Bodies != int64(6*testPeople) {
			t.Errorf("counted %v, not %v: %v", use, uncounted, err)
		}

		// Another tenant key version seals them all anew.
		now := c.rotate()
		c.until(5*time.Minute, "every dictionary is under the new tenant key", func() bool {
			all, err := c.nodes[0].groups.system.Dictionaries()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range all {
				if x.Key != now {
					return false
				}
			}
			return len(all) == 11
		})
		if again, err := c.nodes[0].groups.system.SealedDictionary(trained.ID); err != nil || bytes.Equal(again, sealed) {
			t.Errorf("the sealed form is as it was: %v", err)
		}
		c.until(3*time.Hour, "one copy of each lies beside the packs, under the new key", func() bool { return c.copiesUnder(now) == 11 })

		// A node that joins has them all.
		x := c.spare()
		c.setState(c.nodes[0], c.nodes[0], command.NodeDraining)
		c.until(10*time.Minute, "the new node holds the groups", func() bool { return c.votesOn(c.nodes[1:]...) })
		if got := o.read(x); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the new node: bodies by dictionary: %v, want %v", got, want)
		}
	})
}

// introduce brings a dictionary of the office's forms into use and posts a
// letter to each with it.
func (c *sim) introduce(o *office, id rookery.DictionaryID) {
	c.t.Helper()
	var samples []dictionary.Sample
	for _, letters := range o.sent {
		for _, l := range letters {
			samples = append(samples, dictionary.Sample{Text: l.text})
		}
	}
	b, err := dictionary.Format(uint32(id), []byte(strings.Join(o.forms, fmt.Sprint(id))), samples)
	if err != nil {
		c.t.Fatal(err)
	}
	x := c.nodes[int(id)%len(c.nodes)]
	next, err := x.dicts.next(c.t.Context())
	if err != nil || next != id {
		c.t.Fatalf("the next dictionary is %d, %v; want %d", next, err, id)
	}
	if err := x.dicts.propose(c.t.Context(), adminapi.Training{}, id, dictionary.Trained{Dictionary: b}); err != nil {
		c.t.Fatal(err)
	}
	if err := x.dicts.adopt(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	c.uses(id)
	o.postAll(x, 1)
}

// rotate brings a new tenant key into use.
func (c *sim) rotate() (version uint32) {
	c.t.Helper()
	r, err := c.nodes[0].rotateTenant(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return r.Version
}

// copiesUnder counts the copies beside the packs, -1 if one is under another
// tenant key version.
func (c *sim) copiesUnder(version uint32) (n int) {
	c.t.Helper()
	store := c.nodes[0].bodies.store
	objects, err := dictionary.Objects(c.t.Context(), store)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, o := range objects {
		sealed, err := dictionary.Sealed(c.t.Context(), store, o)
		if err != nil {
			c.t.Fatal(err)
		}
		if under, err := body.DictionaryKey(sealed); err != nil || under != version {
			return -1
		}
		n++
	}
	return n
}
