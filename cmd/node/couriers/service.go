package couriers

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/protocols/delivery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/destination"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/protocols/outbound/tlsreport"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/daykey"
	"rookery/storage/mailbox"
)

// Settings are those in force.
type Settings interface {
	Outbound() settings.Outbound
	Postmaster() rookery.Address
}

// Liveness says who lives; peers.Liveness does.
type Liveness interface {
	Of(id rookery.NodeID) peers.Life
	Started() time.Time
}

// Reports are what other nodes say of themselves; peers.Reports are.
type Reports interface {
	Of(id rookery.NodeID) (peers.Report, bool)
}

// Options are what a Service is made of. All are required but Observe and
// ObserveTLS.
type Options struct {
	Self     command.Courier
	Hostname string
	Replicas *replicas.Replicas
	Lives    Liveness
	Reports  Reports
	Settings Settings
	Days     *daykey.Store
	Bodies   func(rookery.GroupID, mailbox.Body) body.Source
	Deliver  *delivery.Deliverer
	Router   outbound.Router
	Senders  outbound.Senders
	Resolver *dns.Resolver
	// Placement is the group of an account.
	Placement func(context.Context, rookery.AccountID) (rookery.GroupID, error)
	// Groups are the mail groups of the cluster.
	Groups  func() []rookery.GroupID
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Logger  *slog.Logger
	Clock   func() time.Time
	Observe func(outcome string)
	// ObserveTLS hears how sessions fared: policy and result as RFC 8460 names them.
	ObserveTLS func(policy, result string)
}

// Service sends this node's share of the mail for other systems.
type Service struct {
	*outbound.Couriers
	// TLS counts sessions for reports to other domains, on this node.
	TLS      *tlsreport.Counts
	o        Options
	finder   *destination.Finder
	policies *tlspolicy.Finder
	rows     *replicas.Question[peers.QueueQuery, peers.QueuePage]
	content  *replicas.Question[peers.QueueText, peers.QueuePart]
	bounces  *replicas.Question[peers.QueueBounce, peers.Count]
}

// New makes a Service. It does no I/O.
func New(o Options) *Service {
	s := &Service{o: o, TLS: tlsreport.New(o.Clock)}
	s.finder = destination.New(o.Resolver, s.Self)
	s.policies = tlspolicy.New(tlspolicy.Options{
		Resolver: o.Resolver, Cache: STSCache{o.Replicas}, Required: s.Required, Clock: o.Clock,
		Private: func() bool { return o.Settings.Outbound().PrivateAddresses },
	})
	s.Couriers = outbound.New(outbound.Options{
		Self: o.Self, Hostname: o.Hostname, Groups: o.Replicas.Here, Machine: o.Replicas.Machine, Leader: o.Replicas.Leads, Gone: s.gone,
		Log: o.Replicas, Days: o.Days, Bodies: o.Bodies, Settings: s.Settings, Filer: o.Deliver, Router: o.Router, Senders: o.Senders,
		Postmaster: o.Settings.Postmaster, Logger: o.Logger, Clock: o.Clock, Observe: o.Observe,
		Connect: &outbound.Hosts{Find: s, Hello: o.Hostname, Options: session.Options{Dial: s.dial}, Observe: s.fared, Clock: o.Clock},
	})
	s.rows = replicas.NewQuestion(o.Replicas, peers.QueueRows, replicas.AskBarrierWait, s.rowsHere)
	s.content = replicas.NewQuestion(o.Replicas, peers.QueueContent, bounceWait, s.contentHere)
	s.bounces = replicas.NewQuestion(o.Replicas, peers.BounceRows, bounceWait, s.bounceHere)
	return s
}

// fared counts how a session with a domain's host fared with TLS.
func (s *Service) fared(domain string, r tlsreport.Result) {
	s.TLS.Add(domain, r)
	if s.o.ObserveTLS != nil {
		s.o.ObserveTLS(r.Policy, r.Type)
	}
}

func (s *Service) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return s.o.Dial(ctx, to.String())
}

// silentFor is how long a node has to be silent until what its couriers have is
// sent by others.
const silentFor = 15 * time.Second

// gone reports whether a courier's life is over: its node has started again, has
// left the cluster, or is silent.
func (s *Service) gone(c command.Courier) bool {
	if c.Node == s.o.Self.Node {
		return c.Epoch != s.o.Self.Epoch
	}
	members, err := s.o.Replicas.MemberIDs()
	if err != nil {
		return false
	}
	member := false
	for _, id := range members {
		member = member || id == c.Node
	}
	if !member {
		return true
	}
	if r, ok := s.o.Reports.Of(c.Node); ok && r.Epoch > c.Epoch {
		return true
	}
	life := s.o.Lives.Of(c.Node)
	if life.Alive {
		return false
	}
	since := life.Since
	if since.IsZero() {
		since = s.o.Lives.Started()
	}
	return time.Since(since) > silentFor
}

// Settings are those in force, as couriers take them.
func (s *Service) Settings() outbound.Settings {
	set := s.o.Settings.Outbound()
	out := outbound.Settings{
		Connections: set.Connections,
		Routes:      map[string]outbound.Hop{},
		Schedule:    outbound.Schedule(set.Retry()),
		Schedules:   map[string]outbound.Schedule{},
	}
	for _, r := range set.Retries {
		if domain, when, ok := settings.ParseRetries(r); ok {
			out.Schedules[domain] = outbound.Schedule(when)
		}
	}
	for _, r := range set.Routes {
		if domain, hop, ok := settings.ParseRoute(r); ok {
			out.Routes[domain] = outbound.Hop{Name: hop, Configured: true}
		}
	}
	if set.Smarthost != "" {
		out.Smarthost = &outbound.Hop{Name: set.Smarthost, Configured: true, TLS: tlsModes[set.SmarthostTLS]}
		if set.SmarthostUser != "" {
			out.Smarthost.Auth = &session.Auth{Username: set.SmarthostUser, Password: set.SmarthostPassword}
		}
	}
	return out
}

var tlsModes = map[string]session.TLSMode{"opportunistic": session.Opportunistic, "verified": session.Verified, "none": session.InClear}

// Limit bounds what one group owes to other systems: its share of the cluster's
// bounds.
func Limit(set settings.Outbound, groups int) delivery.Limit {
	n := max(groups, 1)
	return delivery.Limit{Items: uint64(max(set.QueueMessages/n, 1)), Bytes: max(int64(set.QueueSize)/int64(n), 1)}
}
