// Package command holds the commands of the replicated state machines (mail
// groups and the system group), their results, and the codec of both.
//
// On the wire a command is
//
//	type (uvarint) | uvarint len(meta) | meta (CBOR, integer keys) | payload
//
// with the payload last and untouched, so that a body is readable in place
// inside the log entry that delivered it. Numbers of types and of fields are
// only ever appended: an old entry decodes for ever.
//
// The package never applies anything, knows no log, and keeps no clock.
package command

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Type numbers a command. Numbers are only ever appended.
type Type uint16

// The commands of a mail group, then (from 64) those of the system group.
const (
	TypeCreateAccount Type = 1
	TypeSetQuota      Type = 2
	TypeCreateMailbox Type = 3
	TypeDeleteMailbox Type = 4
	TypeRenameMailbox Type = 5
	TypeSubscribe     Type = 6
	TypeDeliver       Type = 7
	TypeStage         Type = 8
	TypeAbandon       Type = 9
	TypeStoreFlags    Type = 10
	TypeExpunge       Type = 11
	TypeCopy          Type = 12
	TypeMove          Type = 13
	TypePurgeExpunged Type = 14
	TypeRecover       Type = 15
	TypePacked        Type = 16
	TypePackDead      Type = 17
	TypePackDeleted   Type = 18
	TypeIntentDone    Type = 19
	TypeIntentForget  Type = 20
	TypeEraseAccount  Type = 21
	TypePackForget    Type = 22
	TypeJump          Type = 23

	TypeHold           Type = 36
	TypeRelease        Type = 37
	TypeRestoreWindow  Type = 38
	TypeNamePacks      Type = 39
	TypeKeyFloor       Type = 42
	TypeRewrapAccounts Type = 43
	TypeBarAccount     Type = 47
	TypeForgetNode     Type = 48
	TypeMoveOut        Type = 24
	TypeMoveCopied     Type = 25
	TypeMoveFreeze     Type = 26
	TypeMoveStop       Type = 27
	TypeMoveGone       Type = 28
	TypeImportBegin    Type = 29
	TypeImport         Type = 30
	TypeImportBody     Type = 31
	TypeImportSeal     Type = 32
	TypeActivate       Type = 33
	TypeImportDrop     Type = 34

	TypeEnsureAccount Type = 64
	TypeSetSettings   Type = 65
	TypeRegisterNode  Type = 66
	TypeForgetAccount Type = 67

	TypeInvite          Type = 68
	TypeRevoke          Type = 69
	TypeAdmit           Type = 70
	TypeSetNodeState    Type = 71
	TypeFinalizeVersion Type = 72
	TypeCreateGroup     Type = 73
	TypePlaceGroup      Type = 74
	TypeConfirmGroup    Type = 75
	TypeRecovered       Type = 76
	TypeFoundGroup      Type = 77

	TypePlaceHold      Type = 92
	TypeLiftHold       Type = 93
	TypeSwept          Type = 94
	TypeSetTenantKey   Type = 84
	TypeEraseAccounts  Type = 85
	TypeAccountsErased Type = 86

	TypeSetGossipKeys Type = 96
	TypeForgetMember  Type = 97
	TypeAuditCall     Type = 98
	TypeAuditOutcome  Type = 99
	TypeBeginMove     Type = 78
	TypeSwitchMove    Type = 79
	TypeAbandonMove   Type = 80
	TypeEndMove       Type = 81
)

// Command is one of the command structs of this package, by pointer.
type Command interface {
	// Type is the command's number on the wire.
	Type() Type
}

// carrier is a command with a raw payload behind its meta.
type carrier interface {
	payload() []byte
	setPayload([]byte)
}

// normalised is a command that holds mailbox names, which Encode brings into
// Unicode normal form C, so that no replica's Unicode tables matter.
type normalised interface {
	normal() Command
}

// Bounds of a command.
const (
	// MaxMeta bounds a command's meta in bytes.
	MaxMeta = 4 << 20
	// MaxPayload bounds a command's payload in bytes.
	MaxPayload = 1 << 20
)

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   16,
		MaxArrayElements:  131072,
		MaxMapPairs:       1024,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options are constants: a broken build
	}
	return v
}

// New gives an empty command of a type, or nil for an unknown type.
func New(t Type) Command {
	switch t {
	case TypeCreateAccount:
		return new(CreateAccount)
	case TypeSetQuota:
		return new(SetQuota)
	case TypeCreateMailbox:
		return new(CreateMailbox)
	case TypeDeleteMailbox:
		return new(DeleteMailbox)
	case TypeRenameMailbox:
		return new(RenameMailbox)
	case TypeSubscribe:
		return new(Subscribe)
	case TypeDeliver:
		return new(Deliver)
	case TypeStage:
		return new(Stage)
	case TypeAbandon:
		return new(Abandon)
	case TypeStoreFlags:
		return new(StoreFlags)
	case TypeExpunge:
		return new(Expunge)
	case TypeCopy:
		return new(Copy)
	case TypeMove:
		return new(Move)
	case TypePurgeExpunged:
		return new(PurgeExpunged)
	case TypeRecover:
		return new(Recover)
	case TypePacked:
		return new(Packed)
	case TypePackDead:
		return new(PackDead)
	case TypePackDeleted:
		return new(PackDeleted)
	case TypePackForget:
		return new(PackForget)
	case TypeIntentDone:
		return new(IntentDone)
	case TypeIntentForget:
		return new(IntentForget)
	case TypeEraseAccount:
		return new(EraseAccount)
	case TypeEnsureAccount:
		return new(EnsureAccount)
	case TypeSetSettings:
		return new(SetSettings)
	case TypeRegisterNode:
		return new(RegisterNode)
	case TypeForgetAccount:
		return new(ForgetAccount)
	case TypeInvite:
		return new(Invite)
	case TypeRevoke:
		return new(Revoke)
	case TypeAdmit:
		return new(Admit)
	case TypeSetNodeState:
		return new(SetNodeState)
	case TypeFinalizeVersion:
		return new(FinalizeVersion)
	case TypeCreateGroup:
		return new(CreateGroup)
	case TypePlaceGroup:
		return new(PlaceGroup)
	case TypeConfirmGroup:
		return new(ConfirmGroup)
	case TypeJump:
		return new(Jump)
	case TypeRecovered:
		return new(Recovered)
	case TypeFoundGroup:
		return new(FoundGroup)
	case TypeHold:
		return new(Hold)
	case TypeRelease:
		return new(Release)
	case TypeRestoreWindow:
		return new(RestoreWindow)
	case TypeNamePacks:
		return new(NamePacks)
	case TypePlaceHold:
		return new(PlaceHold)
	case TypeLiftHold:
		return new(LiftHold)
	case TypeSwept:
		return new(Swept)
	case TypeKeyFloor:
		return new(KeyFloor)
	case TypeRewrapAccounts:
		return new(RewrapAccounts)
	case TypeBarAccount:
		return new(BarAccount)
	case TypeForgetNode:
		return new(ForgetNode)
	case TypeAuditCall:
		return new(AuditCall)
	case TypeAuditOutcome:
		return new(AuditOutcome)
	case TypeForgetMember:
		return new(ForgetMember)
	case TypeSetTenantKey:
		return new(SetTenantKey)
	case TypeEraseAccounts:
		return new(EraseAccounts)
	case TypeAccountsErased:
		return new(AccountsErased)
	case TypeSetGossipKeys:
		return new(SetGossipKeys)
	case TypeMoveOut:
		return new(MoveOut)
	case TypeMoveCopied:
		return new(MoveCopied)
	case TypeMoveFreeze:
		return new(MoveFreeze)
	case TypeMoveStop:
		return new(MoveStop)
	case TypeMoveGone:
		return new(MoveGone)
	case TypeImportBegin:
		return new(ImportBegin)
	case TypeImport:
		return new(Import)
	case TypeImportBody:
		return new(ImportBody)
	case TypeImportSeal:
		return new(ImportSeal)
	case TypeActivate:
		return new(Activate)
	case TypeImportDrop:
		return new(ImportDrop)
	case TypeBeginMove:
		return new(BeginMove)
	case TypeSwitchMove:
		return new(SwitchMove)
	case TypeAbandonMove:
		return new(AbandonMove)
	case TypeEndMove:
		return new(EndMove)
	}
	return nil
}

// Encode gives a command's bytes. Mailbox names travel in normal form C.
func Encode(c Command) []byte {
	if n, ok := c.(normalised); ok {
		c = n.normal()
	}
	meta, err := encMode.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("command: cannot encode %T: %v", c, err)) // fields of this package only
	}
	var payload []byte
	if p, ok := c.(carrier); ok {
		payload = p.payload()
	}
	b := make([]byte, 0, 2*binary.MaxVarintLen32+len(meta)+len(payload))
	b = binary.AppendUvarint(b, uint64(c.Type()))
	b = binary.AppendUvarint(b, uint64(len(meta)))
	b = append(b, meta...)
	return append(b, payload...)
}

// Decode reads a command and the offset of its payload in b. The payload
// aliases b; everything else is a copy. Errors are KindInvalid; a command of
// an unknown type or with unknown fields is one (it is never half applied).
func Decode(b []byte) (c Command, payload int, err error) {
	fail := func(err error) (Command, int, error) {
		return nil, 0, rookery.E("decode command", rookery.KindInvalid, err)
	}
	t, n := binary.Uvarint(b)
	if n <= 0 || t > 0xffff {
		return fail(errors.New("the command has no type"))
	}
	size, m := binary.Uvarint(b[n:])
	if m <= 0 || size > MaxMeta || size > uint64(len(b)-n-m) {
		return fail(errors.New("the command is cut short"))
	}
	if c = New(Type(t)); c == nil {
		return fail(fmt.Errorf("command type %d is unknown to this version", t))
	}
	payload = n + m + int(size)
	if err := decMode.Unmarshal(b[n+m:payload], c); err != nil {
		return fail(fmt.Errorf("command type %d: %w", t, err))
	}
	p, ok := c.(carrier)
	switch {
	case ok && len(b)-payload > MaxPayload:
		return fail(fmt.Errorf("command type %d has a payload of %d bytes, at most %d", t, len(b)-payload, MaxPayload))
	case ok:
		p.setPayload(b[payload:])
	case len(b) != payload:
		return fail(fmt.Errorf("command type %d has %d bytes behind its end", t, len(b)-payload))
	}
	return c, payload, nil
}
