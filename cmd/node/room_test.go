package node

import (
	"testing"
	"time"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
)

func TestNoRoomIsTemporary(t *testing.T) {
	if err := roomOn(rlog.DiskOK); err != nil {
		t.Errorf("with room: %v", err)
	}
	for _, state := range []rlog.DiskState{rlog.DiskSoft, rlog.DiskHard} {
		d := delivery.New(delivery.Options{Room: func() error { return roomOn(state) }})
		if err := d.Check(t.Context(), rookery.AccountID{}, 1); !rookery.Is(err, rookery.KindLimit) {
			t.Errorf("%v: RCPT gets %v", state, err)
		}
		spool := spool.New(spool.Options{})
		if err := d.Deliver(t.Context(), delivery.Request{Spool: spool}); !rookery.Is(err, rookery.KindLimit) {
			t.Errorf("%v: a message gets %v", state, err)
		}
		if _, err := d.Append(t.Context(), nil, 0, 0, nil, time.Time{}, spool); !rookery.Is(err, rookery.KindLimit) {
			t.Errorf("%v: APPEND gets %v", state, err)
		}
	}
}
