package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"time"
)

// fault breaks something and mends it again. rnd is its own, so that one
// fault's moments do not move the next's.
type fault struct {
	name string
	do   func(s *site, rnd *rand.Rand) error
	// alone is that it needs or takes all nodes: nothing else is broken beside it.
	alone bool
}

func some(rnd *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rnd.Int64N(int64(to-from)))
}

func hold(rnd *rand.Rand, from, to time.Duration) { pause(context.Background(), some(rnd, from, to)) }

// victim is the leader of a group, or any member, but none that another fault
// or an operator has. It is the caller's until spare.
func (s *site) victim(rnd *rand.Rand) int {
	any, group, lead := rnd.IntN(s.size), 1+rnd.IntN(5), rnd.IntN(3) > 0
	k, ok := s.leader(group)
	if !ok || !lead {
		k = s.place(any)
	}
	for !s.seize(&k) {
		pause(context.Background(), 100*time.Millisecond)
	}
	return k
}

// seize takes slot k, or the next that holds a member which nobody has.
func (s *site) seize(k *int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range slots {
		if n := &s.nodes[*k]; n.member && !n.broken {
			n.broken = true
			return true
		}
		*k = (*k + 1) % slots
	}
	return false
}

// spare ends a fault's hold on its victim.
func (s *site) spare(k int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[k].broken = false
}

// revive starts a node and waits until it answers. A node that a full disk
// ended may end while it is looked at: it is started as often as it takes.
func (s *site) revive(k int) error {
	deadline := time.Now().Add(90 * time.Second)
	for {
		if err := s.start(k); err != nil {
			return err
		}
		err := s.answers(k, time.Until(deadline))
		if err == nil || time.Now().After(deadline) {
			return err
		}
		pause(context.Background(), time.Second)
	}
}

// nodeFault is a fault of one node.
func nodeFault(name string, do func(s *site, k int, rnd *rand.Rand) error) fault {
	return fault{name: name, do: func(s *site, rnd *rand.Rand) error {
		k := s.victim(rnd)
		defer s.spare(k)
		return do(s, k, rnd)
	}}
}

func linkFault(name string, worse func(rnd *rand.Rand, victim int) change) fault {
	return linksFault(name, func(_ *site, rnd *rand.Rand, k int) change { return worse(rnd, k) })
}

func linksFault(name string, worse func(s *site, rnd *rand.Rand, victim int) change) fault {
	return nodeFault(name, func(s *site, k int, rnd *rand.Rand) error {
		defer s.fabric.add(worse(s, rnd, k))()
		hold(rnd, time.Second, 7*time.Second)
		return nil
	})
}

func faults() []fault {
	return []fault{
		nodeFault("kill -9", func(s *site, k int, rnd *rand.Rand) error {
			s.end(k, syscall.SIGKILL)
			hold(rnd, 0, 3*time.Second)
			return s.revive(k)
		}),
		{"kill -9 of all", func(s *site, rnd *rand.Rand) error {
			for _, k := range s.members() {
				s.signal(k, syscall.SIGKILL)
			}
			for _, k := range s.members() {
				s.end(k, syscall.SIGKILL)
			}
			for _, k := range s.members() {
				if err := s.start(k); err != nil {
					return err
				}
			}
			for _, k := range s.members() {
				if err := s.answers(k, 90*time.Second); err != nil && s.member(k) {
					return err
				}
			}
			return nil
		}, true},
		nodeFault("stopped leader", func(s *site, k int, rnd *rand.Rand) error {
			s.signal(k, syscall.SIGSTOP)
			hold(rnd, time.Second, 10*time.Second)
			s.signal(k, syscall.SIGCONT)
			return nil
		}),
		nodeFault("clean restart", func(s *site, k int, _ *rand.Rand) error {
			if err := s.end(k, syscall.SIGTERM); err != nil {
				return err
			}
			return s.revive(k)
		}),
		linkFault("two-way partition", func(_ *rand.Rand, v int) change {
			return func(a, b int, l *link) { l.cut = l.cut || a == v || b == v }
		}),
		linkFault("one-way partition", func(rnd *rand.Rand, v int) change {
			out := rnd.IntN(2) == 0
			return func(a, b int, l *link) { l.cut = l.cut || out && a == v || !out && b == v }
		}),
		linksFault("one link cut", func(s *site, rnd *rand.Rand, v int) change {
			others := slices.DeleteFunc(s.members(), func(k int) bool { return k == v })
			d := others[rnd.IntN(len(others))]
			return func(a, b int, l *link) { l.cut = l.cut || a == v && b == d || a == d && b == v }
		}),
		linkFault("slow links", func(rnd *rand.Rand, v int) change {
			there, back := some(rnd, 5*time.Millisecond, 150*time.Millisecond), some(rnd, 0, 300*time.Millisecond)
			if rnd.IntN(2) == 0 {
				back = there
			}
			return func(a, b int, l *link) {
				switch v {
				case a:
					l.delay += there
				case b:
					l.delay += back
				}
			}
		}),
		linkFault("lossy links", func(rnd *rand.Rand, _ int) change {
			loss := 0.01 + rnd.Float64()*0.15
			return func(_, _ int, l *link) { l.loss = max(l.loss, loss) }
		}),
		linkFault("loss in one direction", func(rnd *rand.Rand, v int) change {
			loss, out := 0.1+rnd.Float64()*0.4, rnd.IntN(2) == 0
			return func(a, b int, l *link) {
				if out && a == v || !out && b == v {
					l.loss = max(l.loss, loss)
				}
			}
		}),
		nodeFault("full disk", fillDisk),
		nodeFault("slow disk", func(s *site, k int, rnd *rand.Rand) error {
			return s.slowDisk(k, some(rnd, 10*time.Millisecond, 700*time.Millisecond), some(rnd, 3*time.Second, 10*time.Second))
		}),
		nodeFault("stuck disk", func(s *site, k int, rnd *rand.Rand) error {
			if err := s.slowDisk(k, time.Minute, some(rnd, 2*time.Second, 9*time.Second)); err != nil {
				return err
			}
			return s.revive(k)
		}),
		nodeFault("wrong clock", func(s *site, k int, rnd *rand.Rand) error {
			off := some(rnd, -90*time.Second, 90*time.Second)
			if rnd.IntN(2) == 0 {
				off = some(rnd, -2*time.Second, 2*time.Second)
			}
			if err := os.WriteFile(s.clock(k), []byte(off.String()), 0o600); err != nil {
				return err
			}
			hold(rnd, 2*time.Second, 8*time.Second)
			return os.Remove(s.clock(k))
		}),
		nodeFault("drain", func(s *site, k int, rnd *rand.Rand) error {
			if err := s.ask("drain", space(k)); err != nil {
				return nil // no majority that moment, or away: nothing was broken
			}
			hold(rnd, time.Second, 5*time.Second)
			return s.patiently("undrain", space(k))
		}),
	}
}

// slowDisk has every sync of a node's log and state take so much longer, for
// some time.
func (s *site) slowDisk(k int, by, span time.Duration) error {
	if err := os.WriteFile(s.disk(k), []byte(by.String()), 0o600); err != nil {
		return err
	}
	pause(context.Background(), span)
	return os.Remove(s.disk(k))
}

// patiently repeats an operator's command until it is taken.
func (s *site) patiently(args ...string) error {
	var err error
	for range 20 {
		if err = s.ask(args...); err == nil {
			return nil
		}
		pause(context.Background(), time.Second)
	}
	return err
}

// fillDisk leaves some or no room on a node's disk. A node that ends over it is
// started again when there is room.
func fillDisk(s *site, k int, rnd *rand.Rand) error {
	leave := []int64{100 << 20, 30 << 20, 0}[rnd.IntN(3)]
	path := s.path(space(k), "filler")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	defer f.Close()
	for range 20 { // what the node writes meanwhile takes room too
		var st syscall.Statfs_t
		if err = syscall.Statfs(s.path(space(k)), &st); err != nil {
			return err
		}
		free := int64(st.Bavail) * st.Bsize
		if free <= leave {
			break
		}
		if err = syscall.Fallocate(int(f.Fd()), 0, 0, free-leave); err == nil {
			break
		}
	}
	if err != nil && err != syscall.ENOSPC {
		return fmt.Errorf("filling the disk: %w", err)
	}
	hold(rnd, 3*time.Second, 10*time.Second)
	os.Remove(path)
	f.Close()
	return s.revive(k)
}
