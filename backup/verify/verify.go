package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/backup/retention"
	"rookery/storage/blob"
	"rookery/storage/keys"
)

// Depth is how much is read.
type Depth string

// The depths: every object of the archive; also some bodies of messages; also every body
// that a retained time needs.
const (
	Metadata Depth = "metadata"
	Sample   Depth = "sample"
	All      Depth = "all"
)

// Fault says what is wrong with an object.
type Fault string

// The faults.
const (
	Missing Fault = "missing" // it is needed, and not there
	Damaged Fault = "damaged" // it is cut, changed, or was copied there from elsewhere
	Differs Fault = "differs" // it opens, and is not what another object says of it
	Foreign Fault = "foreign" // nothing of an archive has that name
	Unkept  Fault = "unkept"  // the keys beside the archive do not open it
	Gap     Fault = "gap"     // it was never archived, as the archive says itself
)

// Finding is one thing that is wrong.
type Finding struct {
	// Group is 0 for what concerns all.
	Group rookery.GroupID
	// Key is the object's name; of missing segments, how it begins.
	Key    string
	Fault  Fault
	Detail string
	// Lost says that times cannot be brought back because of it: those behind From and
	// before To. A zero To is the time of the next image that will be made.
	Lost     bool
	From, To time.Time
	// Account and Email name the message whose body it is, as it was at At; zero for an
	// object of the archive.
	Account rookery.AccountID
	Email   rookery.EmailID
	At      time.Time
	// Mend is what to do, in plain words.
	Mend string
}

// Progress is how far a run is: Done of Of objects, or with Bodies of a group's messages,
// where an Of of 0 says that nobody knows how many there are.
type Progress struct {
	Group    rookery.GroupID
	Bodies   bool
	Done, Of int
}

// Report sums a run up.
type Report struct {
	// Images and Segments were opened, with so many Bytes.
	Images, Segments int
	Bytes            int64
	// Packs were looked at, and Messages read, in the store of packs or the archive.
	Packs, Messages int
	// Unchecked counts what did not answer, or whose key this node cannot open now.
	Unchecked int
	// Findings counts faults but for gaps, and Gaps these.
	Findings, Gaps int
}

// Options are what a run works with. All are required but where they say so.
type Options struct {
	Archive *past.Archive
	// Groups are those that the archive should have; others in it are looked at too.
	Groups []rookery.GroupID
	// Only, where set, is the one group that is looked at, and Account the one account
	// whose bodies are.
	Only    rookery.GroupID
	Account rookery.AccountID
	Depth   Depth
	// Sample is how many messages of a group are read at the depth of that name.
	Sample int
	Rules  retention.Rules
	// Now is the time by which the archive is old.
	Now func() (time.Time, error)
	// Beside are how names of objects begin that are no part of the archive and may be
	// in its store.
	Beside []string

	// Live is the store of packs, Dir where accounts of the past are kept meanwhile, and
	// Key opens messages (KindNotFound: the account was erased). Not needed for Metadata.
	Live blob.Store
	Dir  string
	Key  func(context.Context, rookery.AccountID) (*keys.AccountKey, error)

	// Found is told what is wrong, Progress now and then how far it is. Their errors end
	// the run.
	Found    func(Finding) error
	Progress func(Progress) error
}

// Run verifies. At most atOnce objects are read at a time, and of each a mebibyte or so
// is in memory. An error says that it did not get to the end: that of ctx, of Found, or
// KindUnavailable, a store does not answer.
func Run(ctx context.Context, o Options) (Report, error) {
	r := &run{o: o}
	err := r.all(ctx)
	return r.report, err
}

// run is one under way. It is for one goroutine.
type run struct {
	o      Options
	report Report
	done   int
	of     int
	told   time.Time
	points []blob.Info // checkpoints
}

func (r *run) all(ctx context.Context) error {
	groups, err := r.survey(ctx)
	if err != nil {
		return err
	}
	if r.o.Only == 0 {
		if err := r.checkpoints(ctx); err != nil {
			return err
		}
	}
	for _, id := range groups {
		if r.o.Only != 0 && id != r.o.Only {
			continue
		}
		if err := r.group(ctx, id); err != nil {
			return rookery.E(fmt.Sprintf("verify group %d", id), 0, err)
		}
	}
	return ctx.Err()
}

// maxForeign bounds how many foreign names are told of.
const maxForeign = 100

// survey lists the whole store once: which groups there are, how much there is to read,
// and names that do not belong there.
func (r *run) survey(ctx context.Context) (groups []rookery.GroupID, err error) {
	found := map[rookery.GroupID]bool{}
	for _, id := range r.o.Groups {
		found[id] = true
	}
	var foreign []string
	err = r.o.Archive.Store.List(ctx, "", func(i blob.Info) error {
		group, is := groupOf(i.Key)
		switch {
		case is:
			found[group] = true
			if r.o.Only == 0 || group == r.o.Only {
				r.of++
			}
		case archive.IsCheckpoint(i.Key):
			r.points = append(r.points, i)
		case slices.ContainsFunc(r.o.Beside, func(p string) bool { return strings.HasPrefix(i.Key, p) }):
		case len(foreign) < maxForeign:
			foreign = append(foreign, i.Key)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, key := range foreign {
		if err := r.found(Finding{Key: key, Fault: Foreign, Detail: "nothing of an archive has that name",
			Mend: "nothing is lost by it; find out who writes to the backup store, and delete it"}); err != nil {
			return nil, err
		}
	}
	for id := range found {
		groups = append(groups, id)
	}
	slices.Sort(groups)
	return groups, nil
}

// groupOf is the group of an object by its name; is says that a segment, a manifest or
// a part has such a name.
func groupOf(key string) (id rookery.GroupID, is bool) {
	if s, ok := archive.ParseSegment(key); ok {
		return s.Group, true
	}
	if i, ok := archive.ParseImage(key); ok {
		return i.Group, true
	}
	i, _, ok := archive.ParsePart(key)
	return i.Group, ok
}

// found tells of a fault.
func (r *run) found(f Finding) error {
	if f.Fault == Gap {
		r.report.Gaps++
	} else {
		r.report.Findings++
	}
	return r.o.Found(f)
}

// progress tells how far it is, about once a second.
func (r *run) progress(p Progress) error {
	if r.o.Progress == nil || time.Since(r.told) < time.Second {
		return nil
	}
	r.told = time.Now()
	return r.o.Progress(p)
}

// step counts objects that are done.
func (r *run) step(id rookery.GroupID, n int) error {
	r.done = min(r.done+n, r.of)
	return r.progress(Progress{Group: id, Done: r.done, Of: r.of})
}

// fault is what an error of reading an object of the archive says of it. Its own error
// is that the store does not answer.
func (r *run) fault(ctx context.Context, key string, err error) (Finding, error) {
	f := Finding{Key: key, Fault: Damaged, Detail: err.Error()}
	switch {
	case ctx.Err() != nil:
		return f, ctx.Err()
	case rookery.Is(err, rookery.KindNotFound):
		f.Fault, f.Detail = Missing, "there is no such object"
		_, there := r.o.Archive.Store.Stat(ctx, key)
		if there == nil {
			f.Fault, f.Detail = Unkept, err.Error() // what is not found is its key
		} else if !rookery.Is(there, rookery.KindNotFound) {
			return f, there
		}
	case !rookery.Is(err, rookery.KindDamaged) && !rookery.Is(err, rookery.KindInvalid):
		return f, err
	}
	return f, nil
}
