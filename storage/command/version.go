package command

// Version is the highest version of commands this binary reads. It is a
// variable so that the tests of rolling upgrades can build a binary of another
// version (-ldflags "-X rookery/storage/command.testVersion=next").
var Version = version(testVersion)

var testVersion string

// newest is the highest version in introduced.
const newest = 4

// version is newest, one more in a binary built for the tests.
func version(test string) uint32 {
	if test == "next" {
		return newest + 1
	}
	return newest
}

// introduced says which version brought each command that is not of the
// first. Every new command gets a row: until every node reads that version and
// the operator has finalised it, the command is not proposed.
var introduced = map[Type]uint32{
	TypeJump:       2,
	TypeRecovered:  2,
	TypeFoundGroup: 3,

	TypeHold:           4,
	TypeRelease:        4,
	TypeRestoreWindow:  4,
	TypeNamePacks:      4,
	TypePlaceHold:      4,
	TypeLiftHold:       4,
	TypeSwept:          4,
	TypeAuditCall:      4,
	TypeAuditOutcome:   4,
	TypeKeyFloor:       4,
	TypeRewrapAccounts: 4,
	TypeBarAccount:     4,
	TypeForgetNode:     4,
	TypeForgetMember:   4,
	TypeSetTenantKey:   4,
	TypeEraseAccounts:  4,
	TypeAccountsErased: 4,
	TypeSetGossipKeys:  4,

	TypeMoveOut:     4,
	TypeMoveCopied:  4,
	TypeMoveFreeze:  4,
	TypeMoveStop:    4,
	TypeMoveGone:    4,
	TypeImportBegin: 4,
	TypeImport:      4,
	TypeImportBody:  4,
	TypeImportSeal:  4,
	TypeActivate:    4,
	TypeImportDrop:  4,
	TypeBeginMove:   4,
	TypeSwitchMove:  4,
	TypeAbandonMove: 4,
	TypeEndMove:     4,
}

// Introduced is the version that brought a type; 0 for an unknown type.
func Introduced(t Type) uint32 {
	if v, ok := introduced[t]; ok {
		return v
	}
	if New(t) == nil {
		return 0
	}
	return 1
}

// BroughtBy lists the commands that a version brought, for operators.
func BroughtBy(version uint32) (types []Type) {
	for t := Type(0); t < 256; t++ {
		if Introduced(t) == version {
			types = append(types, t)
		}
	}
	return types
}
