package directory

import (
	"slices"

	"rookery"
)

// Entry is what mail needs to know of one person or shared mailbox. Entries
// are values: callers may keep them but must not change their slices, which
// caches share.
type Entry struct {
	// Key names the entry for ever: "<directory id>/<uuid in lower-case
	// hex>". It survives renames and moves, of the directory in the settings
	// too, and a re-created user gets another one.
	Key string
	// DN is the entry's distinguished name as the directory gave it, for
	// display: it changes with moves. Empty where it has none.
	DN string
	// Login is the entry's canonical user name, for logs and for display.
	Login string
	// Name is the display name; may be empty.
	Name string
	// Primary is the address the person sends as. Zero if there is none.
	Primary rookery.Address
	// Addresses are all addresses that reach the entry, Primary first.
	Addresses []rookery.Address
	// Quota is the account's limit in bytes; 0 means the site's default.
	Quota int64
	// Disabled entries receive mail but never sign in.
	Disabled bool
	// Locked says that the directory refuses sign-ins for now: locked out
	// after wrong passwords, or the password has expired. Authenticate finds
	// out by itself; sessions that run need not end for it.
	Locked bool
	// Forward holds the addresses mail is to be sent on to.
	Forward []rookery.Address
	// ForwardOnly says that forwarded mail leaves no copy here.
	ForwardOnly bool
	// Host names the system that holds the mailbox where that is not this
	// cluster; empty means here.
	Host string
}

// Has reports whether mail to addr reaches the entry.
func (e Entry) Has(addr rookery.Address) bool {
	key := addr.Key()
	return slices.ContainsFunc(e.Addresses, func(a rookery.Address) bool { return a.Key() == key })
}

// Owner is what the storage remembers of the entry.
func (e Entry) Owner() rookery.Owner { return rookery.NewOwner(e.Key, e.Login, e.DN, e.Addresses) }

// Base is the address without its +detail (RFC 5233), the local part as it
// was written. Directories hold base addresses only.
func Base(addr rookery.Address) rookery.Address {
	local, _ := addr.Detail()
	return rookery.Address{Local: local, Domain: addr.Domain}
}
