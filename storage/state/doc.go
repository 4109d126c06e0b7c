// Package state holds the truth of one node: the replicated state of every
// group in one Pebble database, changed by committed log entries only.
//
// It owns the batch (one atomic batch per Apply call, with the applied
// index, term, group time and Raft configuration in it), the command
// envelope (retries, fencing, time), consistent reads, and images of a
// group. What the rows mean is a Machine's business.
//
// It never knows Raft, never reads a clock, never waits for the disk in
// Apply: the log is the durability, and replay after a crash starts at the
// applied index found on disk.
package state
