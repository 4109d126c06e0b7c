package peers

import (
	"rookery/protocols/outbound"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// QueueQuery asks for entries of a group's queue behind an item.
type QueueQuery struct {
	After  command.ItemID  `cbor:"1,keyasint"`
	Filter outbound.Filter `cbor:"2,keyasint"`
}

// QueuePage are entries of a group's queue. Where there is more, it is behind
// Last.
type QueuePage struct {
	Entries []outbound.Entry `cbor:"1,keyasint,omitempty"`
	Last    command.ItemID   `cbor:"2,keyasint"`
	More    bool             `cbor:"3,keyasint,omitempty"`
}

// QueueBounce names rows of a group's queue that an administrator sends back.
type QueueBounce struct {
	Rows   []queue.Ref `cbor:"1,keyasint,omitempty"`
	Reason string      `cbor:"2,keyasint"`
}
