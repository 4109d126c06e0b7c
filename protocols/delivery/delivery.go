// Package delivery is the one road for a new message: what SMTP has received,
// what IMAP appends, what is imported or restored. It owns the spool between
// the wire and the storage, the line-ending policy, the grouping of recipients
// by the Raft group of their account, the staging of large bodies within a
// bound of bytes, and the fan-out to further groups that follows an
// acknowledged message.
//
// It never speaks a protocol, never decides who may send to whom, and never
// reports success before a quorum has the message.
package delivery
