package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/fxamacker/cbor/v2"

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
		err = rookery.E("open node", rookery.KindConflict,
			fmt.Errorf("a recovery was begun in %s and is not finished; go on with: rookery recover apply -data %s", d, d))
	}
	return err
}

// Recover makes a survivor a node of the new generation. It can be repeated
// after a crash at any point: the plan is written first, the node does not
// start before the end, and each step is done once. One that is over is not
// begun again: its logs hold other entries where the plan counts theirs.
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
	_, pending, err := d.PendingRecovery()
	if err != nil {
		return err
	}
	if !pending && o.id.Generation == p.Generation {
		return d.dropTails() // a crash may have left them
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
	if err := d.dropTails(); err != nil {
		return err
	}
	return durable.SyncDir(string(d))
}

// recoveryProposer is whose commands a recovery writes, in the epoch of its
// number: a survivor's own name would fence what the survivor proposed itself
// and what is written again behind them.
const recoveryProposer rookery.NodeID = "recovery"

func (o *offline) rebuild(p RecoveryPlan, s PlannedSeed, now time.Time) error {
	sg, err := o.group(s.Group)
	if err != nil {
		return err
	}
	lg, err := o.log.Group(s.Group)
	if err != nil {
		return err
	}
	tail, err := o.tail(lg, p, s)
	if err != nil {
		return err
	}
	header := state.Header{Node: recoveryProposer, Epoch: p.Number, Low: 1, Time: now.UnixNano()}
	wrap := func(c command.Command) []byte {
		header.Seq++
		return state.Wrap(header, command.Encode(c))
	}
	var entries [][]byte
	before, after := p.commands(s.Group, tail)
	for _, c := range before {
		entries = append(entries, wrap(c))
	}
	entries = append(entries, tail...)
	for _, c := range after {
		entries = append(entries, wrap(c))
	}
	return consensus.Rebuild(lg, sg, s.From, s.Keep, s.Term, consensus.Server{ID: o.id.Node, Address: string(o.id.Node)}, entries)
}

// tailPattern names the file of a group's tail while a recovery is under way,
// by the plan and the group.
const tailPattern = "recovery-tail-%s-%d"

// tailDecoder takes as many entries as a log may hold.
var tailDecoder, _ = cbor.DecOptions{MaxArrayElements: 1<<31 - 1}.DecMode()

// tail is what is to be written again of a group's log. It is kept in a file
// before the log is cut, until the recovery is over.
func (o *offline) tail(lg consensus.LogStore, p RecoveryPlan, s PlannedSeed) (tail [][]byte, err error) {
	const op = "keep the log's tail"
	if s.Keep >= s.From.Last {
		return nil, nil
	}
	path := o.dir.path(fmt.Sprintf(tailPattern, p.ID, s.Group))
	b, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := tailDecoder.Unmarshal(b, &tail); err != nil {
			return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("%s: %w", path, err))
		}
		return tail, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	if tail, err = consensus.Tail(lg, s.Keep, s.From.Last); err != nil {
		return nil, err
	}
	if b, err = cbor.Marshal(tail); err != nil {
		return nil, rookery.E(op, rookery.KindInvalid, err)
	}
	if err := durable.WriteFile(path, b, 0o600); err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	return tail, nil
}

// dropTails removes the files of recoveries that are over.
func (d Dir) dropTails() error {
	left, err := filepath.Glob(d.path(strings.ReplaceAll(strings.ReplaceAll(tailPattern, "%s", "*"), "%d", "*")))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		return rookery.E("end recovery", rookery.KindUnavailable, err)
	}
	return nil
}
