package delivery

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// The marks of filed items go only when every group has said which of its
// items are open, those that live on other nodes too.
func TestOpenItemsOfGroupsElsewhere(t *testing.T) {
	const many = page + page/2
	var down error
	d := New(Options{
		Groups:  func() []rookery.GroupID { return []rookery.GroupID{2, 3} },
		Machine: func(rookery.GroupID) *mailbox.Machine { return nil },
		OpenItems: func(_ context.Context, g rookery.GroupID, after command.ItemID, limit int) (ids []command.ItemID, err error) {
			if g == 3 {
				return nil, down
			}
			for i := binary.BigEndian.Uint64(after[:8]) + 1; i <= many && len(ids) < limit; i++ {
				var id command.ItemID
				binary.BigEndian.PutUint64(id[:], i)
				ids = append(ids, id)
			}
			return ids, nil
		},
	})
	if open, ok := d.openItems(t.Context()); !ok || len(open) != many {
		t.Errorf("%d open items, %v; want %d", len(open), ok, many)
	}
	down = errors.New("no replica answers")
	if _, ok := d.openItems(t.Context()); ok {
		t.Error("the open items count as known though a group did not answer")
	}
}
