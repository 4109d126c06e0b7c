package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
)

func (a *Server) postLink(w http.ResponseWriter, r *http.Request) {
	var in struct {
		To string `json:"to"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
		replyError(w, rookery.E("link account", rookery.KindInvalid, err))
		return
	}
	l, err := a.link(r.Context(), r.PathValue("who"), in.To)
	if err != nil {
		replyError(w, err)
		return
	}
	noteDetail(w, fmt.Sprintf("entry %s has account %s, which was of entry %s", l.Entry, l.Account, l.Former))
	reply(w, l)
}

// link binds the entry that the directory has for an address or a login to an
// account: named by its id or an address it had, or by the first address too.
func (a *Server) link(ctx context.Context, who, to string) (l adminapi.Linked, err error) {
	if err := a.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return l, err
	}
	entry, err := a.o.Directory.Named(ctx, who)
	if err != nil {
		return l, err
	}
	owner := entry.Owner()
	own, err := a.o.Replicas.System().ByKey(owner.Key)
	if err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return l, err
	}
	target, err := a.linkTarget(cmp.Or(to, who), own.Account)
	if err != nil {
		return l, err
	}
	former, err := a.o.Replicas.System().Owner(target)
	if err != nil {
		return l, err
	}
	l = adminapi.Linked{Entry: owner.Key, Former: former.Key, Account: target.String()}
	if own.Account != target && own.Account != (rookery.AccountID{}) {
		if err := a.isEmpty(ctx, own.Account, owner.Key); err != nil {
			return l, err
		}
		l.Left = own.Account.String()
	}
	_, err = a.o.Replicas.ProposeSystem(ctx, &command.LinkAccount{
		Account: target, DirectoryKey: owner.Key, Login: owner.Login, Addresses: owner.Addresses, DN: owner.DN, Other: own.Account,
	})
	if err == nil {
		err = a.o.Replicas.Barrier(ctx, rookery.SystemGroup)
	}
	return l, err
}

// linkTarget is the account with an id, or the only one besides own whose owner
// was last seen with an address.
func (a *Server) linkTarget(to string, own rookery.AccountID) (rookery.AccountID, error) {
	const op = "link account"
	if id, err := rookery.ParseAccountID(to); err == nil {
		return id, nil
	}
	addr, err := rookery.ParseAddress(to)
	if err != nil {
		return rookery.AccountID{}, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%q is neither an address nor the id of an account", to))
	}
	holders, err := a.o.Replicas.System().Holders([]string{addr.Key()})
	if err != nil {
		return rookery.AccountID{}, err
	}
	holders = slices.DeleteFunc(holders, func(id rookery.AccountID) bool { return id == own })
	switch len(holders) {
	case 0:
		return rookery.AccountID{}, rookery.E(op, rookery.KindNotFound, fmt.Errorf(
			"no other account's owner was last seen with %s; name the account by its id, see: rookery account list", to))
	case 1:
		return holders[0], nil
	}
	return rookery.AccountID{}, rookery.E(op, rookery.KindConflict,
		fmt.Errorf("%d accounts had %s: name one by its id: %v", len(holders), to, holders))
}

// isEmpty refuses to part an entry from an account with mail.
func (a *Server) isEmpty(ctx context.Context, id rookery.AccountID, entry string) error {
	x, err := a.o.Accounts.Open(ctx, id)
	if err == nil {
		err = x.Sync(ctx)
	}
	if rookery.Is(err, rookery.KindNotFound) {
		return nil // on the map, and not made in its group yet
	}
	if err != nil {
		return err
	}
	f, err := x.Facts(ctx)
	if err != nil {
		return err
	}
	if f.Used > 0 {
		return rookery.E("link account", rookery.KindExists, fmt.Errorf(
			"directory entry %s has account %s with %d bytes of mail: move that mail away first, or erase that account by its id", entry,
			id, f.Used))
	}
	return nil
}
