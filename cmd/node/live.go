package node

import (
	"sync/atomic"

	"rookery"
	"rookery/cmd/node/settings"
)

// live are the settings in force that the protocols ask for each time they
// need one, so that a change counts from the next command on. It is safe for
// concurrent use once use was called.
type live struct {
	limitsNow     atomic.Pointer[settings.Limits]
	postmasterNow atomic.Pointer[rookery.Address]
}

// use puts settings that Validate has looked at into force.
func (l *live) use(set *settings.Cluster) {
	limits := set.Limits
	var postmaster rookery.Address
	if set.Postmaster != "" {
		postmaster, _ = rookery.ParseAddress(set.Postmaster) // checked by Validate
	}
	l.limitsNow.Store(&limits)
	l.postmasterNow.Store(&postmaster)
}

// Limits are those in force.
func (l *live) Limits() settings.Limits { return *l.limitsNow.Load() }

// Postmaster takes what is for postmaster@ any domain.
func (l *live) Postmaster() rookery.Address { return *l.postmasterNow.Load() }

func (l *live) messageSize() int64 { return l.Limits().MessageSize }
