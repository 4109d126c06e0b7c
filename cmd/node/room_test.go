package node

import (
	"testing"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/protocols/delivery"
)

func TestNoRoomIsTemporary(t *testing.T) {
	for _, state := range []rlog.DiskState{rlog.DiskSoft, rlog.DiskHard} {
		r := roomy{nil, func() rlog.DiskState { return state }}
		if err := r.Check(t.Context(), rookery.AccountID{}, 1); !rookery.Is(err, rookery.KindLimit) {
			t.Errorf("%v: RCPT gets %v", state, err)
		}
		if err := r.Deliver(t.Context(), delivery.Request{}); !rookery.Is(err, rookery.KindLimit) {
			t.Errorf("%v: a message gets %v", state, err)
		}
	}
}

func TestEveryKindHasItsReply(t *testing.T) {
	for _, k := range rookery.Kinds() {
		if httpStatus[k] == 0 {
			t.Errorf("no HTTP status for %v", k)
		}
	}
}
