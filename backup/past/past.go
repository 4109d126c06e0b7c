package past

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"rookery"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// Options are what a Past is made of. All are required.
type Options struct {
	Archive *Archive
	// Dir is where the rows of that time lie until Close: a directory of its own is
	// made in it.
	Dir     string
	Group   rookery.GroupID
	Account rookery.AccountID
	// At is group time, unix nanoseconds: what was decided at it counts.
	At int64
}

// Past is one account as it was.
type Past struct {
	o       Options
	dir     string
	store   *state.Store
	group   *state.Group
	machine *mailbox.Machine
	bodies  *bodies
	chain   Chain
}

// Open brings the account back. It reads the account's part of an image, and what
// segments have of it; the work grows with the account and with the time since the
// image. Errors: those of Archive.Chain; KindNotFound, the account was not in that
// group then.
func Open(ctx context.Context, o Options) (*Past, error) {
	p := &Past{o: o}
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(rookery.E("bring back "+o.Account.String(), 0, err), p.Close())
	}
	return p, nil
}

func (p *Past) open(ctx context.Context) (err error) {
	if p.chain, err = p.o.Archive.Chain(ctx, p.o.Group, p.o.At); err != nil {
		return err
	}
	if err := os.MkdirAll(p.o.Dir, 0o700); err != nil {
		return rookery.E("make room", rookery.KindUnavailable, err)
	}
	if p.dir, err = os.MkdirTemp(p.o.Dir, "past-"); err != nil {
		return rookery.E("make room", rookery.KindUnavailable, err)
	}
	if p.store, err = state.OpenScratch(filepath.Join(p.dir, "state")); err != nil {
		return err
	}
	if p.group, err = p.store.Group(p.o.Group, func(g *state.Group) state.Machine {
		p.machine = mailbox.New(nil)(g)
		return p.machine
	}); err != nil {
		return err
	}
	image := p.o.Archive.image(ctx, p.chain.Image, &p.chain.Words)
	if p.bodies, err = newBodies(filepath.Join(p.dir, "bodies"), image); err != nil {
		return err
	}
	if err := p.begin(image); err != nil {
		return err
	}
	if err := p.replay(ctx); err != nil {
		return err
	}
	v, err := p.View()
	if err != nil {
		return err
	}
	v.Close()
	return nil
}

// begin loads the account's rows from the image.
func (p *Past) begin(image *imageReader) error {
	in, out := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := state.WriteImage(out, p.chain.Image.Index, p.chain.Words.Term, p.chain.Image.Time, func(row func(k, v []byte) error) error {
			return p.machine.EachPast(mailbox.PastRows{Account: p.o.Account, Read: image.read, Body: p.bodies.packed}, row)
		})
		written <- err
		out.CloseWithError(err)
	}()
	err := p.group.Restore(in)
	in.CloseWithError(errEnded)
	if werr := <-written; werr != nil && !errors.Is(werr, errEnded) {
		return werr // which is why the other failed
	}
	return err
}

var errEnded = errors.New("the image is not read any more")

// View is the account as it was.
func (p *Past) View() (*mailbox.View, error) { return p.machine.View(p.o.Account) }

// Chain is what it was brought back from.
func (p *Past) Chain() Chain { return p.chain }

// Group is the group that it was in.
func (p *Past) Group() rookery.GroupID { return p.o.Group }

// Account is the account.
func (p *Past) Account() rookery.AccountID { return p.o.Account }

// Close ends it and frees its room.
func (p *Past) Close() error {
	var errs []error
	if p.bodies != nil {
		errs = append(errs, p.bodies.close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	if p.dir != "" {
		errs = append(errs, os.RemoveAll(p.dir))
	}
	return errors.Join(errs...)
}

func (p *Past) String() string { return fmt.Sprintf("account %s of group %d", p.o.Account, p.o.Group) }
