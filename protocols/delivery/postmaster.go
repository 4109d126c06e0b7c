package delivery

import (
	"context"
	"errors"
	"net/netip"
	"strings"

	"rookery"
	"rookery/directory"
)

// ErrNoPostmaster is in the chain of the KindUnavailable of mail for postmaster@ or
// abuse@ that nobody gets: a system has to take it, so it waits until the setting
// postmaster names somebody.
var ErrNoPostmaster = errors.New("nobody gets the mail for postmaster and abuse: set postmaster")

// forPostmaster reports whether the postmaster is to get what nobody has by name.
func forPostmaster(a rookery.Address) bool {
	local, _ := a.Detail()
	return strings.EqualFold(local, "postmaster") || strings.EqualFold(local, "abuse")
}

// postmaster is the entry that the setting names.
func (r *Router) postmaster(ctx context.Context) (directory.Entry, error) {
	var p rookery.Address
	if r.Postmaster != nil {
		p = r.Postmaster()
	}
	if p == (rookery.Address{}) {
		return directory.Entry{}, rookery.E("route", rookery.KindUnavailable, ErrNoPostmaster)
	}
	entry, err := r.Directory.Recipient(ctx, p)
	if rookery.Is(err, rookery.KindNotFound) {
		err = rookery.E("route", rookery.KindUnavailable, ErrNoPostmaster)
	}
	return entry, err
}

// errNoCatchAll is told to come again: somebody is to get it, and does not for now.
var errNoCatchAll = errors.New("the address that gets what is for nobody in the domain is not in the directory: mend catch_all")

// caught is the entry that gets what is for nobody in a domain; the error is none
// where there is one, else what it was.
func (r *Router) caught(ctx context.Context, addr rookery.Address, none error) (directory.Entry, error) {
	if r.CatchAll == nil {
		return directory.Entry{}, none
	}
	to := r.CatchAll(addr.Domain)
	if to == (rookery.Address{}) {
		return directory.Entry{}, none
	}
	entry, err := r.Directory.Recipient(ctx, to)
	if rookery.Is(err, rookery.KindNotFound) {
		err = rookery.E("route", rookery.KindUnavailable, errNoCatchAll)
	}
	return entry, err
}

// ownLiteral reports whether a domain is an address literal (RFC 5321 4.1.3) of this
// node.
func (r *Router) ownLiteral(domain string) bool {
	text, ok := strings.CutPrefix(domain, "[")
	if !ok || r.Own == nil {
		return false
	}
	text = strings.TrimSuffix(text, "]")
	if tag := "IPv6:"; len(text) > len(tag) && strings.EqualFold(text[:len(tag)], tag) {
		text = text[len(tag):]
	}
	a, err := netip.ParseAddr(text)
	return err == nil && r.Own(a.Unmap())
}
