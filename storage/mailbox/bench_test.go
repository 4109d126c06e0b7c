package mailbox

import (
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/state"
	"rookery/storage/uidset"
)

func BenchmarkDeliver(b *testing.B) {
	f, a := newAccount(b, 0)
	c := &command.Deliver{Size: 4000, Layout: make([]byte, 12), Extract: make([]byte, 1500), Payload: make([]byte, 3000),
		Deliveries: []command.Delivery{{Account: a, WrappedKey: make([]byte, 60), Threads: [][8]byte{{}, {}}}}}
	entries := make([][]byte, b.N)
	for i := range entries {
		c.Email = emailID(i + 1)
		c.Deliveries[0].Threads[0] = [8]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}
		c.Deliveries[0].Threads[1] = [8]byte{byte(i >> 20), byte(i >> 12), byte(i >> 4), 2}
		f.seq++
		f.clock += 1e6
		entries[i] = state.Wrap(state.Header{Node: "n1", Epoch: 1, Seq: f.seq, Low: f.seq, Time: f.clock}, command.Encode(c))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 8 {
		var batch []rookery.Entry
		for j := i; j < min(i+8, b.N); j++ {
			f.index++
			batch = append(batch, rookery.Entry{Index: f.index, Term: 1, Data: entries[j]})
		}
		f.group.Apply(batch)
	}
	b.StopTimer()
	if n := f.mailbox(a, Inbox).Messages; int(n) != b.N {
		b.Fatalf("%d messages of %d", n, b.N)
	}
}

// filled opens a mailbox of n messages, one in ten removed.
func filled(tb testing.TB, n int) (*fixture, rookery.AccountID) {
	f, a := newAccount(tb, 0)
	for i := range n {
		f.deliver(a, i+1)
	}
	for i := 0; i < n; i += 1000 {
		var gone uidset.Builder
		for u := i + 10; u <= min(i+1000, n); u += 10 {
			gone.Add(rookery.UID(u))
		}
		do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: gone.Set(), Force: true})
	}
	return f, a
}

func BenchmarkScan100k(b *testing.B) {
	f, a := filled(b, 100000)
	b.ReportAllocs()
	for b.Loop() {
		v := f.view(a)
		n, unseen := 0, 0
		if err := v.Rows(Inbox, 1, 0xffffffff, func(r Row) bool {
			n++
			if !r.Flags.Has(command.FlagSeen) {
				unseen++
			}
			return true
		}); err != nil {
			b.Fatal(err)
		}
		v.Close()
		if n != 90000 || unseen != n {
			b.Fatal(n)
		}
	}
}

func BenchmarkUIDs100k(b *testing.B) {
	f, a := filled(b, 100000)
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			f.m.cache.reset()
			v := f.view(a)
			v.UIDs(Inbox)
			v.Close()
		}
	})
	b.Run("warm", func(b *testing.B) {
		for b.Loop() {
			v := f.view(a)
			v.UIDs(Inbox)
			v.Close()
		}
	})
	n := 200000
	b.Run("after-delivery", func(b *testing.B) {
		for b.Loop() {
			n++
			f.deliver(a, n)
			v := f.view(a)
			v.UIDs(Inbox)
			v.Close()
		}
	})
}

func BenchmarkStore1000(b *testing.B) {
	f, a := filled(b, 10000)
	mode := command.StoreAdd
	for b.Loop() {
		do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 1000), Mode: mode,
			Flags: command.FlagSeen})
		mode = 1 - mode
	}
}

func BenchmarkChanges100k(b *testing.B) {
	f, a := filled(b, 100000)
	high := f.mailbox(a, Inbox).HighestModSeq
	for name, since := range map[string]rookery.ModSeq{"all": 0, "last": high - 1} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				v := f.view(a)
				if _, err := v.Changes(Inbox, since); err != nil {
					b.Fatal(err)
				}
				v.Close()
			}
		})
	}
}

// Ten thousand items whose group does not answer, as their leader reads them
// each second.
func BenchmarkDue10k(b *testing.B) {
	f, a := newAccount(b, 0)
	const n = 10000
	for i := range n {
		f.deliver(a, i+1, func(c *command.Deliver) {
			c.Item = &command.Item{ID: command.ItemID{byte(i >> 8), byte(i)}, Kind: command.Message}
			for g := range rookery.GroupID(3) {
				c.Item.Rows = append(c.Item.Rows, command.ItemRow{Kind: command.ToGroup, Group: 3 + g,
					Deliveries: []command.Delivery{{Account: accountID(int(g)), WrappedKey: make([]byte, 60), Threads: [][8]byte{{1}, {2}}}}})
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		found := 0
		for after := (queue.Due{}); ; {
			rows, err := f.m.Due(queue.Class{Row: command.ToGroup, Of: command.Message}, f.clock, after, 512)
			if err != nil {
				b.Fatal(err)
			}
			if found += len(rows); len(rows) < 512 {
				break
			}
			after = rows[len(rows)-1]
		}
		if found != 3*n {
			b.Fatalf("%d rows", found)
		}
	}
}
