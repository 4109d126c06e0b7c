package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditedCall is one call of an administrator that changed something, or tried
// to.
type AuditedCall struct {
	// Call numbers the calls of the cluster.
	Call uint64 `json:"call"`
	// Time is when it was called, by the clock of the system group.
	Time time.Time `json:"time"`
	// User is the Unix user who called, on the node of this name.
	User string `json:"user"`
	Node string `json:"node"`
	Verb string `json:"verb"`
	// Args are what it was given, without secrets.
	Args string `json:"args,omitempty"`
	// Outcome is "done", or "failed: " and why; empty where it is not known: the
	// call is under way, or its node went away. Ended is when it was recorded.
	Outcome string     `json:"outcome"`
	Ended   *time.Time `json:"ended,omitempty"`
}

// AuditPage is a part of the list of audited calls.
type AuditPage struct {
	Calls []AuditedCall `json:"calls"`
	// Next is the call to go on after, 0 at the end.
	Next uint64 `json:"next,omitempty"`
}

// AuditQuery says which calls are meant; what is empty or zero does not limit.
type AuditQuery struct {
	Since time.Time
	// Who is a user's name, Verb a verb as AuditedCall has it.
	Who, Verb string
}

// Audit hands the audited calls to fn, oldest first.
func (c *Client) Audit(ctx context.Context, q AuditQuery, fn func(AuditedCall) error) error {
	v := url.Values{"who": {q.Who}, "verb": {q.Verb}, "after": {"0"}, "since": {"0"}}
	if !q.Since.IsZero() {
		v.Set("since", strconv.FormatInt(q.Since.UnixNano(), 10))
	}
	for {
		var page AuditPage
		if err := c.call(ctx, http.MethodGet, "/v1/audit?"+v.Encode(), nil, &page); err != nil {
			return err
		}
		for _, x := range page.Calls {
			if err := fn(x); err != nil {
				return err
			}
		}
		if page.Next == 0 {
			return nil
		}
		v.Set("after", strconv.FormatUint(page.Next, 10))
	}
}
