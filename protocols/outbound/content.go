package outbound

import (
	"context"
	"errors"
	"io"

	"rookery"
	"rookery/storage/queue"
)

// Content fills p with what a row's message has from an offset on, as it would be
// sent, and gives how long that is and the size of the whole. KindNotFound: the row
// has ended; KindInvalid: the offset is outside of the message.
func (c *Couriers) Content(ctx context.Context, g rookery.GroupID, x queue.Ref, from int64, p []byte) (n int, size int64, err error) {
	const op = "read message in queue"
	l, err := c.load(ctx, g, x)
	if err != nil {
		return 0, 0, err
	}
	r, start, err := c.message(ctx, g, l)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	if size = r.Size() - start; from < 0 || from > size {
		return 0, 0, rookery.E(op, rookery.KindInvalid, errors.New("the offset is outside of the message"))
	}
	n, err = r.ReadAt(ctx, p[:min(int64(len(p)), size-from)], start+from)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, size, err
}
