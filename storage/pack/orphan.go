package pack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// SweepOptions are what an orphan sweep works with. All are required.
type SweepOptions struct {
	Store   blob.Store
	Cluster string // whose claim is on the store, see Claim
	// Strangers are those of the ids that no pack of a group has and none can
	// ever have, behind a read barrier of the group, as
	// mailbox.Machine.Strangers tells. KindNotFound: the cluster has no such
	// group. Any other error ends the sweep before it has deleted anything.
	Strangers func(context.Context, rookery.GroupID, []command.PackID) ([]command.PackID, error)
	// Before is the time of naming up to which packs are asked about, and the
	// time before which an upload must have begun to be taken for abandoned.
	Before time.Time
	// Delete acts; without it the sweep only looks.
	Delete bool
	// Found is told of each orphan, Progress how far the sweep is. Their errors
	// end it.
	Found    func(Orphan) error
	Progress func(Swept) error
}

// Orphan is an object, or an upload, that nobody will ever point to.
type Orphan struct {
	Key      string    `json:"key"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Upload   bool      `json:"upload,omitempty"`
}

// Swept is what a sweep has done.
type Swept struct {
	// Parts are listed of PartsOf, in which the names are spread evenly.
	Parts   int `json:"parts"`
	PartsOf int `json:"parts_of"`
	// Objects were looked at. Young of them may still become known, Foreign
	// are no packs of this cluster's groups and are never touched.
	Objects int `json:"objects"`
	Young   int `json:"young"`
	Foreign int `json:"foreign"`
	// Orphans and Bytes were found, Deleted of them deleted; Uploads were
	// abandoned, Aborted of them aborted.
	Orphans int   `json:"orphans"`
	Bytes   int64 `json:"orphan_bytes"`
	Deleted int   `json:"deleted"`
	Uploads int   `json:"uploads"`
	Aborted int   `json:"aborted"`
	// UploadsHidden says that the credentials may not list uploads.
	UploadsHidden bool `json:"uploads_hidden,omitempty"`
	// More says that there are more orphans than one sweep takes.
	More bool `json:"more,omitempty"`
}

const (
	sweepParts = 256     // of the key space, by the two digits that names begin with
	askAtOnce  = 500     // ids in one question to a group
	maxOrphans = 100_000 // of one sweep
	deleteStep = 1000    // objects in one request
)

// Sweep looks for objects that no group knows and none can ever know: what
// packers left that died between a PUT and the group's word. It never races a
// commit, however long a packer was stalled: an object counts only once its
// name has expired, after which the group refuses it. First everything is
// looked at, then, if every group has answered, deleted. Objects that are not
// named as packs of this cluster's groups are passed over.
func Sweep(ctx context.Context, o SweepOptions) (Swept, error) {
	s := &sweep{SweepOptions: o, asking: map[rookery.GroupID][]blob.Info{}}
	s.done.PartsOf = sweepParts
	if err := alone(ctx, o.Store, o.Cluster); err != nil {
		return s.done, err
	}
	for part := range sweepParts {
		if err := s.part(ctx, part); err != nil {
			return s.done, err
		}
	}
	if err := s.uploads(ctx); err != nil {
		return s.done, err
	}
	if o.Delete {
		if err := s.delete(ctx); err != nil {
			return s.done, err
		}
	}
	return s.done, nil
}

type sweep struct {
	SweepOptions
	done    Swept
	asking  map[rookery.GroupID][]blob.Info
	orphans []string
	aborts  []blob.Upload
}

// part looks at the packs whose keys begin with two digits.
func (s *sweep) part(ctx context.Context, part int) error {
	err := s.Store.List(ctx, fmt.Sprintf("b/%02x/", part), func(i blob.Info) error {
		s.done.Objects++
		group, id, ok := ParseKey(i.Key)
		t, dated := id.Time()
		switch {
		case !ok || !dated:
			s.done.Foreign++
			return nil
		case !time.Unix(0, t).Before(s.Before):
			s.done.Young++
			return nil
		}
		s.asking[group] = append(s.asking[group], i)
		if len(s.asking[group]) < askAtOnce {
			return nil
		}
		return s.ask(ctx, group)
	})
	for group := range s.asking {
		if err == nil {
			err = s.ask(ctx, group)
		}
	}
	if err != nil {
		return err
	}
	s.done.Parts = part + 1
	return s.Progress(s.done)
}

// ask has a group say which of its objects are orphans.
func (s *sweep) ask(ctx context.Context, group rookery.GroupID) error {
	objects := s.asking[group]
	delete(s.asking, group)
	ids := make([]command.PackID, len(objects))
	byID := make(map[command.PackID]blob.Info, len(objects))
	for n, i := range objects {
		_, ids[n], _ = ParseKey(i.Key)
		byID[ids[n]] = i
	}
	strangers, err := s.Strangers(ctx, group, ids)
	if rookery.Is(err, rookery.KindNotFound) {
		s.done.Foreign += len(ids)
		return nil
	}
	if err != nil {
		return fmt.Errorf("group %d cannot say which packs are its own; nothing is deleted: %w", group, err)
	}
	for _, id := range strangers {
		i, asked := byID[id]
		if !asked {
			return rookery.E("sweep", rookery.KindUnknown, fmt.Errorf("group %d answered about pack %s, which was not asked about", group, id))
		}
		if s.done.Orphans == maxOrphans {
			s.done.More = true
			return nil
		}
		s.done.Orphans++
		s.done.Bytes += i.Size
		s.orphans = append(s.orphans, i.Key)
		if err := s.Found(Orphan{Key: i.Key, Size: i.Size, Modified: i.Modified}); err != nil {
			return err
		}
	}
	return nil
}

// uploads looks for those whose writers have died.
func (s *sweep) uploads(ctx context.Context) error {
	u, ok := blob.UploadsOf(s.Store)
	if !ok {
		return nil
	}
	err := u.Uploads(ctx, "b/", func(x blob.Upload) error {
		if _, _, ours := ParseKey(x.Key); x.Key != "" && !ours || !x.Begun.Before(s.Before) || len(s.aborts) == maxOrphans {
			return nil
		}
		s.done.Uploads++
		s.aborts = append(s.aborts, x)
		name := x.Key
		if name == "" {
			name = x.ID
		}
		return s.Found(Orphan{Key: name, Modified: x.Begun, Upload: true})
	})
	if rookery.Is(err, rookery.KindDenied) {
		s.done.UploadsHidden = true // what they cost is all that is lost
		return nil
	}
	return err
}

func (s *sweep) delete(ctx context.Context) error {
	for len(s.orphans) > 0 {
		n := min(deleteStep, len(s.orphans))
		if err := s.Store.Delete(ctx, s.orphans[:n]...); err != nil {
			return err
		}
		s.orphans = s.orphans[n:]
		s.done.Deleted += n
		if err := s.Progress(s.done); err != nil {
			return err
		}
	}
	u, _ := blob.UploadsOf(s.Store)
	var failed error
	for _, x := range s.aborts {
		if err := u.Abort(ctx, x); err != nil {
			failed = errors.Join(failed, err)
			if ctx.Err() != nil {
				break
			}
			continue
		}
		s.done.Aborted++
	}
	return failed
}
