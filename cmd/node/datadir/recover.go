package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/internal/durable"
	"rookery/storage/command"
	"rookery/storage/state"
)

// PendingRecovery is a recovery that was begun on this disk and not finished.
func (d Dir) PendingRecovery() (p RecoveryPlan, pending bool, err error) {
	b, err := os.ReadFile(d.path(recoveryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return p, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		return p, false, rookery.E("read recovery", rookery.KindDamaged, err)
	}
	return p, true, nil
}

func (d Dir) refuseHalfRecovered() error {
	_, pending, err := d.PendingRecovery()
	if err == nil && pending {
		err = rookery.E("open node", rookery.KindConflict, fmt.Errorf("a recovery was begun in %s and is not finished; go on with: rookery recover apply -data %s", d, d))
	}
	return err
}

// Recover makes a survivor a node of the new generation. It can be repeated
// after a crash at any point: the plan is written first, the node does not
// start before the end, and each step is done once.
func (d Dir) Recover(p RecoveryPlan, logger *slog.Logger, now time.Time) error {
	return d.RecoverOn(vfs.Default, p, logger, now, func(string) {})
}

// RecoverOn is Recover where the log and the state lie on another file system;
// done is told each step.
func (d Dir) RecoverOn(disk vfs.FS, p RecoveryPlan, logger *slog.Logger, now time.Time, done func(step string)) (err error) {
	const op = "apply recovery"
	o, err := d.openOffline(disk, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if !slices.ContainsFunc(p.Survivors, func(r Report) bool { return r.Node == o.id.Node }) {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("the node in %s is not among the survivors: give its report too", d))
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	done("opened")
	path := d.path(recoveryFile)
	if err := durable.WriteFile(path, b, 0o600); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	done("plan written")
	// From here on nobody of the old generation is listened to, and what this
	// node proposed before is fenced.
	o.id.Generation = p.Generation
	o.id.Epoch++
	if err := d.SaveIdentity(o.id); err != nil {
		return err
	}
	done("generation written")
	if err := d.SaveSeeds(p.survivors(o.id.Node)); err != nil {
		return err
	}
	for _, s := range p.Groups {
		if s.Seed == o.id.Node {
			if err := o.rebuild(p, s, now); err != nil {
				return err
			}
			done(fmt.Sprintf("group %d rebuilt", s.Group))
		}
	}
	if err := os.Rename(path, d.path(fmt.Sprintf("recovered-%d.json", p.Number))); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	done("plan put aside")
	return durable.SyncDir(string(d))
}

func (o *offline) rebuild(p RecoveryPlan, s PlannedSeed, now time.Time) error {
	sg, err := o.group(s.Group)
	if err != nil {
		return err
	}
	lg, err := o.log.Group(s.Group)
	if err != nil {
		return err
	}
	header := state.Header{Node: o.id.Node, Epoch: o.id.Epoch, Seq: 1, Low: 1, Time: now.UnixNano()}
	entry := state.Wrap(header, command.Encode(p.command(s.Group)))
	return consensus.Rebuild(lg, sg, s.From, s.Term, consensus.Server{ID: o.id.Node, Address: string(o.id.Node)}, [][]byte{entry})
}
