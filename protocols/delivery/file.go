package delivery

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"rookery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/policy"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/message"
)

// roles are the roles of the mailboxes that verdicts have a message filed in;
// none is INBOX.
var roles = map[policy.Action]string{policy.GoOn: "", policy.Junk: `\Junk`}

// judge has the message judged, and gives the bytes to put before it, what the
// verdict adds behind the trace fields (RFC 5321 4.4 wants them first), and the
// role of the mailboxes to file it in.
func (d *Deliverer) judge(ctx context.Context, r Request) (head []byte, role string, err error) {
	if r.Judge == nil {
		return r.Trace, "", nil
	}
	v := r.Judge.OnMessage(ctx, &policy.Message{Content: r.Spool, ID: r.ID})
	if err := v.Err(); err != nil {
		return nil, "", err
	}
	role, can := roles[v.Action]
	if !can {
		return nil, "", rookery.E("judge message", rookery.KindUnavailable,
			fmt.Errorf("a message cannot be filed with the verdict %v yet", v.Action))
	}
	head = r.Trace[:len(r.Trace):len(r.Trace)]
	for _, f := range v.Add {
		head = fmt.Appendf(head, "%s: %s\r\n", f.Name, f.Value)
	}
	return head, role, nil
}

// incoming is a message on its way into the first group's log.
type incoming struct {
	head  []byte // fields before it
	spool *spool.Spool

	messageID string // once it is encoded
}

// open reads the final bytes.
func (m *incoming) open() (io.ReadCloser, error) {
	r, err := m.spool.Open()
	if err != nil || len(m.head) == 0 {
		return r, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(m.head), r), r}, nil
}

// encode carries the encoded body to the group's log and gives the Deliver
// command, still without deliveries.
func (m *incoming) encode(ctx context.Context, c *carrier, key keys.MessageKey) (*command.Deliver, *message.Extract, error) {
	r, err := m.open()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	enc, err := body.Encode(ctx, r, key, c.write)
	if err != nil {
		return nil, nil, rookery.E("encode message", rookery.KindUnknown, err)
	}
	layout, err := enc.Layout.MarshalBinary()
	if err != nil {
		return nil, nil, rookery.E("encode message", rookery.KindUnknown, err)
	}
	return &command.Deliver{Email: rookery.NewEmailID(), Size: enc.Size, Extract: enc.Sealed, Layout: layout}, enc.Extract, nil
}

// addressing names the recipients in a command whose body is on its way.
type addressing func(cmd *command.Deliver, key keys.MessageKey, x *message.Extract)

// file makes the final bytes, once, and commits them with the deliveries that
// address names. A result that outcome takes for a failure drops the body.
func (d *Deliverer) file(ctx context.Context, group rookery.GroupID, m *incoming, address addressing,
	outcome func(*command.Deliver, *command.DeliverResult) error) (*command.Deliver, *command.DeliverResult, rookery.LogIndex, error) {
	key := keys.NewMessageKey()
	c := d.carrier(ctx, group)
	cmd, extract, err := m.encode(ctx, c, key)
	if err != nil {
		c.abandon()
		return nil, nil, 0, err
	}
	m.messageID = extract.MessageID
	address(cmd, key, extract)
	r, index, err := c.deliver(cmd)
	if err == nil {
		err = outcome(cmd, r)
	}
	if err != nil {
		c.abandon()
		return nil, nil, 0, err
	}
	return cmd, r, index, nil
}
