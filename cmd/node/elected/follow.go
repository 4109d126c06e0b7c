package elected

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/directory/replica"
	"rookery/storage/command"
	"rookery/storage/system/people"
)

const (
	// retryFirst and retryMost are how long a follower rests after a failure.
	retryFirst = time.Second
	retryMost  = time.Minute
	// quiet is how long a batch that changes nothing is not written: it says only
	// that the copy is fresh.
	quiet = 20 * time.Second
	// batchBytes bounds what one command has of entries: it has to fit an entry of
	// the log.
	batchBytes = 512 << 10
)

// following is one directory while it is followed.
type following struct {
	s      *Service
	source Source
	stop   context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	err   error
	unfit string // the last entry that cannot be copied, and why
	// taken is how many batches the copy has by this node; more is how many it had
	// when that was last compared, where these were more.
	taken, more uint64
	again       context.CancelFunc // ends the present round
}

func (f *following) problem() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return f.err.Error()
	case f.unfit != "":
		return f.unfit
	}
	return ""
}

func (f *following) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// run follows until ctx ends, with rests after failures that grow until something
// is learnt again.
func (f *following) run(ctx context.Context) {
	wait := retryFirst
	for ctx.Err() == nil {
		learnt, err := f.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("following the directory ended by itself")
		}
		f.note(err)
		if learnt {
			wait = retryFirst
		}
		f.s.o.Logger.Warn("the directory cannot be followed; trying again", "directory", f.source.Name, "in", wait, "error", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, retryMost)
	}
}

// once follows from where the copy is.
func (f *following) once(ctx context.Context) (learnt bool, err error) {
	ctx, again := context.WithCancel(ctx)
	defer again()
	if err := f.s.o.Groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return false, err
	}
	d, _, err := f.s.o.Groups.System().People().Directory(f.source.ID)
	if err != nil {
		return false, err
	}
	at := &position{Directory: d}
	f.mu.Lock()
	f.taken, f.more, f.again = d.Batches, 0, again
	f.mu.Unlock()
	err = f.source.Follower.Follow(ctx, d.Cookie, func(b directory.Batch) error {
		err := f.take(ctx, at, b)
		if err == nil {
			learnt = true
			f.note(nil)
		}
		return err
	})
	return learnt, err
}

// position is how the copy stands as this node has fed it.
type position struct {
	people.Directory
	told time.Time // when a batch was last written
}

// take has the cluster take over a batch, in as many commands as it needs.
func (f *following) take(ctx context.Context, at *position, b directory.Batch) error {
	now := f.s.o.Clock()
	idle := len(b.Changed) == 0 && len(b.Gone) == 0 && !b.Full && (!b.Complete || !at.Reading)
	if idle && now.Sub(at.told) < quiet {
		return nil
	}
	all, err := f.commands(b)
	if err != nil {
		return err
	}
	for _, c := range all {
		c.After = at.Batches
		if _, err := f.s.o.Groups.ProposeSystem(ctx, c); err != nil {
			return err
		}
		at.Batches++
		f.mu.Lock()
		f.taken = at.Batches
		f.mu.Unlock()
	}
	at.told = now
	if at.Reading = (at.Reading || b.Full) && !b.Complete; b.Complete {
		at.Complete = now.UnixNano()
	}
	return nil
}

// compare begins anew where the copy is not as this node has left it, at two looks:
// an operator has rejected a change, so that everything is to be read.
func (f *following) compare(batches uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.again == nil || batches <= f.taken:
		f.more = 0
	case f.more == batches:
		f.again()
	default:
		f.more = batches
	}
}

// commands cuts a batch into commands. Entries that the copy has as they are, which are
// most of a read of everything, are named alone: the log need not carry them again.
func (f *following) commands(b directory.Batch) ([]*command.CopyPeople, error) {
	c := &command.CopyPeople{Directory: f.source.ID, Full: b.Full}
	all := []*command.CopyPeople{c}
	entries, size := 0, 0
	room := func(bytes int) *command.CopyPeople {
		if entries+1 > command.MaxPeople || entries > 0 && size+bytes > batchBytes {
			c = &command.CopyPeople{Directory: f.source.ID}
			all = append(all, c)
			entries, size = 0, 0
		}
		entries, size = entries+1, size+bytes
		return c
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range b.Changed {
		r := &b.Changed[i]
		if !f.ours(r.Key) {
			continue
		}
		coded, err := replica.Encode(*r)
		if err != nil {
			f.cannot(r.DN, err)
			x := room(len(r.Key))
			x.Named = append(x.Named, r.Key)
			continue
		}
		p := command.Person{Key: r.Key, Value: coded.Value, Index: coded.Index, Has: coded.Has, Disabled: r.Disabled}
		known, err := f.s.o.Has(&p)
		if err != nil {
			return nil, err
		}
		if known {
			x := room(len(r.Key))
			x.Named = append(x.Named, r.Key)
			continue
		}
		bytes := len(r.Key) + len(coded.Value)
		for _, s := range coded.Index {
			bytes += len(s)
		}
		x := room(bytes)
		x.Changed = append(x.Changed, p)
	}
	for _, key := range b.Gone {
		if f.ours(key) {
			x := room(len(key))
			x.Gone = append(x.Gone, key)
		}
	}
	c.Complete = b.Complete
	if c.Cookie = b.Cookie; len(b.Cookie) > command.MaxPeopleCookie {
		c.Cookie = nil // everything is read again after a restart
	}
	return all, nil
}

// ours reports whether a key can be one of the directory.
func (f *following) ours(key string) bool {
	ok := strings.HasPrefix(key, f.source.ID+"/") && len(key) > len(f.source.ID)+1 && len(key) <= people.MaxKey
	if !ok {
		f.cannot(key, errors.New("its key is not one of this directory"))
	}
	return ok
}

// cannot tells of an entry that cannot be copied. The caller holds the lock.
func (f *following) cannot(who string, err error) {
	f.unfit = fmt.Sprintf("the entry %.200q cannot be copied and is looked up when it is needed: %v", who, err)
	f.s.o.Logger.Warn("a directory entry cannot be copied; it is looked up when it is needed", "directory", f.source.Name, "entry", who,
		"error", err)
}
