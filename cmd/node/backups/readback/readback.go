// Package readback is the order to read the archive back: it says what is to be verified,
// opens messages with the keys of their accounts, and words for operators what is found.
//
// It owns the order alone; package verify owns what counts as a fault.
package readback

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"rookery"
	"rookery/backup/past"
	"rookery/backup/retention"
	"rookery/backup/sealed"
	"rookery/backup/verify"
	"rookery/cmd/node/adminapi"
	"rookery/storage/account"
	"rookery/storage/archivekey"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/keys"
)

// Options are what an order works with. All are required.
type Options struct {
	Cluster string
	DataDir string
	// Store is the backup store, Live that of packs.
	Store, Live blob.Store
	Keys        sealed.Keys
	// SealedKeys are the archive's keys as the cluster keeps them, KeptKeys those that lie
	// beside the archive, below KeysPrefix.
	SealedKeys func() (archivekey.Keys, error)
	KeptKeys   func(context.Context) ([]command.ArchiveKey, error)
	KeysPrefix string
	// Beside are how names of objects begin that are no part of the archive.
	Beside   []string
	Accounts *account.Store
	// Groups are those that the archive should have.
	Groups func() ([]rookery.GroupID, error)
	Rules  retention.Rules
	Now    func() (time.Time, error)
	// Room refuses where the disk is nearly full.
	Room func() error
}

// sampleUsually is how many messages of a group a sample reads unless told, sampleMost how
// many it may.
const (
	sampleUsually = 200
	sampleMost    = 1_000_000
)

// keysWait is how long keys that changed may take to lie beside the archive.
const keysWait = 10 * time.Second

// Run reads the archive back, and tells what is wrong as adminapi.VerifyEvents, the sum
// last. account, where set, is the one whose messages are read; its group alone is looked
// at then. Errors: KindInvalid, there is no such depth; KindUnavailable, a store does not
// answer; the error of event. What is wrong with the archive is no error.
func Run(ctx context.Context, s Options, account rookery.AccountID, o adminapi.VerifyOrder, event func(any) error) error {
	x := verify.Options{
		Archive: &past.Archive{Cluster: s.Cluster, Store: s.Store, Keys: s.Keys}, Account: account, Depth: verify.Depth(o.Depth),
		Sample: o.Sample, Rules: s.Rules, Now: s.Now, Beside: s.Beside, Live: s.Live,
		Dir: filepath.Join(s.DataDir, "tmp", "restore"), Key: s.keyOf,
		Found: func(f verify.Finding) error { return event(adminapi.VerifyEvent{Finding: findingOf(&f)}) },
		Progress: func(p verify.Progress) error {
			return event(adminapi.VerifyEvent{Progress: &adminapi.VerifyProgress{Group: p.Group, Messages: p.Bodies, Done: p.Done, Of: p.Of}})
		},
	}
	if err := s.what(ctx, &x); err != nil {
		return err
	}
	unkept := 0
	if x.Only == 0 {
		var err error
		if unkept, err = s.keys(ctx, event); err != nil {
			return err
		}
	}
	r, err := verify.Run(ctx, x)
	if err != nil {
		return err
	}
	return event(adminapi.VerifyEvent{Result: &adminapi.VerifyResult{Images: r.Images, Segments: r.Segments, Bytes: r.Bytes, Packs: r.Packs,
		Messages: r.Messages, Unchecked: r.Unchecked, Findings: r.Findings + unkept, Gaps: r.Gaps}})
}

// what checks the order, and fills in which groups it is about.
func (s *Options) what(ctx context.Context, x *verify.Options) (err error) {
	const op = "verify"
	if x.Depth == "" {
		x.Depth = verify.Metadata
	}
	if x.Sample == 0 {
		x.Sample = sampleUsually
	}
	switch {
	case !slices.Contains([]verify.Depth{verify.Metadata, verify.Sample, verify.All}, x.Depth):
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("there is no depth %q: it is metadata, sample or all", x.Depth))
	case x.Sample < 0 || x.Sample > sampleMost:
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("a sample has 1 to %d messages of each group", sampleMost))
	case x.Depth != verify.Metadata:
		if err := s.Room(); err != nil {
			return err
		}
	}
	if x.Account != (rookery.AccountID{}) {
		x.Only, err = s.Accounts.Group(ctx, x.Account)
		x.Groups = []rookery.GroupID{x.Only}
		return err
	}
	x.Groups, err = s.Groups()
	return err
}

// keyOf opens an account's messages. KindNotFound: the account was erased.
func (s *Options) keyOf(ctx context.Context, id rookery.AccountID) (*keys.AccountKey, error) {
	if _, err := s.Accounts.Group(ctx, id); err != nil {
		return nil, err
	}
	a, err := s.Accounts.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	key, err := a.Key(ctx)
	if rookery.Is(err, rookery.KindNotFound) { // there is the account, and not here
		err = rookery.E("open account key", rookery.KindUnavailable, err)
	}
	return key, err
}

// keys tells where the keys beside the archive are not those in use: a recovery kit
// would not open it.
func (s *Options) keys(ctx context.Context, event func(any) error) (found int, err error) {
	why, err := s.keysWrong(ctx)
	if err == nil && why != "" {
		// Perhaps they have just changed, and are written anew.
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(keysWait):
		}
		why, err = s.keysWrong(ctx)
	}
	if err != nil || why == "" {
		return 0, err
	}
	return 1, event(adminapi.VerifyEvent{Finding: &adminapi.VerifyFinding{Key: s.KeysPrefix, Fault: string(verify.Unkept), Detail: why,
		Mend: "the nodes open the archive as before, and a recovery kit would not; the node that leads the cluster writes them anew within " +
			"10 minutes: verify again then, and look at rookery status"}})
}

// keysWrong says in which way the keys beside the archive are not those in use.
func (s *Options) keysWrong(ctx context.Context) (why string, err error) {
	version, _, err := s.Keys.Current(ctx)
	if err != nil {
		return "", err
	}
	want, err := s.SealedKeys()
	if err != nil {
		return "", err
	}
	kept, err := s.KeptKeys(ctx)
	switch {
	case rookery.Is(err, rookery.KindNotFound), rookery.Is(err, rookery.KindDamaged):
		return err.Error(), nil
	case err != nil:
		return "", err
	case !slices.ContainsFunc(kept, func(k command.ArchiveKey) bool { return k.Version == version }):
		return fmt.Sprintf("the keys in the backup store do not have version %d, which is in use", version), nil
	}
	for _, k := range want.Keys {
		if !slices.Contains(kept, k) {
			return fmt.Sprintf("key %d in the backup store is not sealed as the cluster keeps it", k.Version), nil
		}
	}
	return "", nil
}

func findingOf(f *verify.Finding) *adminapi.VerifyFinding {
	a := &adminapi.VerifyFinding{Group: f.Group, Key: f.Key, Fault: string(f.Fault), Detail: f.Detail, Lost: f.Lost, Mend: f.Mend}
	if f.Lost {
		a.From, a.To = stamp(f.From), stamp(f.To)
	}
	if f.Account != (rookery.AccountID{}) {
		a.Account = f.Account.String()
		a.At = stamp(f.At)
	}
	if f.Email != (rookery.EmailID{}) {
		a.Email = f.Email.String()
	}
	return a
}

// stamp is a time in UTC; nil where there is none.
func stamp(t time.Time) *time.Time {
	if t.IsZero() || t.UnixNano() <= 0 {
		return nil
	}
	t = t.UTC()
	return &t
}
