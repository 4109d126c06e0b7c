// Package pack moves bodies from the log into packs in the object store and
// reads them back from wherever they lie.
//
// It owns the pack format, the Packer that a group's leader runs, the local
// cache of what was fetched, the order in which a body's places are tried (log,
// cache, store), and the deletion of dead packs. Where bodies lie and how long
// a pack lives is the state of storage/mailbox; this package proposes changes of
// it through a function and never decides alone. It holds no key: all content
// it touches is ciphertext.
package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"rookery"
	"rookery/storage/command"
)

// LogReader fills p with the bytes at off inside the data of a log entry, as
// log.Group.ReadAt does. KindNotFound: this node's log no longer has the entry.
type LogReader func(ctx context.Context, group rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error

// Key is a pack's name in the object store: b/<hh>/<group>/<id>.pk, where hh is
// taken from a hash of the id so that the load spreads over the store's
// partitions.
func Key(group rookery.GroupID, id command.PackID) string {
	sum := sha256.Sum256([]byte(id))
	return "b/" + hex.EncodeToString(sum[:1]) + "/" + strconv.FormatUint(uint64(group), 10) + "/" + string(id) + ".pk"
}
