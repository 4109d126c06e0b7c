package consensus

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"

	"rookery"
)

// unreadable is a log with one entry that fails its check.
type unreadable struct{ *raft.InmemStore }

func (unreadable) GetLog(uint64, *raft.Log) error {
	return rookery.E("read entry", rookery.KindDamaged, errors.New("its checksum is wrong"))
}

// An entry that cannot be read at start ends the start, not the process.
func TestDamagedEntryEndsTheStart(t *testing.T) {
	store := raft.NewInmemStore()
	if err := store.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogCommand, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	conf := raft.DefaultConfig()
	conf.LocalID = "n"
	_, trans := raft.NewInmemTransport("")
	r, err := newRaft(conf, nil, unreadable{store}, store, raft.NewInmemSnapshotStore(), trans)
	if r != nil || !rookery.Is(err, rookery.KindDamaged) {
		t.Fatalf("%v %v", r, err)
	}
}
