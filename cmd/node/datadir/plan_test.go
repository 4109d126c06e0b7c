package datadir

import (
	"testing"

	"rookery"
	"rookery/cluster/consensus"
	"rookery/storage/command"
)

func reportOf(node rookery.NodeID, position ...consensus.Position) Report {
	r := Report{Cluster: "c", Node: node, Name: string(node), Version: command.Version}
	for _, id := range []rookery.NodeID{"a", "b", "c", "d", "e"} {
		r.Nodes = append(r.Nodes, ReportedNode{Node: id, Name: string(id)})
	}
	for i, p := range position {
		r.Groups = append(r.Groups, ReportedGroup{Group: rookery.GroupID(i + 1), Here: p.Last > 0, Position: p})
	}
	return r
}

// Two survivors of five: each group goes on from the newer log, by term before
// length, and both reach the same plan whatever the order of the reports.
func TestPlanTakesTheNewestLog(t *testing.T) {
	a := reportOf("a", consensus.Position{Term: 5, LastTerm: 5, Last: 90}, consensus.Position{Term: 3, LastTerm: 3, Last: 10})
	b := reportOf("b", consensus.Position{Term: 7, LastTerm: 4, Last: 100}, consensus.Position{Term: 3, LastTerm: 3, Last: 11})
	p, err := PlanRecovery([]Report{b, a}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	q, err := PlanRecovery([]Report{a, b}, 1000)
	if err != nil || p.Generation != q.Generation {
		t.Errorf("the order of reports matters: %s, %s, %v", p.Generation, q.Generation, err)
	}
	if p.Groups[0].Seed != "a" || p.Groups[1].Seed != "b" || len(p.Groups[0].Members) != 2 || p.Groups[0].Term <= 7 {
		t.Errorf("seeds: %+v", p.Groups)
	}
	if len(p.Dead) != 3 {
		t.Errorf("dead: %+v", p.Dead)
	}
	alone, err := PlanRecovery([]Report{a}, 1000)
	if err != nil || alone.Generation == p.Generation {
		t.Errorf("another set of survivors has the same generation %s, %v", alone.Generation, err)
	}
}

// What any survivor has applied stays where it is, whoever's log a group goes on
// from; the system group's log stays whole.
func TestPlanKeepsWhatIsCommitted(t *testing.T) {
	a := reportOf("a", consensus.Position{Term: 3, LastTerm: 3, Last: 90, Applied: 80},
		consensus.Position{Term: 3, LastTerm: 3, Last: 12, Applied: 8})
	b := reportOf("b", consensus.Position{Term: 3, LastTerm: 3, Last: 85, Applied: 85},
		consensus.Position{Term: 3, LastTerm: 3, Last: 10, Applied: 9})
	p, err := PlanRecovery([]Report{a, b}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if p.Groups[0].Keep != 90 || p.Groups[1].Seed != "a" || p.Groups[1].Keep != 9 {
		t.Errorf("planned %+v", p.Groups)
	}
	if before, after := p.commands(2, nil); len(before) != 1 || len(after) != 0 || before[0].(*command.Jump).CountersOnly {
		t.Errorf("without a tail: %v, %v", before, after)
	}
	if before, after := p.commands(2, [][]byte{{1}}); !before[0].(*command.Jump).CountersOnly || len(after) != 1 ||
		after[0].(*command.Jump).CountersOnly {
		t.Errorf("around a tail: %v, %v", before, after)
	}
}

func TestPlanRefuses(t *testing.T) {
	at := consensus.Position{Term: 1, LastTerm: 1, Last: 1}
	a, b := reportOf("a", at), reportOf("b", at)
	other := b
	other.Cluster = "d"
	lost := reportOf("a", at, consensus.Position{})
	for name, reports := range map[string][]Report{"none": nil, "twice": {a, a}, "two clusters": {a, other}, "a group without a copy": {lost},
		"nobody is dead": {a, b, reportOf("c", at), reportOf("d", at), reportOf("e", at)}} {
		if _, err := PlanRecovery(reports, 1000); err == nil {
			t.Errorf("%s: planned", name)
		}
	}
}

// A node that was killed may have in its log alone who the members are.
func TestPlanKnowsTheDeadFromConfigurations(t *testing.T) {
	system := consensus.Position{Term: 1, LastTerm: 1, Last: 9,
		Servers: []consensus.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d", Learner: true}}}
	a, b := reportOf("a", system), reportOf("b", system)
	a.Nodes, b.Nodes = nil, b.Nodes[:3]
	p, err := PlanRecovery([]Report{a, b}, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Dead) != 2 || p.Dead[0] != (ReportedNode{Node: "c", Name: "c"}) || p.Dead[1] != (ReportedNode{Node: "d"}) {
		t.Errorf("dead: %+v", p.Dead)
	}
}

// A group that nobody of the survivors saw begin holds no recovery up; one
// that somebody saw begin, or whose copy is damaged, does.
func TestPlanPassesOverGroupsThatHadNotBegun(t *testing.T) {
	at := consensus.Position{Term: 1, LastTerm: 1, Last: 1}
	unbegunOn := func(node rookery.NodeID, unbegun bool, damaged string) Report {
		r := reportOf(node, at, consensus.Position{})
		r.Groups[1].Unbegun, r.Groups[1].Damaged = unbegun, damaged
		return r
	}
	p, err := PlanRecovery([]Report{unbegunOn("a", true, ""), unbegunOn("b", true, "")}, 1000)
	if err != nil || len(p.Groups) != 1 || len(p.Unbegun) != 1 || p.Unbegun[0] != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, b := range []Report{unbegunOn("b", false, ""), unbegunOn("b", true, "torn")} {
		if _, err := PlanRecovery([]Report{unbegunOn("a", true, ""), b}, 1000); !rookery.Is(err, rookery.KindConflict) {
			t.Errorf("planned without group 2: %v", err)
		}
	}
}
