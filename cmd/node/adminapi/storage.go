package adminapi

import (
	"context"
	"encoding/json"
	"errors"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/pack"
	"rookery/storage/pack/check"
)

// CheckOrder asks for a check of the packs in the object store.
type CheckOrder struct {
	// Sample is the share of the packs to read, over 0 and up to 1; at 1 every
	// body's record is looked at too.
	Sample float64 `json:"sample"`
	// Rate bounds the reading, in bytes a second; 0 means 32 MiB.
	Rate int64 `json:"rate,omitempty"`
	// From and After go on behind a pack of a group; 0 and "" begin at the
	// first.
	From  rookery.GroupID `json:"from,omitempty"`
	After command.PackID  `json:"after,omitempty"`
	// Repair packs damaged bodies anew where a good copy of them is left.
	Repair bool `json:"repair,omitempty"`
}

// Validate reports an order out of its bounds as KindInvalid.
func (o *CheckOrder) Validate() error {
	if !(o.Sample > 0 && o.Sample <= 1) || o.Rate < 0 || len(o.After) > command.MaxPackID {
		return rookery.E("check packs", rookery.KindInvalid, errors.New("a sample is over 0 and at most 1, a rate is not negative"))
	}
	return nil
}

// CheckEvent is what a check tells while it runs; one of its fields is set.
type CheckEvent struct {
	Progress *CheckProgress `json:"progress,omitempty"`
	Finding  *check.Finding `json:"finding,omitempty"`
	Affected *AffectedMail  `json:"affected,omitempty"`
	Mended   *MendedBody    `json:"mended,omitempty"`
}

// CheckProgress is how far a check is. Groups before Group are done: Index of
// Groups.
type CheckProgress struct {
	Group  rookery.GroupID `json:"group"`
	Index  int             `json:"index"`
	Groups int             `json:"groups"`
	Done   bool            `json:"done"` // with this group
	check.Progress
}

// AffectedMail is a message whose body is damaged in the object store.
type AffectedMail struct {
	Group   rookery.GroupID `json:"group"`
	Body    command.BodyID  `json:"body"`
	Account string          `json:"account"`
	Email   string          `json:"email"`
	// Mailbox and UID are where it is filed; "" and 0: among the recoverable
	// messages only.
	Mailbox string      `json:"mailbox"`
	UID     rookery.UID `json:"uid"`
	// Copy is where a good copy is left, "" where none was found.
	Copy string `json:"copy"`
}

// MendedBody is a body that was packed anew.
type MendedBody struct {
	Group rookery.GroupID `json:"group"`
	Body  command.BodyID  `json:"body"`
	From  string          `json:"from"`
}

// RebuildOrder asks for the index of all packs.
type RebuildOrder struct {
	// Repair packs bodies anew that are not where the state says and were
	// found elsewhere.
	Repair bool `json:"repair,omitempty"`
}

// IndexedPack is a pack of the rebuilt index.
type IndexedPack struct {
	Group rookery.GroupID `json:"group"`
	Pack  command.PackID  `json:"pack"`
	Size  int64           `json:"size"`
	// Salvaged says that its own index was damaged and the bodies were found
	// by reading the whole object; Error is why nothing could be read.
	Salvaged bool          `json:"salvaged,omitempty"`
	Error    string        `json:"error,omitempty"`
	Bodies   []IndexedBody `json:"bodies"`
}

// IndexedBody is a body of a pack: Off and Len are bytes in the object, Layout
// is how it is encoded (base64).
type IndexedBody struct {
	Body   command.BodyID `json:"body"`
	Off    int64          `json:"off"`
	Len    int64          `json:"len"`
	SHA256 string         `json:"sha256"`
	Layout []byte         `json:"layout"`
}

// RebuildEvent is what a rebuild tells while it runs; one of its fields is set.
type RebuildEvent struct {
	CheckEvent
	Pack *IndexedPack `json:"pack,omitempty"`
	// Compared is a group whose state was compared with what was found,
	// NotHere one that has no replica on the node asked.
	Compared *ComparedGroup  `json:"compared,omitempty"`
	NotHere  rookery.GroupID `json:"not_here,omitempty"`
}

// ComparedGroup is what comparing a group's state with the packs gave.
type ComparedGroup struct {
	Group rookery.GroupID `json:"group"`
	// Sought bodies are not where the state says, of them Found in some pack.
	Sought int `json:"sought"`
	Found  int `json:"found"`
}

// SweepOrder asks for an orphan sweep.
type SweepOrder struct {
	// Delete acts; without it the sweep only looks.
	Delete bool `json:"delete"`
}

// SweepEvent is what a sweep tells while it runs; one of its fields is set.
type SweepEvent struct {
	Progress *pack.Swept  `json:"progress,omitempty"`
	Orphan   *pack.Orphan `json:"orphan,omitempty"`
}

// CheckStorage has the node check packs and hands on what it tells.
func (c *Client) CheckStorage(ctx context.Context, o CheckOrder, fn func(CheckEvent) error) error {
	return c.callStream(ctx, "/v1/storage/check", o, func(b json.RawMessage) error {
		var e CheckEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}

// RebuildIndex has the node find every body by the packs alone.
func (c *Client) RebuildIndex(ctx context.Context, o RebuildOrder, fn func(RebuildEvent) error) error {
	return c.callStream(ctx, "/v1/storage/rebuild-index", o, func(b json.RawMessage) error {
		var e RebuildEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}

// SweepStorage has the node look for orphans and hands on what it tells.
func (c *Client) SweepStorage(ctx context.Context, o SweepOrder, fn func(SweepEvent) error) error {
	return c.callStream(ctx, "/v1/storage/sweep", o, func(b json.RawMessage) error {
		var e SweepEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}
