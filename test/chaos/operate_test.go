package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// groupsAdded is how many mail groups a run adds at most: they stay for ever,
// and each costs every node.
const groupsAdded = 6

// action is something that an operator does while others break things.
type action struct {
	name string
	do   func(ctx context.Context, s *storm, rnd *rand.Rand)
}

// order is an action that is one command.
func order(name string, within time.Duration, args ...string) action {
	return action{name, func(ctx context.Context, s *storm, rnd *rand.Rand) { s.act(ctx, rnd, name, within, args) }}
}

func operators() []action {
	return []action{
		{"group add", func(ctx context.Context, s *storm, rnd *rand.Rand) {
			// A group needs a majority of all nodes to be begun and placed.
			if s.added.Load() < groupsAdded && s.act(ctx, rnd, "group add", 30*time.Second, []string{"group", "add"}) == codeDone {
				s.added.Add(1)
			}
		}},
		order("account spread", 20*time.Second, "account", "spread", "-timeout", "15s"),
		order("key rotate", 30*time.Second, "key", "rotate"),
		order("key destroy", 30*time.Second, "key", "destroy", "-yes"),
		order("sweep with delete", 40*time.Second, "storage", "sweep", "-delete"),
		order("storage check", 60*time.Second, "storage", "check", "-sample", "20%"),
		{"account abandon", func(ctx context.Context, s *storm, rnd *rand.Rand) {
			s.act(ctx, rnd, "account abandon", 15*time.Second, []string{"account", "abandon", s.somebody(rnd) + "@example.test"}, codeNotFound)
		}},
		{"metrics", func(ctx context.Context, s *storm, _ *rand.Rand) { s.scrape(ctx) }},
	}
}

// operate is the schedule of operators' actions: each kind once before one
// comes again.
func (s *storm) operate(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(s.seed, 6))
	all := operators()
	for ctx.Err() == nil && !s.failed() {
		for _, i := range rnd.Perm(len(all)) {
			mine := rand.New(rand.NewPCG(rnd.Uint64(), 2))
			if gap := some(rnd, 200*time.Millisecond, 3*time.Second); ctx.Err() == nil && !s.failed() {
				all[i].do(ctx, s, mine)
				pause(ctx, gap)
			}
		}
	}
}

// somebody is an account that works now, or a keeper.
func (s *storm) somebody(rnd *rand.Rand) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := rnd.IntN(len(s.cells) + 1); i < len(s.cells) {
		return s.cells[i].login
	}
	return keepers[rnd.IntN(len(keepers))]
}

// moveAccounts has accounts change their group all the time.
func (s *storm) moveAccounts(ctx context.Context) {
	rnd := rand.New(rand.NewPCG(s.seed, 7))
	for ctx.Err() == nil && !s.failed() {
		pause(ctx, some(rnd, 300*time.Millisecond, 2*time.Second))
		args := []string{"account", "move", s.somebody(rnd) + "@example.test", "-to", fmt.Sprint(2 + rnd.IntN(4+int(s.added.Load())))}
		if rnd.IntN(2) == 0 {
			args = append(args, "-no-wait")
		}
		s.act(ctx, rnd, "account move", 20*time.Second, args, codeNotFound)
	}
}

// scrape reads every member's metrics. A node that is away gives none.
func (s *storm) scrape(ctx context.Context) {
	for _, k := range s.site.members() {
		outcome := "done"
		text, err := metrics(ctx, k)
		var wrong badMetrics
		if errors.As(err, &wrong) {
			s.fail([]string{fmt.Sprintf("metrics of %s: %v: %.300s", space(k), err, text)})
		} else if err != nil {
			outcome = "no answer"
		}
		s.actions.note("metrics", outcome)
	}
}

type badMetrics struct{ error }

func metrics(ctx context.Context, k int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+clientIP(k)+":7719/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(b), "# TYPE rookery_")) {
		return string(b), badMetrics{fmt.Errorf("status %d", resp.StatusCode)}
	}
	return string(b), err
}

// calmed waits until what operators began has ended: moves, new keys. Then
// every pack must be whole.
func (s *storm) calmed(ctx context.Context, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		why := s.restless(ctx)
		if why == "" || time.Now().After(deadline) {
			if why != "" {
				return fmt.Errorf("not within %v of the storm's end: %s", within, why)
			}
			return nil
		}
		pause(ctx, 500*time.Millisecond)
	}
}

func (s *storm) restless(ctx context.Context) string {
	for _, k := range s.site.members() {
		r, err := s.site.status(k)
		switch {
		case err != nil:
			return fmt.Sprintf("%s: %v", space(k), err)
		case len(r.Moves) > 0:
			return fmt.Sprintf("%s: moves: %+v", space(k), r.Moves)
		case len(r.Key.Waits) > 0:
			return fmt.Sprintf("%s: the settings key waits: %+v", space(k), r.Key)
		}
	}
	k := s.site.place(0)
	for _, args := range [][]string{{"key", "status"}, {"storage", "check", "-all", "-rate", "128"}} {
		if code, text := s.site.order(ctx, k, time.Minute, args...); code != codeDone {
			return fmt.Sprintf("%s: rookery %v: exit code %d: %.3000s", space(k), args, code, text)
		}
	}
	return ""
}
