// Package search says which messages match: it owns the criteria, their
// combination, and how a message is tested against them with as little reading
// as they need.
//
// It parses no protocol's syntax, never decides in which mailboxes to look, and
// reads a message only through what it is handed.
package search

import (
	"slices"
	"strings"

	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// op is what a key tests.
type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opAll
	opNone
	opUIDs
	opFlag
	opKeyword
	opLarger
	opSmaller
	opModSeq
	opEmailID
	opThreadID
	opDate  // INTERNALDATE within [from, to)
	opSaved // SAVEDATE within
	opSent  // Date field within
	opHeader
	opBody
	opText
)

// cost is what a key needs: 0 the row, 1 the extract, 2 the body.
func (o op) cost() int {
	switch o {
	case opSent, opHeader:
		return 1
	case opBody, opText:
		return 2
	}
	return 0
}

// Key is one node of a tree of criteria. Once a Matcher has it, it must not be
// changed.
type Key struct {
	op   op
	kids []*Key
	cost int

	uids     mailbox.UIDs
	flag     command.Flags
	str      string // keyword, field name, id
	needle   needle
	slot     int // of the field or the needle in the plan
	n        uint64
	from, to int64 // unix seconds
}

// Forever is a bound that no date reaches; -Forever is one that all do.
const Forever = 1 << 62

// All matches every message.
func All() *Key { return &Key{op: opAll} }

// None matches no message.
func None() *Key { return &Key{op: opNone} }

// UIDs matches the messages that SetUIDs names.
func UIDs() *Key { return &Key{op: opUIDs} }

// SetUIDs says what a key made by UIDs matches.
func (k *Key) SetUIDs(uids mailbox.UIDs) { k.uids = uids }

// Flag matches messages that have a system flag.
func Flag(f command.Flags) *Key { return &Key{op: opFlag, flag: f} }

// Keyword matches messages that have a keyword, in whatever case.
func Keyword(word string) *Key { return &Key{op: opKeyword, str: word} }

// Larger matches messages of more than n octets.
func Larger(n uint64) *Key { return &Key{op: opLarger, n: n} }

// Smaller matches messages of less than n octets.
func Smaller(n uint64) *Key { return &Key{op: opSmaller, n: n} }

// ModSeq matches messages whose MODSEQ is n or higher.
func ModSeq(n uint64) *Key { return &Key{op: opModSeq, n: n} }

// EmailID matches the message with an EMAILID (RFC 8474).
func EmailID(id string) *Key { return &Key{op: opEmailID, str: id} }

// ThreadID matches the messages with a THREADID (RFC 8474).
func ThreadID(id string) *Key { return &Key{op: opThreadID, str: id} }

// Received matches messages whose internal date is in [from, to), unix seconds.
func Received(from, to int64) *Key { return dated(opDate, from, to) }

// Saved matches messages whose save date (RFC 8514) is in [from, to).
func Saved(from, to int64) *Key { return dated(opSaved, from, to) }

// Sent matches messages the day of whose Date field, without its time and zone,
// begins in [from, to).
func Sent(from, to int64) *Key { return dated(opSent, from, to) }

func dated(o op, from, to int64) *Key { return &Key{op: o, cost: o.cost(), from: from, to: to} }

// Header matches messages that have text in a field of the name; an empty text
// asks whether there is such a field.
func Header(field, text string) *Key { return textual(opHeader, field, text) }

// Body matches messages that have text in what a reader sees of their parts.
func Body(text string) *Key { return textual(opBody, "", text) }

// Text matches messages that have text in their header or body.
func Text(text string) *Key { return textual(opText, "", text) }

func textual(o op, field, text string) *Key {
	return &Key{op: o, cost: o.cost(), str: field, needle: newNeedle(text)}
}

// Not matches what k does not; nil where k is.
func Not(k *Key) *Key {
	if k == nil {
		return nil
	}
	return &Key{op: opNot, kids: []*Key{k}, cost: k.cost}
}

// And matches what all of one or more keys match.
func And(keys ...*Key) *Key {
	if len(keys) == 1 {
		return keys[0]
	}
	return combine(opAnd, keys)
}

// Or matches what one of the keys matches.
func Or(keys ...*Key) *Key { return combine(opOr, keys) }

// combine sorts keys so that the cheap ones decide first.
func combine(o op, keys []*Key) *Key {
	k := &Key{op: o, kids: keys}
	if !slices.Contains(keys, nil) {
		slices.SortStableFunc(keys, func(a, b *Key) int { return a.cost - b.cost })
	}
	for _, kid := range keys {
		if kid != nil {
			k.cost = max(k.cost, kid.cost)
		}
	}
	return k
}

// NeedsContent says whether more than a message's row is needed.
func (k *Key) NeedsContent() bool { return k.cost > 0 }

// Narrow leaves of the messages those that the UIDs keys of the tree's
// conjunctions allow.
func (k *Key) Narrow(uids mailbox.UIDs) mailbox.UIDs {
	switch k.op {
	case opUIDs:
		return uids.Intersect(k.uids)
	case opAnd:
		for _, kid := range k.kids {
			uids = kid.Narrow(uids)
		}
	case opNone:
		return mailbox.UIDs{}
	}
	return uids
}

// Size counts the keys of the tree. whole: each combines as many as it needs.
func (k *Key) Size() (n int, whole bool) {
	whole = true
	k.walk(func(k *Key) {
		n++
		whole = whole && (k.op > opOr || len(k.kids) >= 2) && (k.op != opNot || len(k.kids) == 1)
	})
	return n, whole
}

// walk calls fn for a key and all below it.
func (k *Key) walk(fn func(*Key)) {
	fn(k)
	for _, kid := range k.kids {
		kid.walk(fn)
	}
}

// matchesRow tests what a message's row tells, and hands other keys to content.
func (k *Key) matchesRow(row *mailbox.Row, content func(*Key) (bool, error)) (bool, error) {
	switch k.op {
	case opAll:
		return true, nil
	case opNone:
		return false, nil
	case opAnd, opOr:
		for _, kid := range k.kids {
			ok, err := kid.matchesRow(row, content)
			if err != nil || ok != (k.op == opAnd) {
				return ok, err
			}
		}
		return k.op == opAnd, nil
	case opNot:
		ok, err := k.kids[0].matchesRow(row, content)
		return !ok, err
	case opUIDs:
		return k.uids.Contains(row.UID), nil
	case opFlag:
		return row.Flags.Has(k.flag), nil
	case opKeyword:
		return slices.ContainsFunc(row.Keywords, func(w string) bool { return strings.EqualFold(w, k.str) }), nil
	case opLarger:
		return uint64(row.Size) > k.n, nil
	case opSmaller:
		return uint64(row.Size) < k.n, nil
	case opModSeq:
		return uint64(row.ModSeq) >= k.n, nil
	case opEmailID:
		return row.Email.String() == k.str, nil
	case opThreadID:
		return row.Thread.String() == k.str, nil
	case opDate:
		return k.from <= row.InternalDate && row.InternalDate < k.to, nil
	case opSaved:
		return k.from <= row.SaveDate && row.SaveDate < k.to, nil
	}
	return content(k)
}
