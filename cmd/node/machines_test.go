package node

import (
	"rookery"
	"rookery/storage/mailbox"
)

// machines are those of the mail groups that run here.
func (n *Node) machines() map[rookery.GroupID]*mailbox.Machine {
	all := map[rookery.GroupID]*mailbox.Machine{}
	for _, id := range n.groups.Here() {
		all[id] = n.groups.Machine(id)
	}
	return all
}
