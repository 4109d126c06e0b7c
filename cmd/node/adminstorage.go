package node

import (
	"context"
	"encoding/json"
)

// CheckStorage has the node check packs and hands on what it tells.
func (c *AdminClient) CheckStorage(ctx context.Context, o CheckOrder, fn func(CheckEvent) error) error {
	return c.callStream(ctx, "/v1/storage/check", o, func(b json.RawMessage) error {
		var e CheckEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}

// RebuildIndex has the node find every body by the packs alone.
func (c *AdminClient) RebuildIndex(ctx context.Context, o RebuildOrder, fn func(RebuildEvent) error) error {
	return c.callStream(ctx, "/v1/storage/rebuild-index", o, func(b json.RawMessage) error {
		var e RebuildEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		return fn(e)
	})
}
