package datadir

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// survivor is a data directory with the system group and mail group 2, in whose
// log two commands stand that no state has.
func survivor(t *testing.T) Dir {
	t.Helper()
	cfg := testConfig(t)
	if err := Create(t.Context(), cfg, vfs.Default, time.Now()); err != nil {
		t.Fatal(err)
	}
	d := Dir(cfg.DataDir)
	id, err := d.Identity()
	if err != nil {
		t.Fatal(err)
	}
	st, err := state.Open(d.path("state"), vfs.Default, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := rlog.Open(rlog.Options{Dir: d.path("log"), FS: vfs.Default})
	if err != nil {
		t.Fatal(err)
	}
	servers := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{
		{ID: raft.ServerID(id.Node), Address: raft.ServerAddress(id.Node)}, {ID: "dead", Address: "dead"}}})
	// The configuration is applied, the commands are not.
	sg, err := st.Group(2, func(g *state.Group) state.Machine { return mailbox.New(nil)(g) })
	if err != nil {
		t.Fatal(err)
	}
	sg.Apply([]rookery.Entry{{Index: 1, Term: 3, Configuration: servers}})
	for _, g := range []rookery.GroupID{rookery.SystemGroup, 2} {
		lg, err := l.Group(g)
		if err != nil {
			t.Fatal(err)
		}
		err = lg.StoreLogs([]*raft.Log{
			{Index: 1, Term: 3, Type: raft.LogConfiguration, Data: servers},
			{Index: 2, Term: 3, Type: raft.LogCommand, Data: []byte("one")},
			{Index: 3, Term: 3, Type: raft.LogCommand, Data: []byte("two")},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Close(), st.Close()); err != nil {
		t.Fatal(err)
	}
	return d
}

// entries are what a group's log holds, in words.
func (d Dir) entries(t *testing.T, group rookery.GroupID) (all []string) {
	t.Helper()
	l, err := rlog.Open(rlog.Options{Dir: d.path("log"), FS: vfs.Default})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lg, err := l.Group(group)
	if err != nil {
		t.Fatal(err)
	}
	last, err := lg.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= last; i++ {
		var e raft.Log
		if err := lg.GetLog(i, &e); err != nil {
			t.Fatal(err)
		}
		text := e.Type.String()
		if e.Type == raft.LogCommand {
			text = string(e.Data)
			if _, offset, err := state.Unwrap(e.Data); err == nil {
				c, _, err := command.Decode(e.Data[offset:])
				if err != nil {
					t.Fatal(err)
				}
				text = fmt.Sprintf("%T", c)
				if j, ok := c.(*command.Jump); ok {
					text = fmt.Sprintf("jump, counters only %v", j.CountersOnly)
				}
			}
		}
		all = append(all, text)
	}
	return all
}

// What nobody is known to have agreed on is written again between two jumps in a
// mail group, and stays in the system group. A recovery that is over changes
// nothing when it is applied once more.
func TestRecoveryKeepsTheTail(t *testing.T) {
	d := survivor(t)
	logger := slog.New(slog.DiscardHandler)
	r, err := d.Inspect(logger)
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanRecovery([]Report{r}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	mail := []string{"LogConfiguration", "LogConfiguration", "jump, counters only true", "one", "two", "jump, counters only false"}
	system := []string{"LogConfiguration", "one", "two", "LogConfiguration", "*command.Recovered"}
	for _, when := range []string{"once", "once more"} {
		if err := d.Recover(p, logger, time.Now()); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got := d.entries(t, 2); !slices.Equal(got, mail) {
			t.Errorf("%s: the mail group's log holds %q, want %q", when, got, mail)
		}
		if got := d.entries(t, rookery.SystemGroup); !slices.Equal(got, system) {
			t.Errorf("%s: the system group's log holds %q, want %q", when, got, system)
		}
		if left, _ := filepath.Glob(d.path("recovery-tail-*")); len(left) > 0 {
			t.Errorf("%s: left are %q", when, left)
		}
	}
}
