package adminapi

import (
	"context"
	"net/http"
	"time"
)

// The stages of a change of the cluster's CA, as what each node has to do.
const (
	AuthorityTrusting = "trust the new CA"
	AuthorityRenewing = "take a certificate by the new CA"
)

// AuthorityStatus is the version of the cluster's CA that issues certificates,
// and how far a change of it is.
type AuthorityStatus struct {
	Version uint32 `json:"version"`
	// Stage is what each node has to do now, empty where nothing changes; Next is
	// the version that the change is to, and Since when the stage began.
	Stage string    `json:"stage,omitempty"`
	Next  uint32    `json:"next,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Waits names the nodes that have not done it yet.
	Waits []string `json:"waits_for"`
}

// AuthorityBody asks for a change of the CA.
type AuthorityBody struct {
	// Force begins it though a node is away.
	Force bool `json:"force,omitempty"`
}

// Authority reads how far a change of the CA is.
func (c *Client) Authority(ctx context.Context) (a AuthorityStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/ca", nil, &a)
	return a, err
}

// RotateAuthority begins a change of the CA, or says how far the one is that is
// under way.
func (c *Client) RotateAuthority(ctx context.Context, force bool) (a AuthorityStatus, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/ca/rotate", AuthorityBody{Force: force}, &a)
	return a, err
}
