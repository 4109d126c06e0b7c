package command

import (
	"slices"

	"rookery"
)

// TouchKind says how a command is tied to accounts.
type TouchKind uint8

// The kinds.
const (
	// TouchAccounts is of commands that read and change rows of the accounts
	// they name, and of bodies through them; of no other account.
	TouchAccounts TouchKind = iota + 1
	// TouchBodies is of commands about bodies, stages, packs, items and holds,
	// whosever they are: no row of any account.
	TouchBodies
	// TouchAll is of commands that read or change rows of accounts they do not
	// name: every account of the group counts as touched.
	TouchAll
	// TouchNone is of commands about the group or the cluster as a whole.
	TouchNone
)

// Touch says whose rows a command reads or changes in the machine that applies
// it. Whoever replays the entries of one account takes those that name it, and
// those of TouchAll, and gets the account's rows as the group has them.
type Touch struct {
	Kind TouchKind
	// Accounts are those named, each once, sorted; only with TouchAccounts.
	Accounts []rookery.AccountID
}

func touch(ids ...rookery.AccountID) Touch {
	if len(ids) > 1 {
		ids = slices.Clone(ids)
		slices.SortFunc(ids, func(a, b rookery.AccountID) int { return slices.Compare(a[:], b[:]) })
		ids = slices.Compact(ids)
	}
	return Touch{TouchAccounts, ids}
}

// Touches reports whether a replay of the account takes the command.
func (t Touch) Touches(id rookery.AccountID) bool {
	return t.Kind == TouchAll || slices.Contains(t.Accounts, id)
}
