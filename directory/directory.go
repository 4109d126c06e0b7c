// Package directory answers two questions about people: whose mailbox is
// this address, and may this person sign in. It owns the Entry, the Directory
// contract that every source of entries meets, and the decorators that stand
// in front of sources: Cache and Set.
//
// It never speaks LDAP (directory/ldap does), never stores mail or knows
// where it is stored, and never invents an entry: what a source cannot say
// for certain is KindUnavailable, never "no such user" and never "wrong
// password".
package directory

import (
	"context"
	"errors"

	"rookery"
)

// Directory is a source of entries. Implementations are safe for concurrent
// use and honour ctx.
type Directory interface {
	// Recipient finds the one entry that receives mail for addr. Case and
	// +detail of the local part do not matter. Disabled entries are found
	// too: they receive, but do not sign in.
	//
	// Errors: KindNotFound when the directory says for certain that nobody
	// has the address; KindUnavailable when it cannot say, which includes an
	// address that two entries claim.
	Recipient(ctx context.Context, addr rookery.Address) (Entry, error)

	// Authenticate checks a password and gives the entry it belongs to. The
	// login is what the user typed: an address, a user name, a user principal
	// name or DOMAIN\user, as the source is set up to accept.
	//
	// Errors: KindCredentials for an unknown name or a wrong password;
	// KindDisabled when the account is known as disabled, locked or expired,
	// with a Refusal in its chain that says what may be told;
	// KindUnavailable when the directory cannot say.
	Authenticate(ctx context.Context, login, password string) (Entry, error)

	// Local reports whether addresses of the domain (A-labels, lower case)
	// are this directory's to judge.
	Local(domain string) bool
}

// ErrNotInCopy is in the chain of the KindUnavailable of a name that the directory
// cannot be asked for now, and that the complete copy of it does not have. It does not
// say that nobody has the name; where another directory knows somebody, a Set believes
// that one.
var ErrNotInCopy = errors.New("the copy of the directory does not have the name, and the directory cannot be asked now")

// Finder is a Directory that can also name the entry behind a login without
// a password. Set uses it to choose a directory before any password is tried,
// so that a login known to one directory never counts as a failure in
// another.
type Finder interface {
	// Find gives the entry a login names; errors as for Recipient.
	Find(ctx context.Context, login string) (Entry, error)
}

// find asks a directory that is a Finder.
func find(ctx context.Context, d Directory, login string) (Entry, error) {
	if f, ok := d.(Finder); ok {
		return f.Find(ctx, login)
	}
	return Entry{}, rookery.E("find login", rookery.KindUnavailable, errors.New("this directory cannot look up a login without its password"))
}

// prefixes are the DOMAIN names that a directory has learnt by itself.
func prefixes(d Directory) []string {
	if p, ok := d.(interface{ Prefixes() []string }); ok {
		return p.Prefixes()
	}
	return nil
}
