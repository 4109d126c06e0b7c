package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery/lists"
)

// Destination is where mail for an address goes.
type Destination uint8

const (
	// Local is an account of this cluster.
	Local Destination = iota
	// Remote is another system that the domain's MX records name.
	Remote
	// Relay is the system that the directory names for a mailbox of this
	// site's domains: a company that moves over bit by bit has one.
	Relay
	// Forward is the addresses that the directory entry forwards to, without a
	// copy here.
	Forward
	// Bounce is the sender of a message that was forwarded, in another system: only
	// the null sender writes there.
	Bounce
)

// Route is the answer for one address.
type Route struct {
	To      Destination
	Address rookery.Address
	// Account gets the mail, of Local only.
	Account rookery.AccountID
	// Host is the next hop, of Relay only.
	Host string
	// Forward is where mail goes besides (Local), or instead (Forward); nil nowhere.
	Forward *Forwarding
	// By is the mailbox that forwards here, of routes that Expand gives.
	By rookery.Address
	// List is set where the address is a list's, of Forward only: its members are whom it
	// is forwarded to.
	List *lists.List
}

// ErrDirectory is in an error's chain when the directory could not say where
// mail goes.
var ErrDirectory = errors.New("the directory does not say whose address it is")

// Ensurer gives the account of a directory entry; account.Store does.
type Ensurer interface {
	Ensure(ctx context.Context, owner rookery.Owner, quota int64) (rookery.AccountID, error)
}

// Router knows where mail goes. Directory and Accounts are required.
type Router struct {
	Directory directory.Directory
	Accounts  Ensurer
	// Postmaster gets the mail for postmaster@ and abuse@ each local domain (RFC 5321
	// 4.5.1, RFC 2142 4) where the directory has no such address, and at address
	// literals of our own; zero, or nil, has it come again: ErrNoPostmaster.
	Postmaster func() rookery.Address
	// CatchAll gets what is for nobody in a local domain; zero, or nil, refuses it.
	CatchAll func(domain string) rookery.Address
	// Lists knows lists; nil: there are none.
	Lists Lists
	// Own reports whether an address is one of this node's; nil: none is.
	Own func(netip.Addr) bool
	// DefaultQuota is the quota in bytes of entries that have none; 0, or nil,
	// is no limit.
	DefaultQuota func() int64
	// SRSKeys are those under which senders of forwarded mail are rewritten, the one
	// in use first; nil: none are, and nothing is forwarded to other systems.
	SRSKeys func() [][]byte
	// Clock dates rewritten senders; nil is time.Now.
	Clock func() time.Time
}

// Route says where mail for an address goes; an account is minted on first
// sight. KindNotFound: the domain is this system's and nobody has the address.
// Every other error is of our own parts and temporary.
func (r *Router) Route(ctx context.Context, addr rookery.Address) (Route, error) {
	route := Route{Address: addr}
	if r.ownLiteral(addr.Domain) {
		if !forPostmaster(addr) {
			return route, rookery.E("route", rookery.KindNotFound, errors.New("at an address literal only the postmaster gets mail"))
		}
	} else if !r.Directory.Local(addr.Domain) {
		route.To = Remote
		return route, nil
	}
	if back, ok, err := r.bounced(ctx, addr); ok {
		return back, err
	}
	if list, ok, err := r.list(ctx, addr); ok {
		return list, err
	}
	entry, err := r.Directory.Recipient(ctx, addr)
	if rookery.Is(err, rookery.KindNotFound) && forPostmaster(addr) {
		if entry, err = r.postmaster(ctx); errors.Is(err, ErrNoPostmaster) {
			return route, err
		}
	}
	if rookery.Is(err, rookery.KindNotFound) {
		entry, err = r.caught(ctx, addr, err)
	}
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return route, err
	case err != nil:
		return route, rookery.E("route", rookery.KindUnknown, fmt.Errorf("%w: %w", ErrDirectory, err))
	case entry.Host != "":
		route.To, route.Host = Relay, entry.Host
		return route, nil
	case entry.ForwardOnly:
		route.To, route.Forward = Forward, r.forwarding(&entry)
		return route, nil
	}
	route.Forward = r.forwarding(&entry)
	route.Account, err = r.Account(ctx, entry)
	return route, err
}

// Account is the account of a directory entry, minted on first sight. Every error
// is temporary.
func (r *Router) Account(ctx context.Context, entry directory.Entry) (rookery.AccountID, error) {
	quota := entry.Quota
	if quota == 0 && r.DefaultQuota != nil {
		quota = r.DefaultQuota()
	}
	id, err := r.Accounts.Ensure(ctx, entry.Owner(), quota)
	if err != nil {
		return id, rookery.E("route", rookery.KindUnknown, err)
	}
	return id, nil
}
