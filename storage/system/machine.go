// Package system is the state machine of the system group: the settings
// document, the map of accounts to groups, the registry of nodes with the
// invitations by which they come in, which nodes hold which group, the
// operators' holds on stored bytes, and the version gate.
//
// It is deterministic: no clock, no randomness, no goroutine, no I/O but
// through its transaction. It knows no mail and does not read the settings.
package system

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// The tables.
const (
	tableSettings byte = 0x10 // version (8) | document
	tableKey      byte = 0x11 // directory key: account | group
	tableAccount  byte = 0x12 // account: group | directory key
	tableNode     byte = 0x13 // node: record
	tableInvited  byte = 0x14 // invitation: record
	tableGroup    byte = 0x15 // group (4): record
	tableGate     byte = 0x16 // version (4)
	tableRecovery byte = 0x17 // generation (8): record
	tableHold     byte = 0x20 // name: record
	tableSwept    byte = 0x21 // one row: record
	tableTenant   byte = 0x40 // tenant key version (4): record
	tableErasure  byte = 0x41 // account: record
	tableGossip   byte = 0x28 // record
	// A dictionary's record and its sealed form are apart, since the record is
	// read often; what is in use is adopted (4) | last (4).
	tableDictionary byte = 0x30 // dictionary (4): record
	tableSealed     byte = 0x31 // dictionary (4): sealed form
	tableAdopted    byte = 0x32
	tableMove       byte = 0x50 // account: record
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

// New makes the machine of the system group; events may be nil.
func New(events Events) func(*state.Group) *Machine {
	return func(g *state.Group) *Machine { return &Machine{group: g, events: events} }
}

// Restored implements state.Machine: nothing is cached.
func (m *Machine) Restored() {}

// Apply executes the command in a log entry, whole or not at all.
func (m *Machine) Apply(tx state.Tx, entry []byte) []byte {
	cmd, _, err := command.Decode(entry[tx.Offset():])
	var r command.Result
	if err == nil {
		switch c := cmd.(type) {
		case *command.EnsureAccount:
			r, err = ensureAccount(tx, c)
		case *command.SetSettings:
			r, err = m.setSettings(tx, c)
		case *command.RegisterNode:
			r, err = m.registerNode(tx, c)
		case *command.ForgetAccount:
			r, err = m.forgetAccount(tx, c)
		case *command.BeginMove:
			r, err = m.beginMove(tx, c)
		case *command.SwitchMove:
			r, err = m.switchMove(tx, c)
		case *command.AbandonMove:
			r, err = m.abandonMove(tx, c)
		case *command.EndMove:
			r, err = m.endMove(tx, c)
		case *command.SetNodeState:
			r, err = m.setNodeState(tx, c)
		case *command.ForgetMember:
			r, err = forgetMember(tx, c)
		case *command.Invite:
			r, err = invite(tx, c)
		case *command.Revoke:
			r, err = revoke(tx, c)
		case *command.Admit:
			r, err = m.admit(tx, c)
		case *command.CreateGroup:
			r, err = m.createGroup(tx, c)
		case *command.FoundGroup:
			r, err = m.foundGroup(tx, c)
		case *command.PlaceGroup:
			r, err = m.placeGroup(tx, c)
		case *command.ConfirmGroup:
			r, err = m.confirmGroup(tx, c)
		case *command.FinalizeVersion:
			r, err = m.finalizeVersion(tx, c)
		case *command.AddDictionary:
			r, err = m.addDictionary(tx, c)
		case *command.AdoptDictionary:
			r, err = m.adoptDictionary(tx, c)
		case *command.ResealDictionary:
			r, err = m.resealDictionary(tx, c)
		case *command.PlaceHold:
			r, err = placeHold(tx, c)
		case *command.LiftHold:
			r, err = liftHold(tx, c)
		case *command.Swept:
			r, err = swept(tx, c)
		case *command.SetGossipKeys:
			r, err = m.setGossipKeys(tx, c)
		case *command.Recovered:
			r, err = m.recovered(tx, c)
		case *command.SetTenantKey:
			r, err = m.setTenantKey(tx, c)
		case *command.EraseAccounts:
			r, err = m.eraseAccounts(tx, c)
		case *command.AccountsErased:
			r, err = m.accountsErased(tx, c)
		default:
			err = refuse(rookery.KindInvalid, "command type %d does not belong to the system group", cmd.Type())
		}
	}
	if err != nil {
		return state.Refuse(rookery.KindOf(err), reason(err))
	}
	return state.OK(command.EncodeResult(r))
}

func refuse(kind rookery.Kind, format string, args ...any) error {
	return rookery.E("apply", kind, fmt.Errorf(format, args...))
}

func reason(err error) string {
	var e *rookery.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}

// must ends the process where the state cannot be read or written.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func get(tx state.Tx, k []byte) []byte {
	v, err := tx.Get(k)
	must(err)
	return v
}

func damaged(what string) error {
	return rookery.E("read "+what, rookery.KindDamaged, errors.New("a record of the state is damaged; restore this node's state from a peer"))
}

func keyKey(k string) []byte                { return append([]byte{tableKey}, k...) }
func accountKey(a rookery.AccountID) []byte { return append([]byte{tableAccount}, a[:]...) }
func nodeKey(n rookery.NodeID) []byte       { return append([]byte{tableNode}, n...) }
func invitedKey(id string) []byte           { return append([]byte{tableInvited}, id...) }
func groupKey(g rookery.GroupID) []byte {
	return binary.BigEndian.AppendUint32([]byte{tableGroup}, uint32(g))
}

// put writes a record.
func put(tx state.Tx, k []byte, record any) {
	b, err := cbor.Marshal(record)
	must(err)
	must(tx.Set(k, b))
}

// decode reads a record.
func decode(what string, b []byte, record any) error {
	if err := cbor.Unmarshal(b, record); err != nil {
		return damaged(what)
	}
	return nil
}

// scan calls fn for the rows of a table, keys without the table's byte.
func scan(r state.Reader, table byte, fn func(k, v []byte) error) error {
	return r.Scan([]byte{table}, []byte{table + 1}, func(k, v []byte) (bool, error) {
		err := fn(k[1:], v)
		return err == nil, err
	})
}

func (m *Machine) changed(tx state.Tx) {
	if m.events != nil {
		tx.OnCommit(m.events.Nodes)
	}
}

// ensureAccount maps a directory key once.
func ensureAccount(tx state.Tx, c *command.EnsureAccount) (command.Result, error) {
	if n := len(c.DirectoryKey); n == 0 || n > MaxDirectoryKey {
		return nil, refuse(rookery.KindInvalid, "a directory key of %d bytes, want 1 to %d", n, MaxDirectoryKey)
	}
	if v := get(tx, keyKey(c.DirectoryKey)); v != nil {
		p, err := decodePlace(v)
		must(err)
		if get(tx, erasureKey(p.Account)) != nil {
			return nil, errErasing(p.Account)
		}
		return &command.EnsureResult{Account: p.Account, Group: p.Group}, nil
	}
	if c.Account == (rookery.AccountID{}) || c.Group <= rookery.SystemGroup {
		return nil, refuse(rookery.KindInvalid, "the proposal has no account id or no mail group")
	}
	if get(tx, accountKey(c.Account)) != nil {
		return nil, refuse(rookery.KindConflict, "account %s belongs to another directory entry; propose a new id", c.Account)
	}
	group := binary.BigEndian.AppendUint32(nil, uint32(c.Group))
	must(tx.Set(keyKey(c.DirectoryKey), append(append([]byte(nil), c.Account[:]...), group...)))
	must(tx.Set(accountKey(c.Account), append(group, c.DirectoryKey...)))
	return &command.EnsureResult{Account: c.Account, Group: c.Group, Created: true}, nil
}

// forgetAccount takes an account off the map, and ends its erasure; it is
// idempotent. A move that is not decided has nothing to move any more.
func (m *Machine) forgetAccount(tx state.Tx, c *command.ForgetAccount) (command.Result, error) {
	m.abandonErased(tx, c.Account)
	v := get(tx, accountKey(c.Account))
	if len(v) >= 4 {
		must(tx.Delete(keyKey(string(v[4:]))))
		must(tx.Delete(accountKey(c.Account)))
	}
	if get(tx, erasureKey(c.Account)) != nil {
		must(tx.Delete(erasureKey(c.Account)))
		m.keysChanged(tx)
	}
	return &command.Done{}, nil
}

// setSettings replaces the document under compare-and-set.
func (m *Machine) setSettings(tx state.Tx, c *command.SetSettings) (command.Result, error) {
	if len(c.Document) > MaxSettings {
		return nil, refuse(rookery.KindTooLarge, "settings of %d bytes, at most %d", len(c.Document), MaxSettings)
	}
	var version uint64
	if v := get(tx, []byte{tableSettings}); len(v) >= 8 {
		version = binary.BigEndian.Uint64(v)
	}
	if version != c.Version {
		return nil, refuse(rookery.KindConflict, "the settings have version %d, not %d; read them again and repeat the change", version, c.Version)
	}
	version++
	must(tx.Set([]byte{tableSettings}, append(binary.BigEndian.AppendUint64(nil, version), c.Document...)))
	if events := m.events; events != nil {
		tx.OnCommit(func() { events.Settings(version) })
	}
	return &command.SettingsResult{Version: version}, nil
}
