// Package log is the node's one append-only log: the entries of all Raft
// groups in shared, checksummed segment files with one group commit. A
// message's body lies in its entry and is read there, in place, by (group,
// index, term) until it has been packed.
//
// It owns the segment files, their recovery, their retention, and the small
// files that hold each group's term and vote. It never interprets an entry,
// never decides what may be deleted (Raft permits, Keep forbids), never talks
// to another node (Options.Repair does) and never retries a failed fsync.
//
// DESIGN.md beside this file has the format and what each rule protects.
package log
