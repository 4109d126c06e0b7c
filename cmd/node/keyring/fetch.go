package keyring

import (
	"context"
	"errors"
	"fmt"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// fetch brings the keys that this node lacks from the others: those of the
// record, and, where it has none at all, all.
func (t *Ring) fetch(ctx context.Context, records []system.TenantKey) (fetched bool, err error) {
	missing := t.missing(records)
	if len(missing) == 0 && t.lost == nil {
		return false, nil
	}
	errs := []error{errors.New("no other node has it")}
	for _, to := range t.peers.Others() {
		if err := t.fetchFrom(ctx, to, records); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w", to, err))
			continue
		}
		fetched = true
		if missing = t.missing(records); len(missing) == 0 && t.lost == nil {
			return true, nil
		}
	}
	return fetched, rookery.E("fetch "+t.name+" keys", rookery.KindUnavailable,
		fmt.Errorf("versions %v are missing here: %w", missing, errors.Join(errs...)))
}

// missing are the versions of the record that are not in the ring, or as
// another key than the one that came into use.
func (t *Ring) missing(records []system.TenantKey) (versions []uint32) {
	held := t.Keys.Fingerprints()
	for _, r := range records {
		if r.Since > 0 && r.Destroyed == 0 && held[r.Version] != r.Fingerprint {
			versions = append(versions, r.Version)
		}
	}
	return versions
}

// fetchFrom takes over from one node what is missing here.
func (t *Ring) fetchFrom(ctx context.Context, to rookery.NodeID, records []system.TenantKey) error {
	theirs, err := t.keysHeld(ctx, to)
	if err != nil {
		return err
	}
	gone := map[uint32]bool{}
	proper := map[uint32]keys.Fingerprint{}
	for _, r := range records {
		gone[r.Version] = r.Destroyed > 0
		if r.Since > 0 {
			proper[r.Version] = r.Fingerprint
		}
	}
	mine := t.Keys.Fingerprints()
	var got []keys.TenantKey
	defer func() {
		for i := range got {
			got[i].Clear()
		}
	}()
	for v, print := range theirs.Held {
		want, known := proper[v]
		if gone[v] || mine[v] == print || known && want != print || !known && t.lost == nil {
			continue
		}
		k, err := t.getKey(ctx, to, v)
		if err != nil {
			return err
		}
		if k.Fingerprint() != print {
			return rookery.E("fetch "+t.name+" key", rookery.KindDamaged, fmt.Errorf("version %d is another key than announced", v))
		}
		got = append(got, k)
	}
	if len(got) == 0 {
		return rookery.E("fetch "+t.name+" keys", rookery.KindNotFound, errors.New("it has none that is missing here"))
	}
	err = t.change(ctx, func(ring *keys.Keyring) error {
		for _, k := range got {
			if print, have := mine[k.Version]; have && print != k.Fingerprint() {
				if err := ring.Destroy(k.Version); err != nil {
					return err // a rotation of this node that lost against another
				}
			}
			if err := ring.Add(k); err != nil {
				return err
			}
		}
		if t.lost != nil {
			return ring.Use(theirs.InUse)
		}
		return nil
	})
	if err == nil && t.lost != nil {
		t.lost = nil
		t.logger.Warn("the "+t.name+" keyring was missing and came from another node", "from", to, "keyring", t.Keys)
	}
	return err
}
