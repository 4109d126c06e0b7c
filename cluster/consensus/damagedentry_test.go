package consensus

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"rookery"
)

// unreadable is a log whose first entry fails its check.
type unreadable struct{ *raft.InmemStore }

func (u unreadable) GetLog(index uint64, l *raft.Log) error {
	if index == 1 {
		return rookery.E("read entry", rookery.KindDamaged, errors.New("its checksum is wrong"))
	}
	return u.InmemStore.GetLog(index, l)
}

// An entry that cannot be read at start ends the start, not the process.
func TestDamagedEntryEndsTheStart(t *testing.T) {
	store := raft.NewInmemStore()
	for i := range uint64(2) {
		if err := store.StoreLog(&raft.Log{Index: i + 1, Term: 1, Type: raft.LogCommand, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	conf := raft.DefaultConfig()
	conf.LocalID = "n"
	_, trans := raft.NewInmemTransport("")
	r, err := newRaft(conf, nil, unreadable{store}, store, raft.NewInmemSnapshotStore(), trans)
	if r != nil || !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("%v %v", r, err)
	}
}
