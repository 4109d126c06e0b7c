package system

import (
	"crypto/subtle"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var admissionPart = part{
	Tables: []tables.Table{
		{ID: tableInvited, Name: "invitation",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.NotArchived, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: 64}, Check: inviteRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).invite),
		tables.On((*work).revoke),
		tables.On((*work).admit),
	},
}

var inviteRows = tables.Records[Invitation]{Table: tableInvited, What: "invitation", Named: func(x *Invitation, k []byte) error {
	x.ID = string(k)
	return nil
}}

// Invitation lets one node into the cluster.
type Invitation struct {
	ID string `cbor:"-"`
	// Hash is of the token.
	Hash [32]byte `cbor:"1,keyasint"`
	// Created, Expires and Used are unix nanoseconds of group time; Used is
	// 0 until a node came in.
	Created int64 `cbor:"2,keyasint,omitempty"`
	Expires int64 `cbor:"3,keyasint,omitempty"`
	Used    int64 `cbor:"4,keyasint,omitempty"`
	// UsedBy and UsedKey are the node that came in and the hash of its key.
	UsedBy  rookery.NodeID `cbor:"5,keyasint,omitempty"`
	UsedKey [32]byte       `cbor:"6,keyasint"`
}

// Invitation is a kept invitation, which may have expired since. The error
// is KindNotFound.
func (m *Machine) Invitation(id string) (i Invitation, err error) {
	err = m.read(func(r state.Reader) error {
		var found bool
		i, found, err = inviteRows.Find(r, invitedKey(id))
		if err == nil && !found {
			err = rookery.E("find invitation", rookery.KindNotFound, fmt.Errorf("there is no invitation %.64q", id))
		}
		return err
	})
	return i, err
}

// Invitations lists what is kept in the order of ids; expired ones go with
// the next Invite.
func (m *Machine) Invitations() (is []Invitation, err error) { return list(m, inviteRows) }

func (w *work) invite(c *command.Invite) (command.Result, error) {
	switch {
	case len(c.ID) == 0 || len(c.ID) > 64 || c.Hash == [32]byte{}:
		return nil, refuse(rookery.KindInvalid, "an invitation has an id of 1 to 64 bytes and the hash of a token")
	case c.Expires <= w.Time():
		return nil, refuse(rookery.KindInvalid, "the invitation has expired already; check the clock and mint another token")
	}
	kept := inviteRows.All(&w.Change)
	count := 0
	for _, i := range kept {
		switch {
		case i.Expires <= w.Time():
			w.Delete(invitedKey(i.ID))
		case i.ID == c.ID && i.Hash == c.Hash:
			return &command.Done{}, nil
		case i.ID == c.ID:
			return nil, refuse(rookery.KindExists, "invitation %q exists with another token", c.ID)
		default:
			count++
		}
	}
	if count >= MaxInvitations {
		return nil, refuse(rookery.KindLimit, "%d invitations are open, at most that many; revoke some or wait until they expire", MaxInvitations)
	}
	inviteRows.Put(&w.Change, invitedKey(c.ID), &Invitation{Hash: c.Hash, Created: w.Time(), Expires: c.Expires})
	return &command.Done{}, nil
}

func (w *work) revoke(c *command.Revoke) (command.Result, error) {
	w.Delete(invitedKey(c.ID))
	return &command.Done{}, nil
}

// admit checks the token before anything else, so that one without it learns
// nothing of the cluster.
func (w *work) admit(c *command.Admit) (command.Result, error) {
	i, found := inviteRows.Get(&w.Change, invitedKey(c.ID))
	ok := subtle.ConstantTimeCompare(i.Hash[:], c.Hash[:]) == 1 && found && w.Time() < i.Expires
	if ok && i.UsedBy != "" {
		ok = i.UsedBy == c.Node && subtle.ConstantTimeCompare(i.UsedKey[:], c.Key[:]) == 1
	}
	if !ok {
		return nil, refuse(rookery.KindCredentials, "the token is wrong, used or expired; mint another one")
	}
	if c.Key == [32]byte{} {
		return nil, refuse(rookery.KindInvalid, "the node has no key")
	}
	old, known := nodeRows.Get(&w.Change, nodeKey(c.Node))
	if known && old.Member() && subtle.ConstantTimeCompare(old.Key[:], c.Key[:]) != 1 {
		return nil, refuse(rookery.KindExists, "node %s is in the cluster already; start it, or join with an empty data directory", c.Node)
	}
	n, err := w.writeNode(Node{ID: c.Node, Name: c.Name, Address: c.Address, Version: c.Version, Zone: c.Zone, Key: c.Key})
	if err != nil {
		return nil, err
	}
	if i.UsedBy == "" {
		i.UsedBy, i.UsedKey, i.Used = c.Node, c.Key, w.Time()
		inviteRows.Put(&w.Change, invitedKey(c.ID), &i)
	}
	nodeRows.Put(&w.Change, nodeKey(c.Node), &n)
	w.changed()
	return &command.Done{}, nil
}
