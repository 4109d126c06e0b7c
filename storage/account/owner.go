package account

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/storage/command"
)

// The account map remembers what each account's entry was last called. A
// directory may lose an entry and get another with the same address: a user who
// was deleted and made anew, or somebody else who is given the address. Neither
// gets an account before an operator has decided (decision 23).
const (
	// tries bounds how often the map may change while an account is made.
	tries = 8
	// noteWait bounds how long a caller is held up by what it need not know.
	noteWait = 2 * time.Second
)

// note has the map remember what the entry of an account is called by now. The
// directory is asked, for the caller's entry may come from a cache that is
// behind. It reports whether that was settled; a failure stops nobody.
func (s *Store) note(ctx context.Context, id rookery.AccountID, owner rookery.Owner) (settled bool) {
	known, err := s.o.System.Owner(id)
	if err == nil && (known.Equal(owner) || known.Key != owner.Key) {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, noteWait)
	defer cancel()
	if err == nil && s.o.Entry != nil {
		owner, err = s.o.Entry(ctx, owner.Key)
	}
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return true // what it was last called stays
	case err == nil && !known.Equal(owner):
		err = s.noteOwner(ctx, id, owner)
	}
	if err != nil {
		s.o.Logger.Warn("the login and addresses of an account's entry could not be remembered; trying again when it is next seen",
			"account", id.String(), "entry", owner.Key, "error", err)
	}
	return err == nil
}

func (s *Store) noteOwner(ctx context.Context, id rookery.AccountID, owner rookery.Owner) error {
	_, _, err := s.apply(ctx, rookery.SystemGroup,
		&command.NoteOwner{Account: id, DirectoryKey: owner.Key, Login: owner.Login, Addresses: owner.Addresses, DN: owner.DN})
	return err
}

// free sees to it that no other account's entry has an address of an entry
// that is about to get an account, as far as this node knows.
func (s *Store) free(ctx context.Context, owner rookery.Owner) error {
	holders, err := s.o.System.Holders(owner.Addresses)
	for _, id := range holders {
		if err == nil {
			err = s.release(ctx, id, owner)
		}
	}
	return err
}

// release takes the addresses of an entry from another account, if the entry
// behind that lives and does not have them any more.
func (s *Store) release(ctx context.Context, id rookery.AccountID, owner rookery.Owner) error {
	held, err := s.o.System.Owner(id)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return nil // erased meanwhile
	case err != nil:
		return err
	}
	err = rookery.E("ask directory", rookery.KindNotFound, errors.New("nobody can be asked"))
	var live rookery.Owner
	if s.o.Entry != nil {
		live, err = s.o.Entry(ctx, held.Key)
	}
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return s.refuse(id, held, owner, "is not in the directory any more")
	case err != nil:
		return rookery.E("make account", rookery.KindUnavailable,
			fmt.Errorf("account %s had an address of this entry, and its own entry cannot be looked up: %w", id, err))
	case live.Shared(owner) != "":
		return s.refuse(id, live, owner, "still has it")
	}
	return s.noteOwner(ctx, id, live)
}

// refuse is the answer to an entry with an address of another account's.
func (s *Store) refuse(id rookery.AccountID, held, owner rookery.Owner, why string) error {
	address := held.Shared(owner)
	s.o.Logger.Error("no account is made for a directory entry: an address of it belongs to the account of another entry, which "+why,
		"address", address, "entry", owner.Key, "login", owner.Login, "account", id.String(), "account_entry", held.Key,
		"account_login", held.Login,
		"mend", "give the entry that account with: rookery account link "+address+
			", or erase that account by its id, or change the address in the directory")
	return rookery.E("make account", rookery.KindUnavailable, fmt.Errorf(
		"%s belongs to account %s of directory entry %s (%s), which %s; see: rookery account link", address, id, held.Key, held.Login, why))
}

// Linked says that entries may have other accounts than before.
func (s *Store) Linked() { s.minted.Purge() }
