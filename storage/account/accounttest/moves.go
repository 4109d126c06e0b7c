package accounttest

import (
	"context"
	"testing"

	"rookery"
	"rookery/storage/accountmove"
	"rookery/storage/command"
)

// Begin says that every mail group has begun, on a node of its own.
func (n *Node) Begin(t testing.TB) {
	t.Helper()
	cs := []command.Command{&command.RegisterNode{Node: "test", Name: "test", Address: "h:1", Version: command.Version}}
	for _, g := range n.Groups {
		cs = append(cs, &command.CreateGroup{Group: g, Members: []rookery.NodeID{"test"}},
			&command.ConfirmGroup{Group: g, Version: 1, Voters: []rookery.NodeID{"test"}})
	}
	for _, c := range cs {
		if err := n.Propose(t.Context(), rookery.SystemGroup, c); err != nil {
			t.Fatal(err)
		}
	}
}

// Move moves an account to a group, which it is not in.
func (n *Node) Move(ctx context.Context, id rookery.AccountID, to rookery.GroupID) error {
	if err := n.Propose(ctx, rookery.SystemGroup, &command.BeginMove{Account: id, To: to}); err != nil {
		return err
	}
	return n.Resume(ctx, id)
}

// Resume goes on with a move that failed on the way.
func (n *Node) Resume(ctx context.Context, id rookery.AccountID) error {
	x, err := n.System.Move(id)
	if err != nil {
		return err
	}
	return n.mover().Run(ctx, x)
}

func (n *Node) mover() *accountmove.Mover {
	return accountmove.New(accountmove.Options{Log: n, Machine: n.Machine, System: n.System, ReadBody: n.Bodies.ReadAt,
		Node: "mover", Epoch: 1})
}
