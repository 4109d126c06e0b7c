package node

import (
	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// record is a pack's as it is now.
func (b *bodies) record(group rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
	m := b.node.groups.Machine(group)
	if m == nil {
		return mailbox.Pack{}, replicas.NotHere(group)
	}
	return m.Pack(id)
}
