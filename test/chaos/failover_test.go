package chaos

import (
	"math/rand/v2"
	"net"
	"net/smtp"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// acceptedWithin bounds a failover on a machine that has much else to do.
const acceptedWithin = 3 * time.Minute

// TestFailover measures how long mail for a group is not accepted after its
// leader is killed: from the SIGKILL until a survivor has answered 250 for
// every keeper, whose accounts lie in several groups, and what that is made of.
// Clients of survivors must keep their connections. ROOKERY_KILLS says how
// often.
func TestFailover(t *testing.T) {
	if !inside(t) {
		return
	}
	kills := number(t, "ROOKERY_KILLS", 3)
	s := raise(t, 3, time.Minute, build{})
	rnd := rand.New(rand.NewPCG(3, 3))
	for _, u := range keepers {
		if err := s.deliverTo(s.site.place(0), u); err != nil {
			t.Fatal(err)
		}
	}
	var all []time.Duration
	parts := phases{}
	for kill := range kills {
		if err := s.site.settled(time.Minute); err != nil {
			t.Fatal(err)
		}
		victim, ok := s.site.leader(2 + rnd.IntN(4))
		if !ok {
			t.Fatal("no leader")
		}
		led := s.site.ledBy(victim)
		survivors := slices.DeleteFunc(s.site.members(), func(k int) bool { return k == victim })
		var clients []*session
		for _, k := range survivors {
			c, err := dialIMAP(t.Context(), clientIP(k), keepers[0])
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, c)
		}
		from := map[int]int64{}
		for _, k := range survivors {
			from[k] = s.site.logged(k)
		}
		dead := time.Now()
		s.site.signal(victim, syscall.SIGKILL)
		var wg sync.WaitGroup
		for i, u := range keepers {
			wg.Go(func() {
				for time.Since(dead) < acceptedWithin && s.deliverTo(survivors[i%2], u) != nil {
					pause(t.Context(), 20*time.Millisecond)
				}
			})
		}
		wg.Wait()
		all = append(all, time.Since(dead))
		for i, c := range clients {
			if _, _, err := c.do("NOOP"); err != nil {
				t.Errorf("kill %d: a client of the survivor %s: %v", kill, space(survivors[i]), err)
			}
			c.close()
		}
		for k, at := range from {
			parts.read(s.site.logLines(k, at))
		}
		parts.file(dead, led)
		s.site.end(victim, syscall.SIGKILL)
		if err := s.site.revive(victim); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, until every keeper had mail: %s\n%s", kills, quantiles(all), parts)
	if slices.Max(all) >= acceptedWithin {
		t.Errorf("mail was not accepted within %v of a kill", acceptedWithin)
	}
	if len(parts.total) == 0 {
		t.Error("the logs do not say what a failover is made of")
	}
}

func (s *storm) deliverTo(k int, user string) error {
	conn, err := net.DialTimeout("tcp", clientIP(k)+":25", time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerWithin))
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	if err := c.Mail("load@example.net"); err != nil {
		return err
	}
	if err := c.Rcpt(user + "@example.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	id := s.id()
	s.sent(id, 500)
	if _, err := w.Write([]byte(messageText(id, 500))); err != nil {
		return err
	}
	return w.Close()
}
