package system

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

var hash = [32]byte{7}

func ids(names ...string) (out []rookery.NodeID) {
	for _, n := range names {
		out = append(out, rookery.NodeID(n))
	}
	return out
}

func (f *fixture) must(cs ...command.Command) {
	f.t.Helper()
	for _, c := range cs {
		if _, err := f.apply(c); err != nil {
			f.t.Fatalf("%#v: %v", c, err)
		}
	}
}

func (f *fixture) refused(kind rookery.Kind, text string, c command.Command) {
	f.t.Helper()
	if _, err := f.apply(c); !rookery.Is(err, kind) || !strings.Contains(err.Error(), text) {
		f.t.Fatalf("%#v: %v, want %v with %q", c, err, kind, text)
	}
}

func (f *fixture) nodes(names ...string) {
	f.t.Helper()
	for _, id := range ids(names...) {
		f.must(&command.RegisterNode{Node: id})
	}
}

func TestNodesRegister(t *testing.T) {
	f := open(t)
	f.must(&command.RegisterNode{Node: "b", Name: "two", Key: hash},
		&command.RegisterNode{Node: "a", Name: "one", Address: "h:1", Version: 2, Zone: "z"},
		&command.RegisterNode{Node: "b", Name: "2"})
	got, err := f.m.Nodes()
	want := []Node{
		{ID: "a", Name: "one", Address: "h:1", Version: 2, Zone: "z", Registered: 2, Updated: 2, Since: 2},
		{ID: "b", Name: "2", Registered: 1, Updated: 3, Since: 1, Key: hash}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if n, err := f.m.Node("a"); n != want[0] || err != nil {
		t.Fatal(n, err)
	}
	if _, err := f.m.Node("c"); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
	f.refused(rookery.KindInvalid, "1 to 64", &command.RegisterNode{})
	f.refused(rookery.KindExists, "another public key", &command.RegisterNode{Node: "b", Key: [32]byte{9}})
	f.must(&command.SetNodeState{Node: "a", State: command.NodeRemoved}, &command.RegisterNode{Node: "b", Key: [32]byte{9}})
	if n, err := f.m.Node("b"); err != nil || n.Key != [32]byte{9} {
		t.Fatal("the only member did not get its new key", n, err)
	}
	f.refused(rookery.KindInvalid, "does not belong", &command.SetQuota{})
}

func TestNodeStates(t *testing.T) {
	f := open(t)
	f.nodes("a", "b")
	state := func(want command.NodeState, since int64) {
		t.Helper()
		if n, err := f.m.Node("a"); n.State != want || n.Since != since || err != nil {
			t.Fatal(n, err)
		}
	}
	drain := &command.SetNodeState{Node: "a", State: command.NodeDraining}
	f.must(drain, drain) // at 3 and 4
	state(command.NodeDraining, 3)
	f.nodes("a") // a restart does not end it
	state(command.NodeDraining, 3)
	f.must(&command.SetNodeState{Node: "a"})
	state(command.NodeActive, 6)
	f.must(&command.RegisterNode{Node: "a", Remove: true})
	state(command.NodeRemoved, 7)
	f.must(&command.SetNodeState{Node: "a", State: command.NodeRemoved})
	f.refused(rookery.KindDenied, "final", &command.SetNodeState{Node: "a"})
	f.refused(rookery.KindDenied, "cannot come back", &command.RegisterNode{Node: "a"})
	f.refused(rookery.KindNotFound, "", &command.SetNodeState{Node: "c"})
	f.refused(rookery.KindInvalid, "", &command.SetNodeState{Node: "b", State: 9})
}

func TestInvitationAdmitsOneNodeOnce(t *testing.T) {
	f := open(t)
	const text = "the token is wrong, used or expired; mint another one"
	f.must(&command.Invite{ID: "i", Hash: hash, Expires: 10}, &command.Invite{ID: "i", Hash: hash, Expires: 10})
	f.refused(rookery.KindExists, "", &command.Invite{ID: "i", Hash: [32]byte{8}, Expires: 10})
	good := command.Admit{ID: "i", Hash: hash, Node: "n", Key: [32]byte{1}, Name: "N", Address: "h:1", Zone: "z", Version: 3}
	for _, edit := range []func(*command.Admit){
		func(c *command.Admit) { c.ID = "x" },
		func(c *command.Admit) { c.ID, c.Hash = "x", [32]byte{} },
		func(c *command.Admit) { c.Hash[31]++ },
	} {
		c := good
		edit(&c)
		f.refused(rookery.KindCredentials, text, &c)
	} // 4 to 6
	f.must(&good, &good) // 7, 8
	for _, edit := range []func(*command.Admit){
		func(c *command.Admit) { c.Node = "m" },
		func(c *command.Admit) { c.Key[0]++ },
	} {
		c := good
		edit(&c)
		f.refused(rookery.KindCredentials, text, &c)
	} // 9, 10
	f.refused(rookery.KindCredentials, text, &good) // at 11: expired
	want := Node{ID: "n", Name: "N", Address: "h:1", Zone: "z", Version: 3, Key: [32]byte{1}, Registered: 7, Since: 7, Updated: 8}
	if n, err := f.m.Node("n"); n != want || err != nil {
		t.Fatal(n, err)
	}
	wantInvitation := Invitation{ID: "i", Hash: hash, Created: 1, Expires: 10, Used: 7, UsedBy: "n", UsedKey: [32]byte{1}}
	if i, err := f.m.Invitation("i"); i != wantInvitation || err != nil {
		t.Fatal(i, err)
	}

	// A second token for a node that is there needs the same key.
	f.must(&command.Invite{ID: "j", Hash: hash, Expires: 100})
	if is, _ := f.m.Invitations(); len(is) != 1 || is[0].ID != "j" {
		t.Fatal("the expired invitation stays:", is)
	}
	other := good
	other.ID, other.Key = "j", [32]byte{2}
	f.refused(rookery.KindExists, "already", &other)
	other.Key = good.Key
	f.must(&other)

	f.must(&command.Invite{ID: "k", Hash: hash, Expires: 100}, &command.Revoke{ID: "k"}, &command.Revoke{ID: "k"})
	if _, err := f.m.Invitation("k"); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
	f.must(&command.Invite{ID: "l", Hash: hash, Expires: 100}, &command.SetNodeState{Node: "n", State: command.NodeRemoved})
	other.ID = "l"
	f.refused(rookery.KindDenied, "cannot come back", &other)
	other.Node, other.Key = "o", [32]byte{}
	f.refused(rookery.KindInvalid, "no key", &other)
	f.refused(rookery.KindInvalid, "expired", &command.Invite{ID: "m", Hash: hash, Expires: 3})
}

func TestInvitationsAreBounded(t *testing.T) {
	f := open(t)
	for i := range MaxInvitations {
		f.must(&command.Invite{ID: fmt.Sprint(i), Hash: hash, Expires: 1000 + int64(i%2)*1000})
	}
	more := &command.Invite{ID: "more", Hash: hash, Expires: 5000}
	f.refused(rookery.KindLimit, "", more)
	f.n = 1200 // half have expired
	f.must(more)
	if is, err := f.m.Invitations(); len(is) != MaxInvitations/2+1 || err != nil {
		t.Fatal(len(is), err)
	}
}

func TestGateWaitsForEveryMember(t *testing.T) {
	f := open(t)
	gate := func(want uint32) {
		t.Helper()
		if v, err := f.m.Gate(); v != want || err != nil {
			t.Fatal(v, err)
		}
	}
	f.refused(rookery.KindConflict, "no node", &command.FinalizeVersion{Version: 1})
	f.must(&command.RegisterNode{Node: "a", Version: 3}, &command.RegisterNode{Node: "b", Name: "bee", Version: 2},
		&command.RegisterNode{Node: "c"},
		&command.SetNodeState{Node: "c", State: command.NodeRemoved}, &command.SetNodeState{Node: "b", State: command.NodeDraining})
	gate(0)
	f.refused(rookery.KindConflict, "bee (version 2)", &command.FinalizeVersion{Version: 3})
	f.must(&command.FinalizeVersion{Version: 2}, &command.FinalizeVersion{Version: 2})
	gate(2)
	f.refused(rookery.KindConflict, "does not go back", &command.FinalizeVersion{Version: 1})
	f.refused(rookery.KindDenied, "upgrade its binary", &command.RegisterNode{Node: "a", Version: 1})
	f.must(&command.Invite{ID: "i", Hash: hash, Expires: 1000})
	late := &command.Admit{ID: "i", Hash: hash, Node: "d", Key: hash, Version: 1}
	f.refused(rookery.KindDenied, "up to 1 and the cluster uses version 2", late)
	late.Version = 2
	f.must(late) // the refusal did not use the token up
	for i := range 8 {
		f.must(&command.RegisterNode{Node: rookery.NodeID(fmt.Sprint(i)), Version: 2})
	}
	f.refused(rookery.KindConflict, "and 6 more", &command.FinalizeVersion{Version: 9})
}

func TestOnlyRemovedNodesAreForgotten(t *testing.T) {
	f := open(t)
	f.must(&command.RegisterNode{Node: "a", Version: 3}, &command.RegisterNode{Node: "b", Version: 3})
	f.refused(rookery.KindConflict, "was not removed", &command.ForgetMember{Node: "a"})
	f.refused(rookery.KindConflict, "was not removed", &command.ForgetMember{Node: "nobody"})
	f.must(&command.SetNodeState{Node: "a", State: command.NodeRemoved})
	for _, id := range []rookery.NodeID{"a", "b"} {
		if is, err := f.m.Forgot(id); is || err != nil {
			t.Error(id, is, err)
		}
	}
	f.must(&command.ForgetMember{Node: "a"}, &command.ForgetMember{Node: "a"})
	if is, err := f.m.Forgot("a"); !is || err != nil {
		t.Error(is, err)
	}
	if n, err := f.m.Node("a"); err != nil || n.Member() {
		t.Error("its record is to stay:", n, err)
	}
}
