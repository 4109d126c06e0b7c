package mailbox

import "rookery"

// The cold records are CBOR: numbers of fields are only ever appended.

type expungedRecord struct {
	Mailbox  rookery.MailboxID `cbor:"1,keyasint"`
	Name     string            `cbor:"2,keyasint,omitempty"`
	Time     int64             `cbor:"3,keyasint"`
	Row      []byte            `cbor:"4,keyasint"` // a row without keywords
	Keywords []string          `cbor:"5,keyasint,omitempty"`
}

type grave struct {
	Name     string         `cbor:"1,keyasint,omitempty"`
	Time     int64          `cbor:"2,keyasint"`
	ModSeq   rookery.ModSeq `cbor:"3,keyasint,omitempty"`
	Keywords []string       `cbor:"4,keyasint,omitempty"`
}

type stage struct {
	Parts uint32           `cbor:"1,keyasint"`
	Bytes int64            `cbor:"2,keyasint"`
	First rookery.LogIndex `cbor:"3,keyasint"`
}

type nodeStages struct {
	Epoch  uint64 `cbor:"1,keyasint"`
	Stages uint32 `cbor:"2,keyasint,omitempty"`
	Bytes  int64  `cbor:"3,keyasint,omitempty"`
}
