package couriers

import (
	"context"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/storage/command"
)

// STSCache keeps the MTA-STS policies of other domains in the system group, so
// that whoever sends next enforces what anybody has fetched. They are read from
// this node's replica.
type STSCache struct{ Groups *replicas.Replicas }

var _ tlspolicy.Cache = STSCache{}

// Get implements tlspolicy.Cache.
func (c STSCache) Get(_ context.Context, domain string) (p tlspolicy.STS, ok bool, err error) {
	kept, ok, err := c.Groups.System().STS(domain)
	if err != nil || !ok || kept.Mode > uint8(tlspolicy.Enforce) {
		return p, false, err
	}
	return tlspolicy.STS{
		ID: kept.ID, Mode: tlspolicy.Mode(kept.Mode), MX: kept.MX, Fetched: time.Unix(0, kept.Fetched), Until: kept.Until(),
	}, true, nil
}

// Put implements tlspolicy.Cache.
func (c STSCache) Put(ctx context.Context, domain string, p tlspolicy.STS) error {
	return c.Groups.Commit(ctx, rookery.SystemGroup, &command.KeepSTS{
		Domain: domain, ID: p.ID, Mode: uint8(p.Mode), MX: p.MX, MaxAge: uint32(p.Until.Sub(p.Fetched) / time.Second),
	})
}
