// Package lists says who may send to a list of the directory, and what the list is
// called.
//
// It never looks anybody up, and never decides where mail goes.
package lists

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/directory"
)

// List is a list that mail goes to.
type List struct {
	// ID is its List-Id (RFC 2919), without angle brackets.
	ID string
	// rules say who may send to it; members are the keys of everybody behind it, and
	// external those known by address alone.
	rules    directory.List
	members  []directory.Entry
	external []rookery.Address
}

// New is the list at an address, with everybody behind it.
func New(addr rookery.Address, r *directory.Record, who directory.Expansion) *List {
	l := &List{ID: listID(addr), members: who.Accounts, external: who.External}
	if r.List != nil {
		l.rules = *r.List
	}
	return l
}

// ErrNotForYou is in the chain of the KindDenied of who may not send to a list. The text
// says who may.
var ErrNotForYou = errors.New("not allowed to send to this list")

// MaySend refuses who may not send to the list. user is who has signed in, nil where
// nobody has; from is the envelope's sender. The null sender is nobody's: it may where
// everybody may.
func (l *List) MaySend(user *directory.Entry, from string) error {
	refuse := func(who string) error {
		return rookery.E("send to list", rookery.KindDenied, fmt.Errorf("%w: %s", ErrNotForYou, who))
	}
	if l.rules.InsideOnly && user == nil {
		return refuse("only people of this site who have signed in may")
	}
	if len(l.rules.Moderators) > 0 && (user == nil || !l.named(l.rules.Moderators, user, "")) {
		return refuse("only its moderators may, signed in; mail is not held for them")
	}
	if len(l.rules.Senders) > 0 && !l.named(l.rules.Senders, user, from) {
		return refuse("only senders that are named for it may")
	}
	if l.rules.MembersOnly && !l.member(user, from) {
		return refuse("only its members may")
	}
	return nil
}

// named reports whether a sender is among DNs and addresses.
func (l *List) named(who []string, user *directory.Entry, from string) bool {
	has := func(a rookery.Address) bool {
		return slices.ContainsFunc(who, func(s string) bool {
			b, err := rookery.ParseAddress(s)
			return err == nil && b.Key() == a.Key()
		})
	}
	if user != nil {
		return slices.Contains(who, directory.NormalDN(user.DN)) || slices.ContainsFunc(user.Addresses, has)
	}
	a, err := rookery.ParseAddress(from)
	return err == nil && (has(a) || slices.ContainsFunc(l.members, func(e directory.Entry) bool {
		return e.Has(a) && slices.Contains(who, directory.NormalDN(e.DN))
	}))
}

func (l *List) member(user *directory.Entry, from string) bool {
	if user != nil {
		return slices.ContainsFunc(l.members, func(e directory.Entry) bool { return e.Key == user.Key })
	}
	a, err := rookery.ParseAddress(from)
	return err == nil && (slices.ContainsFunc(l.members, func(e directory.Entry) bool { return e.Has(a) }) ||
		slices.ContainsFunc(l.external, func(x rookery.Address) bool { return x.Key() == a.Key() }))
}

// listID is the List-Id of an address: a dot-atom (RFC 2919 2), whatever is in its local
// part.
func listID(a rookery.Address) string {
	local := strings.ToLower(a.Local)
	const atom = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-/=?^_`{|}~."
	if strings.Trim(local, atom) != "" || strings.Contains(local, "..") || strings.Trim(local, ".") != local {
		local = hex.EncodeToString([]byte(local))
	}
	return local + "." + strings.ToLower(a.Domain)
}
