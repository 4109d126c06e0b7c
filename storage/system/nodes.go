package system

import (
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var nodePart = part{
	Tables: []tables.Table{
		{ID: tableNode, Name: "node",
			Owner: tables.OfCluster, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Never, Erased: tables.Kept,
			Key: tables.Size{Min: 1, Max: 64}, Check: nodeRows.Check},
	},
	Handlers: handlers{
		tables.On((*work).registerNode),
		tables.On((*work).setNodeState),
		tables.On((*work).forgetMember),
	},
}

var nodeRows = tables.Records[Node]{Table: tableNode, What: "node registry", Named: func(x *Node, k []byte) error {
	x.ID = rookery.NodeID(k)
	return nil
}}

// Node is a node of the registry.
type Node struct {
	ID   rookery.NodeID `cbor:"-"`
	Name string         `cbor:"1,keyasint,omitempty"`
	// Address is the host:port of the port for other nodes.
	Address string `cbor:"2,keyasint,omitempty"`
	// Version is the highest command version the node reads.
	Version uint32 `cbor:"3,keyasint,omitempty"`
	Zone    string `cbor:"4,keyasint,omitempty"`
	// Registered and Updated are unix nanoseconds of group time.
	Registered int64 `cbor:"5,keyasint,omitempty"`
	Updated    int64 `cbor:"6,keyasint,omitempty"`
	// State is what the cluster makes of the node, Since when it began, in
	// unix nanoseconds of group time.
	State command.NodeState `cbor:"7,keyasint,omitempty"`
	Since int64             `cbor:"8,keyasint,omitempty"`
	// Key is the hash of the node's public key, by which alone the others accept
	// it; all zero if it never said.
	Key [32]byte `cbor:"9,keyasint"`
}

// Member reports whether the node belongs to the cluster: it is not removed.
func (n Node) Member() bool { return n.State != command.NodeRemoved }

// Nodes lists all nodes there ever were in the order of their ids, removed
// ones (see Member) included.
func (m *Machine) Nodes() (nodes []Node, err error) { return list(m, nodeRows) }

// Node is one node, removed or not. The error is KindNotFound.
func (m *Machine) Node(id rookery.NodeID) (n Node, err error) {
	err = m.read(func(r state.Reader) error {
		var found bool
		n, found, err = nodeRows.Find(r, nodeKey(id))
		if err == nil && !found {
			err = rookery.E("find node", rookery.KindNotFound, fmt.Errorf("node %.64q is not registered", id))
		}
		return err
	})
	return n, err
}

func (w *work) registerNode(c *command.RegisterNode) (command.Result, error) {
	if c.Remove {
		return w.setNodeState(&command.SetNodeState{Node: c.Node, State: command.NodeRemoved})
	}
	n, err := w.writeNode(Node{ID: c.Node, Name: c.Name, Address: c.Address, Version: c.Version, Zone: c.Zone, Key: c.Key})
	if err != nil {
		return nil, err
	}
	nodeRows.Put(&w.Change, nodeKey(c.Node), &n)
	w.changed()
	return &command.Done{}, nil
}

// writeNode is the record that facts lead to, where they may be written.
func (w *work) writeNode(facts Node) (Node, error) {
	if size := len(facts.ID); size == 0 || size > 64 || len(facts.Name) > 255 || len(facts.Address) > 255 || len(facts.Zone) > 255 {
		return Node{}, refuse(rookery.KindInvalid, "a node id has 1 to 64 bytes, its facts at most 255 each")
	}
	n, found := nodeRows.Get(&w.Change, nodeKey(facts.ID))
	switch {
	case found && !n.Member():
		return n, refuse(rookery.KindDenied, "node %s was removed from the cluster and cannot come back; start it with an empty data "+
			"directory and join again", facts.ID)
	case facts.Version < w.gate():
		return n, refuse(rookery.KindDenied, "the node reads command versions up to %d and the cluster uses version %d; upgrade its "+
			"binary first", facts.Version, w.gate())
	case !found && w.members() >= MaxNodes:
		return n, refuse(rookery.KindLimit, "%d nodes are registered, at most that many; remove dead ones", MaxNodes)
	case !found:
		n.Registered, n.Since = w.Time(), w.Time()
	}
	if facts.Key == ([32]byte{}) {
		facts.Key = n.Key
	}
	if found && n.Key != ([32]byte{}) && facts.Key != n.Key && w.members() > 1 {
		return n, refuse(rookery.KindExists, "node %s is registered with another public key: bring its identity directory back, or "+
			"remove the node and join with an empty data directory", facts.ID)
	}
	facts.Registered, facts.Since, facts.State, facts.Updated = n.Registered, n.Since, n.State, w.Time()
	return facts, nil
}

// setNodeState is idempotent, and changes nothing where it is repeated.
func (w *work) setNodeState(c *command.SetNodeState) (command.Result, error) {
	n, found := nodeRows.Get(&w.Change, nodeKey(c.Node))
	switch {
	case c.State > command.NodeRemoved:
		return nil, refuse(rookery.KindInvalid, "node state %d is unknown to this version", c.State)
	case !found:
		return nil, refuse(rookery.KindNotFound, "node %.64q is not registered", c.Node)
	case n.State == c.State:
		return &command.Done{}, nil
	case !n.Member():
		return nil, refuse(rookery.KindDenied, "node %s was removed from the cluster, which is final", c.Node)
	case c.State == command.NodeRemoved:
		if err := w.removable(c.Node); err != nil {
			return nil, err
		}
	}
	n.State, n.Since = c.State, w.Time()
	nodeRows.Put(&w.Change, nodeKey(c.Node), &n)
	if c.State == command.NodeRemoved {
		w.voidGroups(c.Node)
	}
	w.changed()
	return &command.Done{}, nil
}

// members counts the nodes that are not removed.
func (w *work) members() (count int) {
	for _, n := range nodeRows.All(&w.Change) {
		if n.Member() {
			count++
		}
	}
	return count
}

// forgetMember drops what the group keeps for a removed node but its record.
func (w *work) forgetMember(c *command.ForgetMember) (command.Result, error) {
	n, found := nodeRows.Get(&w.Change, nodeKey(c.Node))
	if !found || n.Member() {
		return nil, refuse(rookery.KindConflict, "node %.64q was not removed from the cluster", c.Node)
	}
	tables.Must(w.Forget(c.Node))
	return &command.Done{}, nil
}

// Forgot reports whether the group has forgotten a removed node.
func (m *Machine) Forgot(id rookery.NodeID) (bool, error) { return m.group.Forgotten(id) }

// MemberIDs are the ids of those nodes that are not removed.
func MemberIDs(nodes []Node) (ids []rookery.NodeID) {
	for _, x := range nodes {
		if x.Member() {
			ids = append(ids, x.ID)
		}
	}
	return ids
}
