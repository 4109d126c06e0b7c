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

// QueueText asks for what the message of a row has from an offset on.
type QueueText struct {
	Row  queue.Ref `cbor:"1,keyasint"`
	From int64     `cbor:"2,keyasint,omitempty"`
}

// QueuePart is a part of a message of Size bytes.
type QueuePart struct {
	Text []byte `cbor:"1,keyasint,omitempty"`
	Size int64  `cbor:"2,keyasint,omitempty"`
}

// QueueBounce names rows of a group's queue that an administrator sends back.
type QueueBounce struct {
	Rows   []queue.Ref `cbor:"1,keyasint,omitempty"`
	Reason string      `cbor:"2,keyasint"`
}
