package command

import (
	"fmt"
	"reflect"
)

// Type numbers a command. Once the program is released, numbers are only ever
// appended.
type Type uint16

// Machine says which state machine applies a command.
type Machine uint8

// The machines: that of every mail group, that of the system group, and both.
const (
	Mail Machine = iota + 1
	System
	Every
)

// Applies reports whether the commands of r are also those of a machine.
func (r *Row) Applies(m Machine) bool { return r.Machine == m || r.Machine == Every }

// Row is one command of the table.
type Row struct {
	Type Type
	// Name is that of the Go type.
	Name string
	// Since is the version that brought the command: it is proposed only where
	// that is final.
	Since   uint32
	Machine Machine

	// New makes an empty command.
	New func() Command

	goType reflect.Type // of the pointer
	result func() Result
}

// table has every command with its result: a command is its struct, its Touches
// and this one line, with a handler in its machine.
var table = []Row{
	mail[CreateAccount, AccountResult](1, 1),
	mail[SetQuota, Done](2, 1),
	mail[CreateMailbox, MailboxResult](3, 1),
	mail[DeleteMailbox, Done](4, 1),
	mail[RenameMailbox, MailboxResult](5, 1),
	mail[Subscribe, Done](6, 1),
	mail[Deliver, DeliverResult](7, 1),
	mail[Stage, Done](8, 1),
	mail[Abandon, Done](9, 1),
	mail[StoreFlags, StoreResult](10, 1),
	mail[Expunge, ExpungeResult](11, 1),
	mail[Copy, CopyResult](12, 1),
	mail[Move, CopyResult](13, 1),
	mail[PurgeExpunged, PurgeResult](14, 1),
	mail[Recover, CopyResult](15, 1),
	mail[Packed, Done](16, 1),
	mail[PackDead, Done](17, 1),
	mail[PackDeleted, Done](18, 1),
	mail[ItemResult, Done](19, 1),
	mail[ItemForget, Done](20, 1),
	mail[EraseAccount, Done](21, 1),
	mail[PackForget, Done](22, 1),
	mail[Jump, Done](23, 1),
	mail[MoveOut, MoveOutResult](24, 1),
	mail[MoveCopied, Done](25, 1),
	mail[MoveFreeze, Done](26, 1),
	mail[MoveStop, Done](27, 1),
	mail[MoveGone, Done](28, 1),
	mail[ImportBegin, ImportBegun](29, 1),
	mail[Import, ImportResult](30, 1),
	mail[ImportBody, Done](31, 1),
	mail[ImportSeal, Done](32, 1),
	mail[Activate, Done](33, 1),
	mail[ImportDrop, Done](34, 1),
	mail[Hold, Done](35, 1),
	mail[Release, Done](36, 1),
	mail[RestoreWindow, Done](37, 1),
	mail[NamePacks, Done](38, 1),
	mail[KeyFloor, Done](39, 1),
	mail[RewrapAccounts, RewrapResult](40, 1),
	mail[BarAccount, Done](41, 1),
	mail[ForgetNode, Done](42, 1),

	system[EnsureAccount, EnsureResult](43, 1),
	system[SetSettings, SettingsResult](44, 1),
	system[RegisterNode, Done](45, 1),
	system[ForgetAccount, Done](46, 1),
	system[Invite, Done](47, 1),
	system[Revoke, Done](48, 1),
	system[Admit, Done](49, 1),
	system[SetNodeState, Done](50, 1),
	system[FinalizeVersion, Done](51, 1),
	system[CreateGroup, PlacementResult](52, 1),
	system[PlaceGroup, PlacementResult](53, 1),
	system[ConfirmGroup, Done](54, 1),
	system[Recovered, Done](55, 1),
	system[FoundGroup, PlacementResult](56, 1),
	system[BeginMove, BegunMove](57, 1),
	system[SwitchMove, Done](58, 1),
	system[AbandonMove, Done](59, 1),
	system[EndMove, Done](60, 1),
	system[SetTenantKey, Done](61, 1),
	system[EraseAccounts, Done](62, 1),
	system[AccountsErased, Done](63, 1),
	system[PlaceHold, Done](64, 1),
	system[LiftHold, Done](65, 1),
	system[Swept, Done](66, 1),
	system[SetSettingsKey, Done](67, 1),
	system[ForgetMember, Done](68, 1),
	system[AuditCall, AuditResult](69, 1),
	system[AuditOutcome, Done](70, 1),

	every[Archived, Done](71, 1),

	system[NoteOwner, Done](72, 1),
	system[LinkAccount, Done](73, 1),
	system[NoteSignIns, Done](74, 1),

	mail[SetDayKey, DayKeyResult](75, 1),
	mail[RewrapDayKeys, Done](76, 1),
	mail[DropDayKeys, Done](77, 1),
	mail[BeginAttempts, RowsResult](78, 1),
	mail[EndAttempts, RowsResult](79, 1),
	mail[SteerRows, RowsResult](80, 1),

	system[SetSigningKeys, Done](81, 1),
	system[SetAuthority, Done](82, 1),
	system[NoteKit, Done](83, 1),

	mail[DropTrace, PurgeResult](84, 1),

	system[KeepSTS, Done](85, 1),
	system[AddRelay, Done](86, 1),
	system[RemoveRelay, Done](87, 1),

	mail[LetSend, Done](88, 1),

	mail[BeginRestore, Done](89, 1),
	mail[Restore, RestoreResult](90, 1),
	mail[EndRestore, Done](91, 1),

	system[SetArchiveKeys, Done](92, 1),
	system[CopyPeople, Done](93, 1),
	system[SettlePeople, PurgeResult](94, 1),
	system[DropPeople, Done](95, 1),
}

type commandPointer[C any] interface {
	*C
	Command
}

type resultPointer[R any] interface {
	*R
	Result
}

func mail[C, R any, P commandPointer[C], Q resultPointer[R]](number Type, since uint32) Row {
	return Row{Type: number, Name: reflect.TypeFor[C]().Name(), Since: since, Machine: Mail, goType: reflect.TypeFor[P](),
		New: func() Command { return P(new(C)) }, result: func() Result { return Q(new(R)) }}
}

func system[C, R any, P commandPointer[C], Q resultPointer[R]](number Type, since uint32) Row {
	r := mail[C, R, P, Q](number, since)
	r.Machine = System
	return r
}

func every[C, R any, P commandPointer[C], Q resultPointer[R]](number Type, since uint32) Row {
	r := mail[C, R, P, Q](number, since)
	r.Machine = Every
	return r
}

var (
	byType = index(func(r *Row) Type { return r.Type })
	byGo   = index(func(r *Row) reflect.Type { return r.goType })
)

func index[K comparable](of func(*Row) K) map[K]*Row {
	m := make(map[K]*Row, len(table))
	for i := range table {
		k := of(&table[i])
		if m[k] != nil {
			panic(fmt.Sprintf("command: %v stands in the table twice", k)) // a broken build
		}
		m[k] = &table[i]
	}
	return m
}

// Rows gives the table.
func Rows() []Row { return append([]Row(nil), table...) }

// Find gives the row of a type; ok is false where this version does not know it.
func Find(t Type) (r Row, ok bool) {
	if p := byType[t]; p != nil {
		return *p, true
	}
	return Row{}, false
}

// TypeOf is the number of a command.
func TypeOf(c Command) Type { return byGo[reflect.TypeOf(c)].Type }

// NameOf is the name of a command.
func NameOf(c Command) string { return byGo[reflect.TypeOf(c)].Name }

func rowOf(t Type) (*Row, error) {
	if r := byType[t]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("command type %d is unknown to this version", t)
}
