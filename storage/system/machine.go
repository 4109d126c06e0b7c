// Package system is the state machine of the system group: the settings
// document, the map of accounts to groups, the registry of nodes with the
// invitations by which they come in, which nodes hold which group, the
// operators' holds on stored bytes, the keys that sign outgoing mail, the MTA-STS
// policies of other domains, and the version gate.
//
// It is deterministic: no clock, no randomness, no goroutine, no I/O but
// through its transaction. It knows no mail and does not read the settings.
package system

import (
	"rookery"
	"rookery/storage/archivekey"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/system/people"
	"rookery/storage/tables"
)

// The tables.
const (
	tableSettings    byte = 0x10 // version (8) | document
	tableKey         byte = 0x11 // directory key: account | group
	tableAccount     byte = 0x12 // account: group | directory key
	tableNode        byte = 0x13 // node: record
	tableInvited     byte = 0x14 // invitation: record
	tableGroup       byte = 0x15 // group (4): record
	tableGate        byte = 0x16 // version (4)
	tableRecovery    byte = 0x17 // generation (8): record
	tableOwner       byte = 0x18 // account: record
	tableAddress     byte = 0x19 // address | 0 | account: nothing
	tableSignIn      byte = 0x1a // account: record
	tableHold        byte = 0x20 // name: record
	tableSwept       byte = 0x21 // one row: record
	tableTenant      byte = 0x40 // tenant key version (4): record
	tableErasure     byte = 0x41 // account: record
	tableSettingsKey byte = 0x28 // one row: record
	tableSigning     byte = 0x29 // domain: record
	tableAuthority   byte = 0x2a // authority version (4): record
	tableKit         byte = 0x2b // one row: record
	tableSTS         byte = 0x2c // domain: record
	tableSTSAge      byte = 0x2d // time (8) | domain: nothing
	tableSTSCount    byte = 0x2e // one row: record
	tableRelay       byte = 0x30 // name: record
	tableMove        byte = 0x50 // account: record
	tableAudit       byte = 0x60 // call (8): record
	tableAuditRange  byte = 0x61 // one row: record
)

// Bounds of the machine.
const (
	// MaxDirectoryKey bounds a directory key in bytes.
	MaxDirectoryKey = 512
	// MaxSettings bounds the settings document in bytes.
	MaxSettings = 1 << 20
	// MaxNodes bounds the members of the registry; removed ids do not count.
	MaxNodes = 1000
	// MaxInvitations bounds the invitations that are kept.
	MaxInvitations = 100
	// MaxGroups bounds the placement.
	MaxGroups = 4096
	// MaxMembers bounds the nodes of one group.
	MaxMembers = 9
)

// Machine is the system group's state machine and the source of its reads.
type Machine struct {
	parts  *tables.Parts[*work]
	erased []*tables.Table // of an account that is erased
	group  *state.Group
	events Events
}

var _ state.Machine = (*Machine)(nil)

// Events hears what changed, after it is visible to reads, from the one
// goroutine that applies: calls must return at once.
type Events interface {
	// Settings says that the settings have a new version.
	Settings(version uint64)
	// Nodes says that the registry, the placement of groups or the version
	// gate changed.
	Nodes()
}

// part is one subject of the machine: see the files that declare them.
type (
	part     = tables.Part[*work]
	handlers = []tables.Handler[*work]
)

// work is one command in execution.
type work struct {
	tables.Change
	m *Machine
}

func join() *tables.Parts[*work] {
	return tables.Join("the system group",
		settingsPart, accountPart, ownerPart, signInPart, nodePart, admissionPart, groupPart, gatePart,
		recoveryPart, holdPart, keyPart, settingsKeyPart, signingPart, stsPart, relayPart, authorityPart, movePart, auditPart, archivePart,
		archivekey.Part[*work](), people.Part[*work](),
	)
}

// New makes the machine of the system group; events may be nil.
func New(events Events) func(*state.Group) *Machine {
	return func(g *state.Group) *Machine {
		m := &Machine{parts: join(), group: g, events: events}
		m.erased = m.parts.Where(func(t *tables.Table) bool { return t.Erased == tables.AtOnce })
		return m
	}
}

// Restored implements state.Machine: nothing is cached here.
func (m *Machine) Restored() {
	m.linked()
	m.signingChanged()
	m.peopleChanged(people.Touched{All: true})
}

// Apply executes the command in a log entry, whole or not at all.
func (m *Machine) Apply(tx state.Tx, entry []byte) []byte {
	cmd, _, err := command.Decode(entry[tx.Offset():])
	if err != nil {
		return tables.Answer(nil, err)
	}
	return tables.Answer(m.parts.Run(&work{tables.Change{Tx: tx}, m}, cmd))
}

func refuse(kind rookery.Kind, format string, args ...any) error {
	return tables.Refuse(kind, format, args...)
}

func (m *Machine) read(fn func(state.Reader) error) error {
	s := m.group.Read()
	defer s.Close()
	return fn(s)
}

// sized names records after their keys, which have at least and at most so many
// bytes.
func sized[T any](what string, least, most int, name func(*T, []byte)) func(*T, []byte) error {
	return func(x *T, k []byte) error {
		if len(k) < least || len(k) > most {
			return tables.Damaged(what)
		}
		name(x, k)
		return nil
	}
}

func list[T any](m *Machine, rows tables.Records[T]) (all []T, err error) {
	err = m.read(func(r state.Reader) error {
		all, err = rows.List(r)
		return err
	})
	return all, err
}

func nodeKey(n rookery.NodeID) tables.Key   { return tables.NewKey(tableNode).Str(string(n)) }
func invitedKey(id string) tables.Key       { return tables.NewKey(tableInvited).Str(id) }
func groupKey(g rookery.GroupID) tables.Key { return tables.NewKey(tableGroup).U32(uint32(g)) }

func (w *work) changed() {
	if w.m.events != nil {
		w.OnCommit(w.m.events.Nodes)
	}
}
