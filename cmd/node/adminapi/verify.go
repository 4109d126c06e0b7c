package adminapi

import (
	"context"
	"encoding/json"
	"time"

	"rookery"
)

// VerifyOrder asks for the archive to be read back.
type VerifyOrder struct {
	// Depth is metadata (the default), sample or all.
	Depth string `json:"depth,omitempty"`
	// Sample is how many messages of each group are read at that depth, 0 is 200.
	Sample int `json:"sample,omitempty"`
	// Account is an address or the id of the only account whose messages are read.
	Account string `json:"account,omitempty"`
}

// VerifyEvent is one of a verification. Exactly one field is set; Result comes last.
type VerifyEvent struct {
	Progress *VerifyProgress `json:"progress,omitempty"`
	Finding  *VerifyFinding  `json:"finding,omitempty"`
	Result   *VerifyResult   `json:"result,omitempty"`
}

// VerifyProgress is how far it is: of the objects of the archive, or where Messages says
// so of a group's sample of messages (with depth all Of is 0: nobody knows how many).
type VerifyProgress struct {
	Group    rookery.GroupID `json:"group"`
	Messages bool            `json:"messages,omitempty"`
	Done     int             `json:"done"`
	Of       int             `json:"of"`
}

// VerifyFinding is one thing that is wrong.
type VerifyFinding struct {
	// Group is 0 for what concerns all.
	Group rookery.GroupID `json:"group,omitempty"`
	// Key is the object's name, or how those begin that are missing.
	Key string `json:"key"`
	// Fault is missing, damaged, differs, foreign, unkept or gap.
	Fault  string `json:"fault"`
	Detail string `json:"detail"`
	// Lost says that times cannot be brought back because of it: from behind From (null:
	// from the beginning) to before To (null: to the next image).
	Lost bool       `json:"lost"`
	From *time.Time `json:"lost_from,omitempty"`
	To   *time.Time `json:"lost_to,omitempty"`
	// Account and Email are those of the message whose body it is, as of At.
	Account string     `json:"account,omitempty"`
	Email   string     `json:"email_id,omitempty"`
	At      *time.Time `json:"at,omitempty"`
	// Mend is what to do.
	Mend string `json:"mend"`
}

// VerifyResult sums a verification up.
type VerifyResult struct {
	Images   int   `json:"images"`
	Segments int   `json:"segments"`
	Bytes    int64 `json:"bytes"`
	Packs    int   `json:"packs"`
	Messages int   `json:"messages"`
	// Unchecked counts what did not answer, or whose key the node could not open.
	Unchecked int `json:"unchecked"`
	// Findings counts what is wrong, without Gaps, which the archive knows of.
	Findings int `json:"findings"`
	Gaps     int `json:"gaps"`
}

// VerifyBackup has the node read the archive back and hands on what it tells. Without an
// error it got to the end, and the last event was a Result.
func (c *Client) VerifyBackup(ctx context.Context, o VerifyOrder, fn func(VerifyEvent) error) error {
	return c.callStream(ctx, "/v1/backup/verify", o, func(b json.RawMessage) error {
		var e VerifyEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}
