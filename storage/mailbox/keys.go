package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// The tables. Keys are the table byte and big-endian parts, so that ranges
// are accounts, mailboxes and times. 0x30 and 0x31 are package
// holds', 0x60 to 0x6f package queue's.
const (
	tableAccount   byte = 0x10 // account
	tableMailbox   byte = 0x11 // account mailbox: name, role, keywords
	tableCounters  byte = 0x12 // account mailbox: what deliveries change
	tableRow       byte = 0x13 // account mailbox uid
	tableEmail     byte = 0x14 // account email
	tableBody      byte = 0x15 // body
	tableExtract   byte = 0x16 // body: the sealed extract
	tableUnpacked  byte = 0x17 // body: bytes
	tableFloor     byte = 0x18 // log index of the first chunk of a staged body
	tableStage     byte = 0x19 // node epoch n: parts, bytes
	tableChunk     byte = 0x1a // node epoch n part: where it lies
	tableNode      byte = 0x1b // node: epoch and what it holds staged
	tableToken     byte = 0x1c // account token: thread, references
	tableChange    byte = 0x1d // account mailbox modseq uid
	tableTombstone byte = 0x1e // account mailbox modseq first uid: count
	tableRemoved   byte = 0x1f // account modseq: a mailbox deleted
	tableName      byte = 0x20 // account name: mailbox
	tableSubscribe byte = 0x21 // account name
	tableExpunged  byte = 0x22 // account modseq uid
	tableHabit     byte = 0x23 // account
	tableGrave     byte = 0x24 // account mailbox: rows still to be removed
	tableUnusual   byte = 0x25 // account: what it sends to other systems is held
	tablePack      byte = 0x27 // pack

	tableKeyFloor byte = 0x40 // nothing: the lowest tenant key version taken
	tableBarred   byte = 0x41 // account: never to be created again

	tableMoving   byte = 0x50 // account: one end of a move under way
	tableMoved    byte = 0x51 // account: the last move that ended here
	tableMark     byte = 0x52 // account, cleared or set, row: the index of the change
	tableFiledFor byte = 0x53 // account item: what became of its delivery
	tableFiledBy  byte = 0x54 // item account
	tableRestore  byte = 0x55 // account job
)

type key = tables.Key

func newKey(table byte) key { return tables.NewKey(table) }

func accountKey(table byte, a rookery.AccountID) key { return tables.AccountKey(table, a) }

func mailboxKey(table byte, a rookery.AccountID, m rookery.MailboxID) key {
	return accountKey(table, a).U32(uint32(m))
}

func rowKey(a rookery.AccountID, m rookery.MailboxID, u rookery.UID) key {
	return mailboxKey(tableRow, a, m).U32(uint32(u))
}

func changeKey(a rookery.AccountID, m rookery.MailboxID, s rookery.ModSeq, u rookery.UID) key {
	return mailboxKey(tableChange, a, m).U64(uint64(s)).U32(uint32(u))
}

func tombstoneKey(a rookery.AccountID, m rookery.MailboxID, s rookery.ModSeq, u rookery.UID) key {
	return mailboxKey(tableTombstone, a, m).U64(uint64(s)).U32(uint32(u))
}

func emailKey(a rookery.AccountID, e rookery.EmailID) key {
	return append(accountKey(tableEmail, a), e[:]...)
}

func tokenKey(a rookery.AccountID, t [8]byte) key { return append(accountKey(tableToken, a), t[:]...) }

func bodyKey(table byte, b BodyID) key { return newKey(table).U64(uint64(b)) }

func expungedKey(a rookery.AccountID, id command.ExpungedID) key {
	return accountKey(tableExpunged, a).U64(uint64(id.ModSeq)).U32(uint32(id.UID))
}

func itemKey(table byte, id command.ItemID) key { return append(newKey(table), id[:]...) }

func filedForKey(a rookery.AccountID, id command.ItemID) key {
	return append(accountKey(tableFiledFor, a), id[:]...)
}

func filedByKey(id command.ItemID, a rookery.AccountID) key {
	return itemKey(tableFiledBy, id).Account(a)
}

// nodeKey holds the node's name with its length before it: no node's keys
// are a prefix of another's.
func nodeKey(table byte, n rookery.NodeID) key {
	return newKey(table).U32(uint32(len(n))).Str(string(n))
}

func stageKey(table byte, s command.StageID) key {
	return nodeKey(table, s.Node).U64(s.Epoch).U64(s.N)
}
