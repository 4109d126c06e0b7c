// Package pack moves bodies from the log into packs in the object store.
//
// It owns the pack format, the Packer that a group's leader runs, and the
// deletion of dead packs and of objects that nobody refers to. Where bodies lie
// and how long a pack lives is the state of storage/mailbox; this package
// proposes changes of it through a function and never decides alone. Reading
// (pack/read) and checking (pack/check) are packages above it. It holds no key:
// all content it touches is ciphertext.
package pack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// LogReader fills p with the bytes at off inside the data of a log entry, as
// log.Group.ReadAt does. KindNotFound: this node's log no longer has the entry.
type LogReader func(ctx context.Context, group rookery.GroupID, index rookery.LogIndex, term uint64, p []byte, off int64) error

// ReadPieces fills p from off of what lies in the pieces one after the other.
// KindNotFound: there are none.
func (log LogReader) ReadPieces(ctx context.Context, group rookery.GroupID, pieces []mailbox.LogPiece, p []byte, off int64) error {
	if log == nil || len(pieces) == 0 {
		return rookery.E("read body", rookery.KindNotFound, errors.New("it lies in no log entry"))
	}
	for _, q := range pieces {
		if off >= q.Len {
			off -= q.Len
			continue
		}
		n := min(int64(len(p)), q.Len-off)
		if err := log(ctx, group, q.Index, q.Term, p[:n], q.Off+off); err != nil {
			return err
		}
		if p, off = p[n:], 0; len(p) == 0 {
			return nil
		}
	}
	return rookery.E("read body", rookery.KindDamaged, errors.New("its pieces are shorter than the body"))
}

// Key is a pack's name in the object store: b/<hh>/<group>/<id>.pk, where hh is
// taken from a hash of the id so that the load spreads over the store's
// partitions.
func Key(group rookery.GroupID, id command.PackID) string {
	sum := sha256.Sum256([]byte(id))
	return "b/" + hex.EncodeToString(sum[:1]) + "/" + strconv.FormatUint(uint64(group), 10) + "/" + string(id) + ".pk"
}

// ParseKey is the inverse of Key.
func ParseKey(key string) (rookery.GroupID, command.PackID, bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 4 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(parts[2], 10, 32)
	name, ok := strings.CutSuffix(parts[3], ".pk")
	group, id := rookery.GroupID(n), command.PackID(name)
	return group, id, err == nil && ok && Key(group, id) == key
}
