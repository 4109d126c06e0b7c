package pack

import (
	"context"
	"strconv"
	"strings"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// OrphanAge is how old an object must be before nobody can still be about to
// propose it: far more than the longest outage of a quorum a packer waits out
// with a pack in hand.
const OrphanAge = 7 * 24 * time.Hour

// Orphans lists the objects under the packs' prefix, written before a time,
// that no group knows: what crashed packers left. known says whether the group's
// state has the pack, dead and deleted ones included, and must be asked behind
// a read barrier; its error ends the listing, so that doubt deletes nothing.
// Objects that are not named as packs are not ours and are passed over. Nothing
// is deleted here.
func Orphans(ctx context.Context, s blob.Store, before time.Time, known func(rookery.GroupID, command.PackID) (bool, error),
	fn func(blob.Info) error) error {
	return s.List(ctx, "b/", func(i blob.Info) error {
		group, id, ok := parseKey(i.Key)
		if !ok || !i.Modified.Before(before) {
			return nil
		}
		if there, err := known(group, id); err != nil || there {
			return err
		}
		return fn(i)
	})
}

// parseKey is the inverse of Key.
func parseKey(key string) (rookery.GroupID, command.PackID, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(parts[2], 10, 32)
	name, ok := strings.CutSuffix(parts[3], ".pk")
	group, id := rookery.GroupID(n), command.PackID(name)
	return group, id, err == nil && ok && Key(group, id) == key
}
