package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/consensus"
	rlog "rookery/cluster/log"
	"rookery/cluster/transport"
	"rookery/internal/durable"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
	"rookery/storage/system"
)

// Report is what one stopped node's disk holds, for the decision about a
// recovery.
type Report struct {
	Cluster    string         `json:"cluster"`
	Node       rookery.NodeID `json:"node"`
	Name       string         `json:"name"`
	Generation string         `json:"generation"`
	Epoch      uint64         `json:"epoch"`
	Version    uint32         `json:"command_version"`
	// Key is the hash of the node's public key.
	Key []byte `json:"key"`
	// Nodes are the members by the registry on this disk, Groups all groups.
	Nodes  []ReportedNode  `json:"nodes"`
	Groups []ReportedGroup `json:"groups"`
}

// ReportedNode is a member of the cluster.
type ReportedNode struct {
	Node    rookery.NodeID `json:"node"`
	Name    string         `json:"name"`
	Address string         `json:"address"`
}

// ReportedGroup is one group: placed somewhere, and perhaps here.
type ReportedGroup struct {
	Group rookery.GroupID `json:"group"`
	// Here is whether this disk holds a copy; Damaged is why it cannot be used.
	Here    bool   `json:"here"`
	Damaged string `json:"damaged,omitempty"`
	// Unbegun is that by this disk it waits for its founder and is empty.
	Unbegun bool `json:"unbegun,omitempty"`
	consensus.Position
	// Time is group time of the state: the last command known to be committed.
	Time time.Time `json:"time,omitzero"`
}

// offline is a stopped node's disk.
type offline struct {
	dir    string
	id     identity
	lock   *os.File
	log    *rlog.Log
	state  *state.Store
	system *system.Machine
}

func openOffline(dir string, disk vfs.FS, logger *slog.Logger) (o *offline, err error) {
	o = &offline{dir: dir}
	if o.id, err = readIdentity(dir); err != nil {
		return nil, err
	}
	if o.lock, err = LockDir(dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.close())
		}
	}()
	if err = o.id.refuseEmpty(dir, disk); err != nil {
		return o, err
	}
	deps := Deps{Logger: logger}
	deps.complete()
	if o.log, err = rlog.Open(rlog.Options{Dir: filepath.Join(dir, "log"), FS: disk, Logger: logger, OnStall: deps.OnStall}); err != nil {
		return o, err
	}
	if o.state, err = state.OpenOffline(filepath.Join(dir, "state"), disk, state.Options{Logger: logger, OnFailure: deps.stateFailed}); err != nil {
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

// InspectRecovery reads a stopped node's disk. It writes nothing but what any
// start writes: the last frame of the log as it is.
func InspectRecovery(dir string, logger *slog.Logger) (Report, error) {
	return inspectRecovery(dir, vfs.Default, logger)
}

func inspectRecovery(dir string, disk vfs.FS, logger *slog.Logger) (r Report, err error) {
	o, err := openOffline(dir, disk, logger)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	return o.report()
}

func (o *offline) report() (r Report, err error) {
	ident, err := transport.LoadIdentity(filepath.Join(o.dir, identityDir))
	if err != nil {
		return r, err
	}
	key := ident.KeyHash()
	r = Report{Cluster: ident.Cluster, Node: o.id.Node, Generation: o.id.Generation, Epoch: o.id.Epoch, Version: CommandVersion, Key: key[:]}
	nodes, err := o.system.Nodes()
	if err != nil {
		return r, err
	}
	for _, n := range nodes {
		if n.ID == r.Node {
			r.Name = n.Name
		}
		if n.Member() {
			r.Nodes = append(r.Nodes, ReportedNode{n.ID, n.Name, n.Address})
		}
	}
	unbegun := map[rookery.GroupID]bool{}
	ids := map[rookery.GroupID]bool{rookery.SystemGroup: true}
	placed, err := o.system.Groups()
	if err != nil {
		return r, err
	}
	for id := range o.log.Stats().Groups {
		ids[id] = true
	}
	for _, p := range placed {
		ids[p.Group], unbegun[p.Group] = true, p.Awaits(p.Founder)
		if p.Void {
			delete(ids, p.Group)
		}
	}
	for id := range ids {
		g := ReportedGroup{Group: id, Unbegun: unbegun[id]}
		if err := o.inspect(&g); err != nil {
			g.Damaged = err.Error()
		}
		r.Groups = append(r.Groups, g)
	}
	slices.SortFunc(r.Groups, func(a, b ReportedGroup) int { return cmp.Compare(a.Group, b.Group) })
	return r, nil
}

func (o *offline) inspect(g *ReportedGroup) error {
	sg, err := o.group(g.Group)
	if err != nil {
		return err
	}
	if _, known := o.log.Stats().Groups[g.Group]; !known {
		if applied, _ := sg.Applied(); applied == 0 {
			return nil // never had a replica here
		}
	}
	lg, err := o.log.Group(g.Group)
	if err != nil {
		return err
	}
	if t, _, err := consensus.ReadTrace(lg); err != nil {
		return err
	} else if t.Erasing {
		return rookery.E("inspect group", rookery.KindNotFound, errors.New("it has left this node, and what was here is half erased"))
	}
	if g.Position, err = consensus.Inspect(lg, sg); err != nil {
		return err
	}
	g.Here = g.Last > 0
	if nanos := sg.Time(); nanos > 0 {
		g.Time = time.Unix(0, nanos).UTC()
	}
	return nil
}

// RecoveryPlan is what a recovery does. Every survivor makes the same one from
// the same reports, so that survivors need not talk to each other.
type RecoveryPlan struct {
	Cluster    string        `json:"cluster"`
	Generation string        `json:"generation"`
	Number     uint64        `json:"number"`
	ID         string        `json:"id"`
	Margin     uint32        `json:"margin"`
	Survivors  []Report      `json:"survivors"`
	Groups     []PlannedSeed `json:"groups"`
	// Unbegun are groups that had not begun by any survivor and have no copy:
	// they are empty, and void where their founders are dead.
	Unbegun []rookery.GroupID `json:"unbegun,omitempty"`
	// Dead are the nodes that are removed for ever.
	Dead []ReportedNode `json:"dead"`
}

// PlannedSeed is the copy a group goes on from.
type PlannedSeed struct {
	Group   rookery.GroupID    `json:"group"`
	Seed    rookery.NodeID     `json:"seed"`
	Members []rookery.NodeID   `json:"members"`
	Term    uint64             `json:"term"` // the new one
	From    consensus.Position `json:"from"`
	Time    time.Time          `json:"time,omitzero"`
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

// seeds chooses each group's newest copy.
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
			s.Members = append(s.Members, r.Node)
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

const recoveryFile = "recovery.json"

// PendingRecovery is a recovery that was begun on this disk and not finished.
func PendingRecovery(dir string) (p RecoveryPlan, pending bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, recoveryFile))
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

func refuseHalfRecovered(dir string) error {
	_, pending, err := PendingRecovery(dir)
	if err == nil && pending {
		err = rookery.E("open node", rookery.KindConflict, fmt.Errorf("a recovery was begun in %s and is not finished; go on with: rookery recover apply -data %s", dir, dir))
	}
	return err
}

// ApplyRecovery makes a survivor a node of the new generation. It can be
// repeated after a crash at any point: the plan is written first, the node
// does not start before the end, and each step is done once.
func ApplyRecovery(dir string, p RecoveryPlan, logger *slog.Logger, now time.Time) error {
	return applyRecovery(dir, vfs.Default, p, logger, now, func(string) {})
}

// applyRecovery is ApplyRecovery on a disk; done is told each step.
func applyRecovery(dir string, disk vfs.FS, p RecoveryPlan, logger *slog.Logger, now time.Time, done func(step string)) (err error) {
	const op = "apply recovery"
	o, err := openOffline(dir, disk, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if !slices.ContainsFunc(p.Survivors, func(r Report) bool { return r.Node == o.id.Node }) {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("the node in %s is not among the survivors: give its report too", dir))
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	done("opened")
	path := filepath.Join(dir, recoveryFile)
	if err := durable.WriteFile(path, b, 0o600); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	done("plan written")
	// From here on nobody of the old generation is listened to, and what this
	// node proposed before is fenced.
	o.id.Generation = p.Generation
	o.id.Epoch++
	if err := saveIdentity(dir, o.id); err != nil {
		return err
	}
	done("generation written")
	if err := saveSeeds(dir, p.survivors(o.id.Node)); err != nil {
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
	if err := os.Rename(path, filepath.Join(dir, fmt.Sprintf("recovered-%d.json", p.Number))); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	done("plan put aside")
	return durable.SyncDir(dir)
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

// command is what begins a group's new generation.
func (p RecoveryPlan) command(id rookery.GroupID) command.Command {
	if id != rookery.SystemGroup {
		return &command.Jump{Recovery: p.ID, UIDs: p.Margin, ModSeqs: uint64(p.Margin) << 10, Mailboxes: p.Margin}
	}
	c := &command.Recovered{Generation: p.Number, Recovery: p.ID}
	for _, s := range p.survivors("") {
		c.Nodes = append(c.Nodes, command.RecoveredNode{Node: s.Node, Address: s.Address, Key: s.member().key})
	}
	for _, s := range p.Groups {
		c.Groups = append(c.Groups, command.RecoveredGroup{Group: s.Group, Seed: s.Seed, Members: s.Members})
	}
	return c
}
