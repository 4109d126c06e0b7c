package objects

import (
	"context"
	"encoding/hex"
	"log/slog"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/storage/pack/check"
)

// Indexed is what was found of a pack, for operators.
func Indexed(r check.Rebuilt) *adminapi.IndexedPack {
	x := &adminapi.IndexedPack{
		Group: r.Group, Pack: r.ID, Size: r.Size, Salvaged: r.Salvaged, Bodies: make([]adminapi.IndexedBody, len(r.Entries)),
	}
	if r.Err != nil {
		x.Error = r.Err.Error()
	}
	for i, e := range r.Entries {
		x.Bodies[i] = adminapi.IndexedBody{Body: e.Body, Off: e.Off, Len: e.Len, SHA256: hex.EncodeToString(e.SHA256[:]), Layout: e.Layout}
	}
	return x
}

// RebuildIndex finds every body in a store that no node needs to serve: the
// road back after a disaster.
func RebuildIndex(ctx context.Context, set *settings.Store, data string, logger *slog.Logger, fn func(*adminapi.IndexedPack) error) error {
	s, err := OpenStore(set, data, logger)
	if err != nil {
		return err
	}
	defer Close(s)
	return check.Rebuild(ctx, s, func(r check.Rebuilt) error { return fn(Indexed(r)) })
}
