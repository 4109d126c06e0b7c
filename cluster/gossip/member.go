package gossip

import (
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Member is one node as gossip knows it.
type Member struct {
	Node rookery.NodeID
	// Name is for people; Address is the mTLS port, host:port; Zone is where
	// the node stands; Version is its binary's. At most 64 bytes each, the
	// address 192.
	Name, Address, Zone, Version string

	// The rest is not said by the node itself.

	// Suspect is that it has not answered for a while.
	Suspect bool
	// Heard is when it last answered, by this node's clock.
	Heard time.Time
	// Mute is that it answers Options.Ask and no packet: these are blocked.
	Mute bool
}

// EventKind is what happened to a member.
type EventKind uint8

// The kinds of event.
const (
	Joined    EventKind = iota + 1 // a member is new, or back
	Updated                        // it says something else about itself
	Suspect                        // it does not answer
	Recovered                      // it answers again
	Left                           // it said that it goes
	Failed                         // it is gone without a word
)

func (k EventKind) String() string {
	names := [...]string{"none", "joined", "updated", "suspect", "recovered", "left", "failed"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("event %d", uint8(k))
}

// Event is something that happened to a member, as it was then.
type Event struct {
	Kind   EventKind
	Member Member
}

// maxMeta is what memberlist carries for a node.
const maxMeta = 512

// meta is what a node says about itself.
type meta struct {
	Name    string `cbor:"1,keyasint,omitempty"`
	Address string `cbor:"2,keyasint"`
	Zone    string `cbor:"3,keyasint,omitempty"`
	Version string `cbor:"4,keyasint,omitempty"`
	Leaving bool   `cbor:"5,keyasint,omitempty"`
}

func (m *Member) encode(leaving bool) ([]byte, error) {
	if len(m.Name) > 64 || len(m.Zone) > 64 || len(m.Version) > 64 || len(m.Address) > 192 {
		return nil, fmt.Errorf("the name, zone or version of node %s is over 64 bytes, or its address over 192", m.Node)
	}
	return cbor.Marshal(meta{m.Name, m.Address, m.Zone, m.Version, leaving})
}

func decodeMeta(node string, b []byte) (m Member, leaving bool, err error) {
	var d meta
	if len(b) > maxMeta {
		return m, false, fmt.Errorf("%d bytes about a node are more than %d", len(b), maxMeta)
	}
	if err := cbor.Unmarshal(b, &d); err != nil {
		return m, false, err
	}
	return Member{Node: rookery.NodeID(node), Name: d.Name, Address: d.Address, Zone: d.Zone, Version: d.Version}, d.Leaving, nil
}
