// Package account is what the protocols see of the storage: a person's or
// shared mailbox's store, opened by its id, read through consistent views and
// changed through commands that a quorum has agreed on before they answer.
//
// It owns the way from a directory entry to an account (minting it on first
// sight), the account keys held in memory, the reading of extracts and bodies,
// the splitting of long UID lists, and the waking of sessions. It never knows
// how agreement is reached (Log is an interface), speaks no protocol, and keeps
// nothing on disk.
package account

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/pack/read"
	"rookery/storage/system"
)

// Log is the road of commands: agreement by a quorum, seen from this package.
type Log interface {
	// Apply has the group agree on the command (as command.Encode wrote it)
	// and returns where it lies in the group's log and what the machine
	// answered, as state.EncodeResult wrote it. Ids, time and retries of a
	// doubtful outcome are its business: the command is applied at most once
	// however often it is sent. The error is about the road only:
	// KindUnavailable when no quorum was reached, KindUnknown when ctx ended
	// in doubt.
	Apply(ctx context.Context, group rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error)
	// Barrier returns when this node has applied everything acknowledged
	// anywhere in the group before the call began: a linearizable read point.
	Barrier(ctx context.Context, group rookery.GroupID) error
	// Wait returns when this node has applied the group's log up to index.
	Wait(ctx context.Context, group rookery.GroupID, index rookery.LogIndex) error
}

// Options are what a Store is made of. All but Logger, Clock and MaxCached are
// required.
type Options struct {
	Log     Log
	Machine func(rookery.GroupID) *mailbox.Machine // nil: this node has no replica of the group
	System  *system.Machine
	// Remote asks another node for the facts of an account in a group that
	// has no replica here. nil: nobody can be asked.
	Remote func(context.Context, rookery.GroupID, rookery.AccountID) (Facts, error)
	Keys   *keys.Keyring
	// Fetch brings tenant keys that this node's keyring lacks from another
	// node. nil: nobody can be asked.
	Fetch  func(context.Context) error
	Bodies *read.Bodies
	// Entry asks the directory for an entry by its key as it is now, past every
	// cache. KindNotFound: the directory has it no more. nil: nobody can be asked.
	Entry func(ctx context.Context, directoryKey string) (rookery.Owner, error)
	// Groups are the mail groups that new accounts are spread over now; never
	// empty.
	Groups func() []rookery.GroupID
	Logger *slog.Logger
	// Clock gives proposed UIDVALIDITY values; default time.Now.
	Clock func() time.Time
	// MaxCached bounds the accounts whose key and handle stay in memory
	// (default 50,000; about 600 bytes each). Handles in use stay valid.
	MaxCached int
}

// Store opens accounts. All methods may be called concurrently.
type Store struct {
	o       Options
	watch   watchers
	changes atomic.Uint64 // of account keys

	open    *lru.Cache[rookery.AccountID, *Account]
	minted  *lru.Cache[string, minted]
	minting singleflight.Group // by directory key
}

// New makes a Store. It does no I/O.
func New(o Options) *Store {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxCached <= 0 {
		o.MaxCached = 50_000
	}
	s := &Store{o: o}
	s.open, _ = lru.New[rookery.AccountID, *Account](o.MaxCached) // fails for a size below 1 only
	s.minted, _ = lru.New[string, minted](o.MaxCached)
	return s
}

// Account is one open account. It holds no resource and needs no close; it may
// be kept for a session's life and used concurrently.
type Account struct {
	store *Store
	id    rookery.AccountID

	mu     sync.Mutex
	group  rookery.GroupID // where it was last found
	opened opened
}

// Open gives the handle of an account that exists. KindNotFound: no such
// account is known here even after a barrier of the system group.
// KindUnavailable: the system group does not answer. An account of a group
// without a replica here opens too: it can be delivered to, but not looked at.
func (s *Store) Open(ctx context.Context, id rookery.AccountID) (*Account, error) {
	return s.openAccount(ctx, id)
}

// ID is the account's name for ever.
func (a *Account) ID() rookery.AccountID { return a.id }

// Sync returns when this node shows everything acknowledged on any node before
// the call began. KindUnavailable: no quorum; KindMoved: the account is on its
// way to another group for longer than a call may wait.
func (a *Account) Sync(ctx context.Context) error {
	return a.following(ctx, moveWait, func(group rookery.GroupID) error {
		if err := a.store.o.Log.Barrier(ctx, group); err != nil {
			if a.store.o.Machine(group) == nil {
				return errors.Join(errAway, err)
			}
			return err
		}
		// After the barrier this node knows of every move that ended before.
		v, err := a.viewIn(group)
		if err == nil {
			v.Close()
		}
		if rookery.Is(err, rookery.KindMoved) || errors.Is(err, errAway) {
			return err
		}
		return nil
	})
}

// View opens one consistent snapshot of the account on this node. It lives for
// one command; the caller closes it. KindNotFound: not there (erased, or not
// yet applied here). KindMoved: on its way to another group; a view waits a few
// seconds for that. KindUnavailable: its group has no replica here (any more).
func (a *Account) View() (v *mailbox.View, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), viewWait)
	defer cancel()
	err = a.following(ctx, viewWait, func(group rookery.GroupID) error {
		v, err = a.viewIn(group)
		return err
	})
	return v, err
}

func (a *Account) viewIn(group rookery.GroupID) (*mailbox.View, error) {
	m := a.store.o.Machine(group)
	if m == nil {
		return nil, errAway
	}
	return m.View(a.id)
}

var errAway = rookery.E("open account", rookery.KindUnavailable,
	errors.New("this node holds no replica of the account's group; another node serves it"))
