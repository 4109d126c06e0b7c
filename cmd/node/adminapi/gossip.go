package adminapi

import (
	"context"
	"fmt"
	"net/http"
)

// Rotation is the version of the ring at which a change of the key is done.
type Rotation struct {
	Settled uint64 `json:"settled"`
}

// GossipStatus is how far the key of gossip is.
type GossipStatus struct {
	// Version is that of the ring, 0 for a cluster that never changed its key.
	Version uint64 `json:"version"`
	// Stage is settled, installing or using.
	Stage string `json:"stage"`
	// Waits names the nodes that live and have not taken it.
	Waits []string `json:"waits_for"`
}

// RotateGossip begins to change the gossip key, and gives the version of the
// ring at which that is done.
func (c *Client) RotateGossip(ctx context.Context) (settled uint64, err error) {
	var out Rotation
	if err := c.call(ctx, http.MethodPost, "/v1/gossip", struct{}{}, &out); err != nil {
		return 0, fmt.Errorf("rotate the gossip key: %w", err)
	}
	return out.Settled, nil
}
