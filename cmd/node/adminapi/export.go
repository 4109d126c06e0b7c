package adminapi

import (
	"context"
	"encoding/json"
	"time"
)

// ExportOrder asks for the messages that an account had.
type ExportOrder struct {
	// Account is an address or the id of an account.
	Account string `json:"account"`
	// At is the time that it is to be as of.
	At time.Time `json:"at"`
	// Folder is the only mailbox, with those below it, by its name then; empty is all.
	Folder string `json:"folder,omitempty"`
	// Reason is why somebody reads them; the audit keeps it.
	Reason string `json:"reason"`
}

// ExportEvent is one of an export: first Begin, then for each message Message, its
// bytes in Parts, and Unread behind them where they are not all there. Exactly one
// field is set.
type ExportEvent struct {
	Begin   *ExportBegin     `json:"begin,omitempty"`
	Message *ExportedMessage `json:"message,omitempty"`
	Part    []byte           `json:"part,omitempty"`
	Unread  *UnreadMessage   `json:"unread,omitempty"`
}

// ExportBegin is how much there is.
type ExportBegin struct {
	At        time.Time `json:"at"`
	Mailboxes int       `json:"mailboxes"`
	Messages  int       `json:"messages"`
	Bytes     int64     `json:"bytes"`
}

// ExportedMessage is a message in one mailbox.
type ExportedMessage struct {
	Mailbox string `json:"mailbox"`
	UID     uint32 `json:"uid"`
	Email   string `json:"email_id"`
	// Flags are system flags like \Seen.
	Flags    []string `json:"flags,omitempty"`
	Keywords []string `json:"keywords,omitempty"`
	// Date is INTERNALDATE.
	Date time.Time `json:"internal_date"`
	// Size is that of the message: so many bytes follow, or Unread.
	Size int64 `json:"size"`
}

// UnreadMessage is a message that could not be read: what came of it counts for
// nothing.
type UnreadMessage struct {
	Mailbox string `json:"mailbox"`
	UID     uint32 `json:"uid"`
	Email   string `json:"email_id"`
	// Error is why, in plain words.
	Error string `json:"error"`
}

// ExportMail hands on the messages that an account had, as events. Without an error
// they were all told of. KindInvalid: no reason is given, or the time or the folder
// cannot be one; KindNotFound: there is no such account or folder, or the time cannot
// be brought back; KindUnavailable: the stream was cut off, or a store does not answer.
func (c *Client) ExportMail(ctx context.Context, o ExportOrder, fn func(ExportEvent) error) error {
	return c.callStream(ctx, "/v1/backup/export", o, func(b json.RawMessage) error {
		var e ExportEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}
