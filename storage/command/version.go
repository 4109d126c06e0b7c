package command

// Version is the highest version of commands this binary reads. It is a
// variable so that the tests of rolling upgrades can build a binary of another
// version (-ldflags "-X rookery/storage/command.testVersion=next").
var Version = version(testVersion)

var testVersion string

// newest is the highest version in the table.
const newest = 1

// version is newest, one more in a binary built for the tests.
func version(test string) uint32 {
	if test == "next" {
		return newest + 1
	}
	return newest
}

// BroughtBy names the commands that a version brought, for operators.
func BroughtBy(version uint32) (names []string) {
	for _, r := range table {
		if r.Since == version {
			names = append(names, r.Name)
		}
	}
	return names
}
