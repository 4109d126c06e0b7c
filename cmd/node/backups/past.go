package backups

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/cmd/node/peers"
	"rookery/storage/body"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// settled is how old a time has to be so that everything up to it is in the archive
// without asking for it.
const settled = 30 * time.Second

// Past brings an account back as it was. The account has to exist: the keys of one that
// was erased are gone, and so is what was sealed under them.
func (s *Service) Past(ctx context.Context, id rookery.AccountID, at time.Time) (*past.Past, error) {
	store, err := s.use()
	if err != nil {
		return nil, err
	}
	now := s.o.Clock()
	switch {
	case at.IsZero():
		return nil, rookery.E("restore", rookery.KindInvalid, errors.New("say as of which time, like 2026-11-30T10:00:00Z"))
	case at.After(now):
		return nil, rookery.E("restore", rookery.KindInvalid, fmt.Errorf("%s is in the future", at.UTC().Format(time.RFC3339)))
	case now.Sub(at) < settled || s.behind(ctx, at):
		if _, err := s.ArchiveNow(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.o.Room(); err != nil {
		return nil, err
	}
	groups, err := s.groupsOf(ctx, store, id)
	if err != nil {
		return nil, err
	}
	from := &past.Archive{Cluster: s.o.Cluster, Store: store, Keys: s.o.Keys}
	var first error
	for _, group := range groups {
		p, err := past.Open(ctx, past.Options{Archive: from, Dir: filepath.Join(s.o.DataDir, "tmp", "restore"), Group: group, Account: id,
			At: at.UnixNano()})
		if err == nil {
			return p, nil
		}
		if first == nil {
			first = err
		}
		if !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindMoved) {
			return nil, err
		}
	}
	return nil, first
}

// pastAgain is Past, where that was not asked for just now.
func (s *Service) pastAgain(ctx context.Context, id rookery.AccountID, at time.Time) (*past.Past, error) {
	if _, err := s.groupNow(ctx, id); err != nil {
		return nil, err
	}
	if p := s.again.take(moment{id, at.UnixNano()}); p != nil {
		return p, nil
	}
	return s.Past(ctx, id, at)
}

// groupNow is the group that an account is in.
func (s *Service) groupNow(ctx context.Context, id rookery.AccountID) (rookery.GroupID, error) {
	now, err := s.o.Accounts.Group(ctx, id)
	if rookery.Is(err, rookery.KindNotFound) {
		err = rookery.E("restore", rookery.KindNotFound, fmt.Errorf("there is no account %s: one that was erased cannot be brought back, "+
			"since its key was destroyed", id))
	}
	return now, err
}

// behind reports whether something from before a time may not be archived yet.
func (s *Service) behind(ctx context.Context, at time.Time) bool {
	st, behind, err := s.ask(ctx, peers.ArchiveOrder{Tell: true}, askWait)
	if err != nil || len(behind) > 0 {
		return true
	}
	now := s.o.Clock()
	for _, g := range st.Groups {
		if g.Pending > 0 && now.Add(-time.Duration(g.Lag*float64(time.Second))).Before(at) {
			return true
		}
	}
	return false
}

// groupsOf are the groups that an account may have been in: the one that it is in, and
// then all that are in the archive.
func (s *Service) groupsOf(ctx context.Context, store *opened, id rookery.AccountID) ([]rookery.GroupID, error) {
	now, err := s.groupNow(ctx, id)
	if err != nil {
		return nil, err
	}
	images, err := archive.Images(ctx, store, 0)
	groups := []rookery.GroupID{now}
	for _, i := range images {
		if i.Group != rookery.SystemGroup && groups[len(groups)-1] != i.Group && i.Group != now {
			groups = append(groups, i.Group)
		}
	}
	return groups, err
}

// reader opens a message of the past.
func (s *Service) reader(p *past.Past, v *mailbox.View, key *keys.AccountKey, e mailbox.Email) (*body.Reader, error) {
	return readerOf(v, key, e, func(b mailbox.Body) body.Only {
		return func(ctx context.Context, buf []byte, off int64) error { return p.ReadBody(ctx, s.o.Live, b, buf, off) }
	})
}

// readerOf opens a message of the past; from gives the encoded bytes of its body.
func readerOf(v *mailbox.View, key *keys.AccountKey, e mailbox.Email, from func(mailbox.Body) body.Only) (*body.Reader, error) {
	b, err := v.Body(e.Body)
	if err != nil {
		return nil, err
	}
	own, err := key.UnwrapMessage(e.ID, e.Key)
	if err != nil {
		return nil, err
	}
	var layout body.Layout
	if err := layout.UnmarshalBinary(b.Layout); err != nil {
		return nil, err
	}
	return body.NewReader(layout, own, from(b)), nil
}

// extract opens what was extracted from a message of the past.
func (s *Service) extract(ctx context.Context, p *past.Past, v *mailbox.View, key *keys.AccountKey, e mailbox.Email) (
	*message.Extract, error) {
	if len(e.Extract) > 0 {
		own, err := key.UnwrapMessage(e.ID, e.Key)
		if err != nil {
			return nil, err
		}
		return body.Open(e.Extract, own)
	}
	r, err := s.reader(p, v, key, e)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Extract(ctx)
}
