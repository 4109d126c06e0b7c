package adminapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"rookery"
)

// GroupsBody asks for groups to add, and answers with them.
type GroupsBody struct {
	Count int          `json:"count,omitempty"`
	Added []AddedGroup `json:"added,omitempty"`
	// Error says why fewer were added than asked for.
	Error string       `json:"error,omitempty"`
	Kind  rookery.Kind `json:"kind,omitempty"`
}

// Invitation is a join token with where to use it.
type Invitation struct {
	Token     string        `json:"token"`
	Addresses []string      `json:"addresses"`
	Valid     time.Duration `json:"valid_ns"`
}

// Settings reads the settings document, its secrets hidden, and its version.
func (c *Client) Settings(ctx context.Context) ([]byte, uint64, error) {
	var body SettingsBody
	err := c.call(ctx, http.MethodGet, "/v1/settings", nil, &body)
	return []byte(body.Document), body.Version, err
}

// PutSettings replaces the settings if they are still at version; else
// KindConflict. A directory that is left out and has accounts is KindDenied
// unless it is named in orphan.
func (c *Client) PutSettings(ctx context.Context, doc []byte, version uint64, orphan ...string) error {
	return c.ReplaceSettings(ctx, SettingsBody{Document: string(doc), Version: version, Orphan: orphan})
}

// ReplaceSettings is PutSettings by its whole body. KindDenied too where a node
// that answers cannot use the settings, unless they are forced.
func (c *Client) ReplaceSettings(ctx context.Context, body SettingsBody) error {
	return c.call(ctx, http.MethodPut, "/v1/settings", body, &SettingsBody{})
}

// Mint makes a join token.
func (c *Client) Mint(ctx context.Context, valid time.Duration) (Invitation, error) {
	var i Invitation
	err := c.call(ctx, http.MethodPost, "/v1/token", Invitation{Valid: valid}, &i)
	return i, err
}

// SetNode changes a node, by its name or id: drain, undrain or remove.
func (c *Client) SetNode(ctx context.Context, name, change string) error {
	return c.call(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(name)+"/"+change, struct{}{}, &struct{}{})
}

// Finalize raises the version gate to what the asked node's binary reads.
func (c *Client) Finalize(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/finalize", struct{}{}, &struct{}{})
}

// MaxAddGroups bounds the groups added at once.
const MaxAddGroups = 64

// AddedGroup is a mail group that was added.
type AddedGroup struct {
	Group rookery.GroupID `json:"group"`
	// Founder is the name of the node that begins it.
	Founder string `json:"founder"`
	// Begun says that it has a leader and takes new accounts.
	Begun bool `json:"begun"`
}

// AddGroups adds mail groups. What was added comes back also beside an error.
func (c *Client) AddGroups(ctx context.Context, count int) ([]AddedGroup, error) {
	var out GroupsBody
	err := c.call(ctx, http.MethodPost, "/v1/groups", GroupsBody{Count: count}, &out)
	if err == nil && out.Error != "" {
		err = rookery.E("add groups", out.Kind, errors.New(out.Error))
	}
	return out.Added, err
}
