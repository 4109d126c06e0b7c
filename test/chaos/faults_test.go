package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// fault breaks something and mends it again. rnd is its own, so that one
// fault's moments do not move the next's.
type fault struct {
	name string
	do   func(s *site, rnd *rand.Rand) error
}

func some(rnd *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rnd.Int64N(int64(to-from)))
}

func hold(rnd *rand.Rand, from, to time.Duration) { pause(context.Background(), some(rnd, from, to)) }

// victim is the leader of a group, or any member.
func (s *site) victim(rnd *rand.Rand) int {
	any, group, lead := rnd.IntN(3), 1+rnd.IntN(5), rnd.IntN(3) > 0
	if k, ok := s.leader(group); ok && lead {
		return k
	}
	return s.place(any)
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

func linkFault(name string, change func(rnd *rand.Rand, victim int) func(from, to int, l *link)) fault {
	return fault{name, func(s *site, rnd *rand.Rand) error {
		s.fabric.set(change(rnd, s.victim(rnd)))
		hold(rnd, time.Second, 7*time.Second)
		s.fabric.set(func(_, _ int, l *link) { *l = link{} })
		return nil
	}}
}

func faults() []fault {
	return []fault{
		{"kill -9", func(s *site, rnd *rand.Rand) error {
			k := s.victim(rnd)
			s.end(k, syscall.SIGKILL)
			hold(rnd, 0, 3*time.Second)
			return s.revive(k)
		}},
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
				if err := s.answers(k, 90*time.Second); err != nil {
					return err
				}
			}
			return nil
		}},
		{"stopped leader", func(s *site, rnd *rand.Rand) error {
			k := s.victim(rnd)
			s.signal(k, syscall.SIGSTOP)
			hold(rnd, time.Second, 10*time.Second)
			s.signal(k, syscall.SIGCONT)
			return nil
		}},
		{"clean restart", func(s *site, rnd *rand.Rand) error {
			k := s.victim(rnd)
			if err := s.end(k, syscall.SIGTERM); err != nil {
				return err
			}
			return s.revive(k)
		}},
		linkFault("two-way partition", func(_ *rand.Rand, v int) func(int, int, *link) {
			return func(a, b int, l *link) { l.cut = a == v || b == v }
		}),
		linkFault("one-way partition", func(rnd *rand.Rand, v int) func(int, int, *link) {
			out := rnd.IntN(2) == 0
			return func(a, b int, l *link) { l.cut = out && a == v || !out && b == v }
		}),
		linkFault("one link cut", func(rnd *rand.Rand, v int) func(int, int, *link) {
			d := (v + 1 + rnd.IntN(2)) % 3
			return func(a, b int, l *link) { l.cut = a == v && b == d || a == d && b == v }
		}),
		linkFault("slow links", func(rnd *rand.Rand, v int) func(int, int, *link) {
			delay := some(rnd, 5*time.Millisecond, 150*time.Millisecond)
			return func(a, b int, l *link) {
				if a == v || b == v {
					l.delay = delay
				}
			}
		}),
		linkFault("lossy links", func(rnd *rand.Rand, _ int) func(int, int, *link) {
			loss := 0.01 + rnd.Float64()*0.15
			return func(_, _ int, l *link) { l.loss = loss }
		}),
		{"full disk", fillDisk},
		{"wrong clock", func(s *site, rnd *rand.Rand) error {
			k := s.victim(rnd)
			off := some(rnd, -90*time.Second, 90*time.Second)
			if rnd.IntN(2) == 0 {
				off = some(rnd, -2*time.Second, 2*time.Second)
			}
			if err := os.WriteFile(s.clock(k), []byte(off.String()), 0o600); err != nil {
				return err
			}
			hold(rnd, 2*time.Second, 8*time.Second)
			return os.Remove(s.clock(k))
		}},
		{"drain", func(s *site, rnd *rand.Rand) error {
			k := s.victim(rnd)
			if err := s.ask("drain", space(k)); err != nil {
				return nil // no majority that moment, or away: nothing was broken
			}
			hold(rnd, time.Second, 5*time.Second)
			return s.patiently("undrain", space(k))
		}},
	}
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
func fillDisk(s *site, rnd *rand.Rand) error {
	k := s.victim(rnd)
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

// replace enters a fresh node into the free slot and removes another for ever.
func replaceNode(s *site, rnd *rand.Rand) error {
	if err := s.settled(time.Minute); err != nil {
		return err
	}
	k, free := s.victim(rnd), -1
	for slot := range slots {
		s.mu.Lock()
		if !s.nodes[slot].member {
			free = slot
		}
		s.mu.Unlock()
	}
	by := s.place(rnd.IntN(3))
	if err := s.join(by, free); err != nil {
		return fmt.Errorf("join %s: %w", space(free), err)
	}
	s.mu.Lock()
	s.nodes[k].ending = true // it may end as soon as it is removed
	s.mu.Unlock()
	if err := s.patiently("remove", space(k)); err != nil {
		return fmt.Errorf("remove %s: %w", space(k), err)
	}
	s.mu.Lock()
	s.nodes[k].member = false
	s.mu.Unlock()
	s.end(k, syscall.SIGKILL)
	if err := os.RemoveAll(s.data(k)); err != nil {
		return err
	}
	return s.settled(3 * time.Minute)
}
