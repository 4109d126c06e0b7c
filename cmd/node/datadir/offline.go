package datadir

import (
	"errors"
	"log/slog"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	rlog "rookery/cluster/log"
	"rookery/cmd/node/diskroom"
	"rookery/storage/mailbox"
	"rookery/storage/state"
	"rookery/storage/system"
)

// offline is a stopped node's disk.
type offline struct {
	dir    Dir
	id     Identity
	lock   *os.File
	log    *rlog.Log
	state  *state.Store
	system *system.Machine
}

func (d Dir) openOffline(disk vfs.FS, logger *slog.Logger) (o *offline, err error) {
	o = &offline{dir: d}
	if o.id, err = d.Identity(); err != nil {
		return nil, err
	}
	if o.lock, err = d.Lock(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	if err = d.refuseEmpty(o.id, disk); err != nil {
		return o, err
	}
	failed := func(err error) { diskroom.EndProcess(logger, err) }
	if o.log, err = rlog.Open(rlog.Options{Dir: d.path("log"), FS: disk, Logger: logger, OnStall: failed}); err != nil {
		return o, err
	}
	if o.state, err = state.OpenOffline(d.path("state"), disk, state.Options{Logger: logger, OnFailure: failed}); err != nil {
		return o, err
	}
	_, err = o.group(rookery.SystemGroup)
	return o, err
}

func (o *offline) close() error {
	var errs []error
	if o.state != nil {
		errs = append(errs, o.state.Close())
	}
	if o.log != nil {
		errs = append(errs, o.log.Close())
	}
	return errors.Join(append(errs, o.lock.Close())...)
}

// group is a group's state; its machine never applies anything here.
func (o *offline) group(id rookery.GroupID) (*state.Group, error) {
	return o.state.Group(id, func(g *state.Group) state.Machine {
		if id == rookery.SystemGroup {
			o.system = system.New(nil)(g)
			return o.system
		}
		return mailbox.New(nil)(g)
	})
}
