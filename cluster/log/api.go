package log

import (
	"github.com/hashicorp/raft"

	"rookery"
)

func alignUp(n int64) int64 { return (n + 4095) &^ 4095 }

type Log struct{}

type Group struct{}

var _ raft.LogStore = (*Group)(nil)
var _ raft.StableStore = (*Group)(nil)

func Open(Options) (*Log, error)                      { panic("soon") }
func (*Log) Close() error                             { panic("soon") }
func (*Log) Group(rookery.GroupID) (*Group, error)    { panic("soon") }
func (*Log) Stats() Stats                             { panic("soon") }
func (*Group) IsMonotonic() bool                      { return true }
func (*Group) FirstIndex() (uint64, error)            { panic("soon") }
func (*Group) LastIndex() (uint64, error)             { panic("soon") }
func (*Group) GetLog(index uint64, l *raft.Log) error { panic("soon") }
func (*Group) StoreLog(l *raft.Log) error             { panic("soon") }
func (*Group) StoreLogs(ls []*raft.Log) error         { panic("soon") }
func (*Group) DeleteRange(min, max uint64) error      { panic("soon") }
func (*Group) Set(k, v []byte) error                  { panic("soon") }
func (*Group) Get(k []byte) ([]byte, error)           { panic("soon") }
func (*Group) SetUint64(k []byte, v uint64) error     { panic("soon") }
func (*Group) GetUint64(k []byte) (uint64, error)     { panic("soon") }
func (*Group) ReadAt(index rookery.LogIndex, term uint64, p []byte, off int64) (int, error) {
	panic("soon")
}
func (*Group) Keep(floor rookery.LogIndex)                                    { panic("soon") }
func (*Group) PutBody(index rookery.LogIndex, term uint64, data []byte) error { panic("soon") }
func (*Group) Has(index rookery.LogIndex, term uint64) bool                   { panic("soon") }
func (*Group) Record(index rookery.LogIndex, term uint64) ([]byte, error)     { panic("soon") }
