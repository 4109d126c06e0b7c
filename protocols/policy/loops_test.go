package policy

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

type plain []byte

func (p plain) Head() []byte                 { return p }
func (p plain) Size() int64                  { return int64(len(p)) }
func (p plain) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }

// TestForwardedMailDoesNotGoRound: fewer hops are enough for what is forwarded, and
// none after a mailbox has forwarded it before.
func TestForwardedMailDoesNotGoRound(t *testing.T) {
	hops := func(n int) string { return strings.Repeat("Received: x\r\n", n) }
	for name, c := range map[string]struct {
		mark, header string
		refused      bool
	}{
		"far, and filed here":       {"", hops(100), false},
		"too far":                   {"", hops(101), true},
		"far, and forwarded":        {"m", hops(50), false},
		"too far to be forwarded":   {"m", hops(51), true},
		"forwarded before":          {"m", "Delivered-To: m\r\n", true},
		"forwarded by another":      {"m", "Delivered-To: n\r\n", false},
		"another's mark, no longer": {"", "Delivered-To: m\r\n", false},
	} {
		judge := loops{}.Begin(Connection{})
		judge.OnMail(context.Background(), Sender{})
		judge.OnRecipient(context.Background(), Recipient{Forward: "m"})
		judge.OnMail(context.Background(), Sender{}) // forgets it
		judge.OnRecipient(context.Background(), Recipient{Forward: c.mark})
		v := judge.OnMessage(context.Background(), &Message{Content: plain(c.header + "\r\nx\r\n")})
		if (v.Action == Refuse) != c.refused || c.refused && v.Reply.Enhanced != [3]int{5, 4, 6} {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
