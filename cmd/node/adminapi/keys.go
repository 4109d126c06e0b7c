package adminapi

import (
	"context"
	"net/http"
	"time"

	"rookery"
)

// KeysBody names keys and accounts, in requests and answers.
type KeysBody struct {
	Accounts []string `json:"accounts,omitempty"`
	Versions []uint32 `json:"versions,omitempty"`
}

// KeyStatus is what is known of the keys and the erasures, never a key.
type KeyStatus struct {
	InUse    uint32          `json:"in_use"`
	Versions []KeyVersion    `json:"versions"`
	Nodes    []KeyNode       `json:"nodes"`
	Erasures []ErasureStatus `json:"erasures"`
	// Progress says how far the erasures are, or what holds them up.
	Progress string   `json:"progress"`
	Problems []string `json:"problems"`
}

// KeyVersion is one version of the tenant key.
type KeyVersion struct {
	Version uint32 `json:"version"`
	// State is in use, old or destroyed.
	State       string     `json:"state"`
	Fingerprint string     `json:"fingerprint,omitempty"`
	Since       *time.Time `json:"since,omitempty"`
	Destroyed   *time.Time `json:"destroyed,omitempty"`
	// Accounts are those whose keys it wraps.
	Accounts int `json:"accounts"`
	// Days are the days whose keys it wraps, in all groups.
	Days int `json:"days"`
}

// KeyNode is what a node holds.
type KeyNode struct {
	Name   string   `json:"name"`
	Source string   `json:"source"`
	InUse  uint32   `json:"in_use"`
	Held   []uint32 `json:"held"`
	// Sealed is the oldest version that its CA key and settings key are sealed
	// under; 0 where one lies in the clear.
	Sealed uint32 `json:"sealed_under"`
	Error  string `json:"error,omitempty"`
}

// ErasureStatus is an account that is being erased.
type ErasureStatus struct {
	Account rookery.AccountID `json:"-"`
	ID      string            `json:"account"`
	Since   time.Time         `json:"since"`
	// Barred is that its group holds nothing of it any more.
	Barred bool `json:"barred"`
}

// RotatedKey is a tenant key version that came into use.
type RotatedKey struct {
	Version uint32 `json:"version"`
	// Without are the nodes that are down and fetch the key when they are back.
	Without []string `json:"without"`
}

// Keys reads the state of the keys and the erasures.
func (c *Client) Keys(ctx context.Context) (s KeyStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/keys", nil, &s)
	return s, err
}

// RotateKey brings a new tenant key into use.
func (c *Client) RotateKey(ctx context.Context) (r RotatedKey, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/keys/rotate", KeysBody{}, &r)
	return r, err
}

// DestroyKeys destroys versions of the tenant key, all old ones where none is
// named, and gives those that were destroyed.
func (c *Client) DestroyKeys(ctx context.Context, versions ...uint32) ([]uint32, error) {
	var out KeysBody
	err := c.call(ctx, http.MethodPost, "/v1/keys/destroy", KeysBody{Versions: versions}, &out)
	return out.Versions, err
}

// Erase begins the erasure of accounts, named by id or address, and gives their
// ids; Keys tells when they are gone.
func (c *Client) Erase(ctx context.Context, who []string) ([]string, error) {
	var out KeysBody
	err := c.call(ctx, http.MethodPost, "/v1/accounts/erase", KeysBody{Accounts: who}, &out)
	return out.Accounts, err
}
