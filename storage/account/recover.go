package account

import (
	"context"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// recoverPage is how many recoverable messages are looked at, or filed again, at
// once.
const recoverPage = 500

// Recoverable gives the expunged messages that can be recovered, as all nodes
// know them now, in the order of expunging, to fn, until it returns false.
func (a *Account) Recoverable(ctx context.Context, fn func(mailbox.Expunged) (more bool)) error {
	if err := a.Sync(ctx); err != nil {
		return err
	}
	v, err := a.View()
	if err != nil {
		return err
	}
	defer v.Close()
	var after command.ExpungedID
	for {
		page, err := v.Expunged(after, recoverPage)
		if err != nil {
			return err
		}
		for _, x := range page {
			if !fn(x) {
				return nil
			}
		}
		if len(page) < recoverPage {
			return nil
		}
		after = page[len(page)-1].ExpungedID
	}
}

// Recover files expunged messages again: in the mailbox called to, or, where
// that is empty, in the one each was in, which is made anew if it is gone. They
// get new UIDs and count towards the quota; what is filed before an error stays.
func (a *Account) Recover(ctx context.Context, messages []mailbox.Expunged, to string) (done int, err error) {
	by := map[rookery.MailboxID][]command.ExpungedID{}
	var order []rookery.MailboxID
	homes := map[string]rookery.MailboxID{}
	for _, x := range messages {
		home, err := a.home(ctx, &x, to, homes)
		if err != nil {
			return 0, err
		}
		if by[home] == nil {
			order = append(order, home)
		}
		by[home] = append(by[home], x.ExpungedID)
	}
	for _, home := range order {
		for part := range slices.Chunk(by[home], recoverPage) {
			if _, _, err := do[*command.CopyResult](ctx, a, &command.Recover{Account: a.id, Messages: part, To: home}); err != nil {
				return done, err
			}
			done += len(part)
		}
	}
	return done, nil
}

// home is the mailbox that a message goes to: by its id while it has one of its
// own, else by name.
func (a *Account) home(ctx context.Context, x *mailbox.Expunged, to string, homes map[string]rookery.MailboxID) (rookery.MailboxID, error) {
	name := command.NormalName(to)
	if name == "" {
		if v, err := a.View(); err == nil {
			box, err := v.Mailbox(x.Mailbox)
			v.Close()
			if err == nil {
				return box.ID, nil
			}
		}
		name = x.Name
	}
	if id, ok := homes[name]; ok {
		return id, nil
	}
	id, err := a.named(name)
	if rookery.Is(err, rookery.KindNotFound) {
		if _, _, err := a.CreateMailbox(ctx, command.CreateMailbox{Name: name}); err != nil && !rookery.Is(err, rookery.KindExists) {
			return 0, err
		}
		id, err = a.named(name)
	}
	if err == nil {
		homes[name] = id
	}
	return id, err
}

func (a *Account) named(name string) (rookery.MailboxID, error) {
	v, err := a.View()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	box, err := v.ByName(name)
	return box.ID, err
}
