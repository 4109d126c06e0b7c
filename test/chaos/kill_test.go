package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery/test/harness"
)

// TestKill ends the node with SIGKILL at random moments during deliveries.
// Every message answered 250 must be in each of its mailboxes exactly once,
// every unanswered one at most once; UIDs only rise and name one message for
// ever. ROOKERY_CHAOS sets the number of kills, ROOKERY_SEED the moments.
func TestKill(t *testing.T) {
	kills := number(t, "ROOKERY_CHAOS", 8)
	seed := uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d kills, ROOKERY_SEED=%d", kills, seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := harness.StartDev(t, t.TempDir())
	l := newLedger()
	var users []string
	for _, u := range d.Facts.Users {
		users = append(users, u.Login)
	}
	var serial atomic.Int64
	for kill := range kills {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 6 {
			s := &sender{addr: d.Node().SMTP, users: users, ledger: l, serial: &serial, rnd: rand.New(rand.NewPCG(seed, uint64(kill*100+i)))}
			wg.Go(func() { s.run(ctx) })
		}
		before, _ := l.counts()
		<-time.After(time.Duration(20+rnd.IntN(600)) * time.Millisecond)
		if kill%2 == 0 { // the others come as early as they come
			waitUntil(t, time.Minute, "no mail is accepted", func() bool {
				now, _ := l.counts()
				return now >= before+20
			})
		}
		d.Kill()
		cancel()
		wg.Wait()
		if err := d.Start(); err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
		// Reading everything takes longer and longer: a long run looks at
		// every fifth kill and at the last.
		if kill < 10 || kill%5 == 0 || kill == kills-1 {
			check(t, d, l, kill)
		}
	}
	acked, unanswered := l.counts()
	t.Logf("%d messages answered 250, %d unanswered", acked, unanswered)
	if acked < 10*kills || unanswered == 0 {
		t.Errorf("%d acknowledged and %d unanswered attempts: the kills hit too little", acked, unanswered)
	}
}

// check waits until every acknowledged message is there (copies in further
// groups may come shortly after), then looks for what must not be.
func check(t *testing.T, d *harness.Dev, l *ledger, kill int) {
	t.Helper()
	conf := d.TLS(t)
	boxes := map[string]map[uint32]string{}
	validity := map[string]uint32{}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	err := harness.Poll(ctx, func() (bool, error) {
		for _, u := range d.Facts.Users {
			v, box, err := inbox(d.Node().IMAPS, conf, u.Login, u.Password)
			if err != nil {
				return false, err
			}
			boxes[u.Login], validity[u.Login] = box, v
		}
		return len(l.missing(boxes)) == 0, nil
	})
	if lost := l.missing(boxes); len(lost) > 0 || err != nil {
		t.Fatalf("kill %d: %d acknowledged messages are missing (%v): %.500v", kill, len(lost), err, lost)
	}
	for login, box := range boxes {
		for _, wrong := range l.observe(login, validity[login], box) {
			t.Errorf("kill %d: %s", kill, wrong)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func number(t *testing.T, env string, def int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s=%q is not a number", env, s)
	}
	return n
}
