// Package relays keeps the relay credentials of the cluster: it makes them and
// takes them away for operators, and reads them for the gate at the edge. It owns
// what an order may ask for, and that a secret is given out once and kept nowhere.
//
// It never decides whether a client may relay: protocols/relay does.
package relays

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/protocols/relay"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Groups are those of this node; replicas.Replicas are.
type Groups interface {
	Barrier(ctx context.Context, id rookery.GroupID) error
	Commit(ctx context.Context, id rookery.GroupID, c command.Command) error
	System() *system.Machine
}

// Credentials are those of the cluster. It is safe for concurrent use.
type Credentials struct {
	groups Groups
	clock  func() time.Time
}

// New makes Credentials. It does no I/O.
func New(g Groups, clock func() time.Time) *Credentials { return &Credentials{g, clock} }

// List gives all, by name, without secrets.
func (c *Credentials) List(ctx context.Context) ([]adminapi.RelayCredential, error) {
	if err := c.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return nil, err
	}
	rows, err := c.groups.System().RelayCredentials()
	all := make([]adminapi.RelayCredential, len(rows))
	for i, x := range rows {
		all[i] = adminapi.RelayCredential{Name: x.Name, Senders: x.Senders, Rate: x.Rate, Made: time.Unix(0, x.Made).UTC()}
	}
	return all, err
}

// Add makes one and gives its secret. KindExists: the name is taken; KindInvalid: a
// name or a sender that cannot be.
func (c *Credentials) Add(ctx context.Context, name string, o adminapi.RelayOrder) (adminapi.RelayCredential, error) {
	x := adminapi.RelayCredential{Name: name, Senders: o.Senders, Rate: o.Rate, Made: c.clock().UTC()}
	err := relay.CheckName(name)
	if err == nil && len(o.Senders) == 0 {
		err = errors.New("name a sender that it may use: an address, @DOMAIN or <>")
	}
	for _, s := range o.Senders {
		if _, bad := relay.ParseSender(s); bad != nil && err == nil {
			err = fmt.Errorf("%q: %w", s, bad)
		}
	}
	if err != nil {
		return x, rookery.E("add relay credential", rookery.KindInvalid, err)
	}
	secret := relay.NewSecret()
	err = c.groups.Commit(ctx, rookery.SystemGroup,
		&command.AddRelay{Name: name, Hash: relay.HashSecret(secret), Senders: o.Senders, Rate: o.Rate})
	if err == nil {
		x.Secret = secret
	}
	return x, err
}

// Remove takes one away. KindNotFound: there is none of the name.
func (c *Credentials) Remove(ctx context.Context, name string) error {
	return c.groups.Commit(ctx, rookery.SystemGroup, &command.RemoveRelay{Name: name})
}

// Find gives the one of a name as this node has it, for relay.Options. A sender
// that this version cannot read is none.
func (c *Credentials) Find(name string) (relay.Credential, bool, error) {
	row, found, err := c.groups.System().RelayCredential(name)
	if err != nil || !found {
		return relay.Credential{}, false, err
	}
	x := relay.Credential{Name: name, Hash: row.Hash, Rate: row.Rate}
	for _, s := range row.Senders {
		if sender, err := relay.ParseSender(s); err == nil {
			x.Senders = append(x.Senders, sender)
		}
	}
	return x, true, nil
}
