package command

// Version is the highest version of commands this binary reads. It is a
// variable so that the tests of rolling upgrades can build a binary of another
// version (-ldflags "-X rookery/storage/command.testVersion=next").
var Version = version(testVersion)

var testVersion string

// newest is the highest version in introduced.
const newest = 1

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
var introduced = map[Type]uint32{}

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
