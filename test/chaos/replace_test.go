package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// replaceNodes takes one node after the other off for ever and enters a fresh
// one, while others break things.
func (s *storm) replaceNodes(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(s.seed, 8))
	for ctx.Err() == nil && !s.failed() {
		pause(ctx, some(rnd, time.Second, 15*time.Second))
		if ctx.Err() == nil {
			s.replace(ctx, rnd)
		}
	}
}

// replace puts a fresh node in another's place. Three nodes are four meanwhile;
// five may also be four.
func (s *storm) replace(ctx context.Context, rnd *rand.Rand) {
	first := s.site.size == 3 || rnd.IntN(2) == 0
	for _, join := range []bool{first, !first} {
		if full := len(s.site.members()) > s.site.size; join && !full || len(s.site.members()) < s.site.size {
			s.enter(rnd)
		} else if !join && (full || s.site.size > 3) {
			s.leave(rnd)
		}
	}
}

// enter has a fresh node join in the free slot. While a group is without a
// majority nobody can: it is tried again, with another token.
func (s *storm) enter(rnd *rand.Rand) {
	k := s.site.vacant()
	s.logf("%s joins", space(k))
	var err error
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); pause(context.Background(), time.Second) {
		if err = s.site.join(s.site.place(rnd.IntN(s.site.size)), k); err == nil {
			s.actions.note("join", "done")
			return
		}
		s.logf("%v", err)
		s.actions.note("join", "later")
		if s.site.member(k) {
			break // it has joined, and does not start
		}
	}
	s.fail([]string{fmt.Sprintf("a new node cannot join: %v", err)})
}

// leave removes a node: drained first, or as it is, or dead. An operator takes
// none off before what the last one held has been made good: of a group with
// two members a dead one is the half.
func (s *storm) leave(rnd *rand.Rand) {
	if err := s.site.settled(2 * time.Minute); err != nil {
		s.logf("nobody leaves: %v", err)
		return
	}
	k := s.site.victim(rnd)
	defer s.site.spare(k)
	how := []string{"drained", "removed", "dead"}[rnd.IntN(3)]
	s.logf("%s leaves (%s)", space(k), how)
	switch how {
	case "drained":
		s.actByOthers(k, time.Minute, "drain", space(k), "-timeout", "45s")
	case "dead":
		s.site.signal(k, syscall.SIGKILL)
	}
	if err := s.site.remove(k); err != nil {
		s.fail([]string{err.Error()})
		return
	}
	s.actions.note("remove, "+how, "done")
}

func (s *storm) actByOthers(k int, within time.Duration, args ...string) {
	for _, m := range s.site.members() {
		if m != k {
			s.site.order(context.Background(), m, within, args...)
			return
		}
	}
}

// vacant is the slot without a node.
func (s *site) vacant() int {
	for k := range s.size + 1 {
		if !s.member(k) {
			return k
		}
	}
	return -1
}

// remove takes a node off and wipes its disk. Groups that would lose their
// majority by it forbid it until they have moved.
func (s *site) remove(k int) error {
	s.mu.Lock()
	s.nodes[k].member = false // others are asked, and it may end at once
	s.mu.Unlock()
	var err error
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); pause(context.Background(), time.Second) {
		// An answer may be lost, and then the node is no more when asked again.
		if err = s.ask("remove", space(k), "-yes"); err == nil || strings.Contains(err.Error(), "there is no node") {
			s.end(k, syscall.SIGKILL)
			return os.RemoveAll(s.data(k))
		}
	}
	return fmt.Errorf("remove %s: %w", space(k), err)
}

// join enters the node of a slot into the cluster, by a token of another's.
func (s *site) join(by, k int) error {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, s.bin, "token", "-valid", "10m", "-socket", s.path(space(by)+".sock"), "--json").Output()
	if err != nil {
		return fmt.Errorf("token: %w: %s", err, errorText(err))
	}
	var invite struct {
		Token     string   `json:"token"`
		Addresses []string `json:"addresses"`
	}
	if err := json.Unmarshal(out, &invite); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", space(k), s.bin, "join", "-config", s.config(k)},
		invite.Addresses...)...)
	cmd.Env = append(os.Environ(), "ROOKERY_TOKEN="+invite.Token)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("join: %w: %s", err, out)
	}
	s.mu.Lock()
	s.nodes[k].member = true
	s.mu.Unlock()
	if err := s.start(k); err != nil {
		return err
	}
	return s.revive(k)
}

func errorText(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
