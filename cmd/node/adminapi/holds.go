package adminapi

import (
	"context"
	"net/http"
	"time"

	"rookery"
)

// HoldStatus is something that keeps stored bytes, as operators see it.
type HoldStatus struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// From and To are the interval; To is null without an end.
	From   time.Time  `json:"from"`
	To     *time.Time `json:"to"`
	Reason string     `json:"reason"`
	Placed time.Time  `json:"placed"`
	// Groups have it, Missing are still to get it: they delete nothing until
	// then. For what is not an operator's hold Missing is empty.
	Groups  []rookery.GroupID `json:"groups"`
	Missing []rookery.GroupID `json:"missing"`
}

// HoldList is every hold, restore point and pin, and the groups that could not
// be asked.
type HoldList struct {
	Holds   []HoldStatus      `json:"holds"`
	Unasked []rookery.GroupID `json:"groups_not_asked"`
}

// HoldOrder places an operator's hold.
type HoldOrder struct {
	Name   string    `json:"name"`
	Reason string    `json:"reason"`
	From   time.Time `json:"from"`         // zero is from now on
	To     time.Time `json:"to,omitempty"` // zero is without an end
}

// HoldAnswer says where a hold was placed or lifted at once; the other groups
// follow.
type HoldAnswer struct {
	Groups  []rookery.GroupID `json:"groups"`
	Pending []rookery.GroupID `json:"pending"`
}

// Holds lists what keeps stored bytes.
func (c *Client) Holds(ctx context.Context) (l HoldList, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/storage/holds", nil, &l)
	return l, err
}

// PlaceHold keeps stored bytes of a time.
func (c *Client) PlaceHold(ctx context.Context, o HoldOrder) (a HoldAnswer, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/storage/hold", o, &a)
	return a, err
}

// ReleaseHold takes a hold back.
func (c *Client) ReleaseHold(ctx context.Context, name string) (a HoldAnswer, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/storage/release", HoldOrder{Name: name}, &a)
	return a, err
}
