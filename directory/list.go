package directory

import (
	"context"

	"rookery"
)

// Lister is a Directory that knows the lists there are, with who is behind them.
type Lister interface {
	// List gives the list that has an address. The errors are those of
	// Directory.Recipient: KindNotFound is also that a person has it.
	List(ctx context.Context, addr rookery.Address) (Record, error)
	// Expand says who gets what is sent to the list with a key, lists in it
	// included. KindNotFound: there is no such list; KindTooLarge: more are behind it
	// than are expanded at once.
	Expand(ctx context.Context, key string) (Expansion, error)
}

// MaxExpanded is how many accounts, addresses and lists one Expand goes through.
const MaxExpanded = 10_000

// Expansion is who is behind a list, everybody once.
type Expansion struct {
	// Accounts are the members with a mailbox, in the order of their keys.
	Accounts []Entry
	// External are members known by address alone, in order.
	External []rookery.Address
	// Missing names the members that the directory names and does not have, and
	// those that have no address.
	Missing []string
	// Loops are the lists that are members of themselves by way of others: "a > b >
	// a", by names.
	Loops []string
}
