package datadir

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/storage/command"
)

// RecoveryPlan is what a recovery does. Every survivor makes the same one from
// the same reports, so that survivors need not talk to each other.
type RecoveryPlan struct {
	Cluster    string `json:"cluster"`
	Generation string `json:"generation"`
	Number     uint64 `json:"number"`
	ID         string `json:"id"`
	Margin     uint32 `json:"margin"`
	// FromArchive says that the only survivor was brought back from the archive.
	FromArchive bool          `json:"from_archive,omitempty"`
	Survivors   []Report      `json:"survivors"`
	Groups      []PlannedSeed `json:"groups"`
	// Unbegun are groups that had not begun by any survivor and have no copy:
	// they are empty, and void where their founders are dead.
	Unbegun []rookery.GroupID `json:"unbegun,omitempty"`
	// Dead are the nodes that are removed for ever.
	Dead []ReportedNode `json:"dead"`
}

// PlannedSeed is the copy a group goes on from.
type PlannedSeed struct {
	Group   rookery.GroupID  `json:"group"`
	Seed    rookery.NodeID   `json:"seed"`
	Members []rookery.NodeID `json:"members"`
	Term    uint64           `json:"term"` // the new one
	// Keep is the last entry that stays where it is. What the seed's log holds
	// above it is written again behind the beginning of the generation.
	Keep rookery.LogIndex   `json:"keep"`
	From consensus.Position `json:"from"`
	Time time.Time          `json:"time,omitzero"`
}

// termJump is how far a recovery's term lies above any that survivors know: a
// lost majority cannot have held so many elections.
const termJump = 1 << 20

// PlanRecovery decides from the reports of all survivors.
func PlanRecovery(reports []Report, margin uint32) (p RecoveryPlan, err error) {
	const op = "plan recovery"
	if len(reports) == 0 {
		return p, rookery.E(op, rookery.KindInvalid, errors.New("no report is given"))
	}
	reports = slices.Clone(reports)
	slices.SortFunc(reports, func(a, b Report) int { return cmp.Compare(a.Node, b.Node) })
	first := reports[0]
	for i, r := range reports {
		switch {
		case r.Cluster != first.Cluster || r.Generation != first.Generation:
			return p, rookery.E(op, rookery.KindInvalid, fmt.Errorf("nodes %s and %s are of different clusters or generations", first.Name, r.Name))
		case i > 0 && r.Node == reports[i-1].Node:
			return p, rookery.E(op, rookery.KindInvalid, fmt.Errorf("node %s is reported twice", r.Name))
		case r.Version != first.Version:
			return p, rookery.E(op, rookery.KindInvalid, errors.New("the survivors run different versions; install one binary on all"))
		}
	}
	p = RecoveryPlan{Cluster: first.Cluster, Number: 1, Margin: margin, Survivors: reports}
	if first.Generation != "" {
		if _, err := fmt.Sscanf(first.Generation, "%d-", &p.Number); err != nil {
			return p, rookery.E(op, rookery.KindDamaged, fmt.Errorf("generation %q: %w", first.Generation, err))
		}
		p.Number++
	}
	b, err := json.Marshal(reports)
	if err != nil {
		return p, rookery.E(op, rookery.KindInvalid, err)
	}
	sum := sha256.Sum256(fmt.Appendf(b, "|%d", margin))
	p.ID = hex.EncodeToString(sum[:8])
	p.Generation = fmt.Sprintf("%d-%s", p.Number, p.ID)
	if err := p.seeds(); err != nil {
		return p, err
	}
	return p, p.dead()
}

// seeds chooses each group's newest copy. Of its log what any survivor has
// applied is known to be committed. The rest may be, or the lost majority may
// have given the same numbers to something else: in a mail group it goes behind
// the jump, which gives it numbers that nobody has seen. The system group gives
// none.
func (p *RecoveryPlan) seeds() error {
	seeds := map[rookery.GroupID]*PlannedSeed{}
	begun := map[rookery.GroupID]bool{}
	for _, r := range p.Survivors {
		for _, g := range r.Groups {
			s := seeds[g.Group]
			if s == nil {
				s = &PlannedSeed{Group: g.Group}
				seeds[g.Group] = s
			}
			s.Term = max(s.Term, g.Term)
			begun[g.Group] = begun[g.Group] || !g.Unbegun || g.Damaged != ""
			if !g.Here || g.Damaged != "" {
				continue
			}
			s.Members, s.Keep = append(s.Members, r.Node), max(s.Keep, g.Applied)
			if s.Seed == "" || g.Newer(s.From) {
				s.Seed, s.From, s.Time = r.Node, g.Position, g.Time
			}
		}
	}
	for _, s := range seeds {
		if s.Seed == "" && !begun[s.Group] {
			p.Unbegun = append(p.Unbegun, s.Group)
			continue
		}
		if s.Seed == "" {
			return rookery.E("plan recovery", rookery.KindConflict, fmt.Errorf(
				"no survivor has a usable copy of group %d: bring one more of its members' disks, or restore it from a backup", s.Group))
		}
		s.Term += termJump
		if s.Group == rookery.SystemGroup {
			s.Keep = s.From.Last
		}
		p.Groups = append(p.Groups, *s)
	}
	slices.Sort(p.Unbegun)
	slices.SortFunc(p.Groups, func(a, b PlannedSeed) int { return cmp.Compare(a.Group, b.Group) })
	return nil
}

// dead are the members that are no survivors: by any survivor's registry, and by
// the newest copies' configurations. A killed node's registry may lack what its
// log has; every member is in the system group's configuration.
func (p *RecoveryPlan) dead() error {
	if p.Groups[0].Group != rookery.SystemGroup {
		return rookery.E("plan recovery", rookery.KindConflict, errors.New("no survivor holds the system group"))
	}
	members := map[rookery.NodeID]ReportedNode{}
	for _, g := range p.Groups {
		for _, s := range g.From.Servers {
			members[s.ID] = ReportedNode{Node: s.ID}
		}
	}
	for _, r := range p.Survivors {
		for _, n := range r.Nodes {
			members[n.Node] = n
		}
	}
	for _, r := range p.Survivors {
		delete(members, r.Node)
	}
	p.Dead = slices.SortedFunc(maps.Values(members), func(a, b ReportedNode) int { return cmp.Compare(a.Node, b.Node) })
	if len(p.Dead) == 0 {
		return rookery.E("plan recovery", rookery.KindConflict, errors.New("every node survives: start them all, there is nothing to recover"))
	}
	return nil
}

// survivors are the members of the new generation besides one, whose own copy
// of the registry may not have them all.
func (p RecoveryPlan) survivors(but rookery.NodeID) (seeds []Seed) {
	address := map[rookery.NodeID]string{}
	for _, r := range p.Survivors {
		for _, n := range r.Nodes {
			address[n.Node] = n.Address
		}
	}
	for _, r := range p.Survivors {
		if r.Node != but {
			seeds = append(seeds, Seed{r.Node, address[r.Node], r.Key})
		}
	}
	return seeds
}

// commands are what begins a group's new generation, around the tail of its
// log, which may finish moves that are under way: only then does the second
// jump have those made anew that are not finished.
func (p RecoveryPlan) commands(id rookery.GroupID, tail [][]byte) (before, after []command.Command) {
	if id == rookery.SystemGroup {
		return []command.Command{p.recovered()}, nil
	}
	jump := command.Jump{Recovery: p.ID, UIDs: p.Margin, ModSeqs: uint64(p.Margin) << 10, Mailboxes: p.Margin, Quiet: p.FromArchive}
	if len(tail) == 0 {
		return []command.Command{&jump}, nil
	}
	counters := jump
	counters.CountersOnly = true
	return []command.Command{&counters}, []command.Command{&jump}
}

func (p RecoveryPlan) recovered() *command.Recovered {
	c := &command.Recovered{Generation: p.Number, Recovery: p.ID, FromArchive: p.FromArchive}
	for _, s := range p.survivors("") {
		c.Nodes = append(c.Nodes, command.RecoveredNode{Node: s.Node, Address: s.Address, Key: s.KeyHash()})
	}
	for _, s := range p.Groups {
		c.Groups = append(c.Groups, command.RecoveredGroup{Group: s.Group, Seed: s.Seed, Members: s.Members})
	}
	return c
}
