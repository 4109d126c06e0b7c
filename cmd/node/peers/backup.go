package peers

import "rookery"

// ArchiveOrder asks a node for its part of the archive.
type ArchiveOrder struct {
	// Tell only asks how far it is.
	Tell bool `cbor:"1,keyasint,omitempty"`
}

// ArchivePosition is how far one group's archive is, on the node that leads it. Times
// are group time in unix nanoseconds, Lag is nanoseconds.
type ArchivePosition struct {
	Group    rookery.GroupID  `cbor:"1,keyasint"`
	Upto     rookery.LogIndex `cbor:"2,keyasint,omitempty"`
	Time     int64            `cbor:"3,keyasint,omitempty"`
	Pending  uint64           `cbor:"4,keyasint,omitempty"`
	Lag      int64            `cbor:"5,keyasint,omitempty"`
	Image    int64            `cbor:"6,keyasint,omitempty"`
	GapFrom  int64            `cbor:"7,keyasint,omitempty"`
	GapTo    int64            `cbor:"8,keyasint,omitempty"`
	GapWhy   string           `cbor:"9,keyasint,omitempty"`
	Segments uint64           `cbor:"10,keyasint,omitempty"`
	Bytes    int64            `cbor:"11,keyasint,omitempty"`
	Error    string           `cbor:"12,keyasint,omitempty"`
	Complete int64            `cbor:"13,keyasint,omitempty"`
}
