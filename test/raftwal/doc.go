// Package raftwal compares rookery/cluster/log with hashicorp/raft-wal, an
// independent implementation of the same contract: random operations run on
// both and must leave the same entries, term and vote. It is a module of its
// own so that the product does not depend on raft-wal.
package raftwal
