package chaos

import (
	"context"
	"crypto/tls"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery/test/harness"
)

// TestKillNodes ends one node of three after the other with SIGKILL while mail
// comes in through all of them. Every message answered 250 must be readable on
// every live node, once; UIDs only rise and name one message for ever; the
// survivors accept mail again within seconds. ROOKERY_CHAOS sets the number of
// kills, ROOKERY_SEED the moments.
func TestKillNodes(t *testing.T) {
	kills := number(t, "ROOKERY_CHAOS", 5)
	seed := uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d kills, ROOKERY_SEED=%d", kills, seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	d := harness.StartCluster(t, t.TempDir(), 3)
	l := newLedger()
	conf := d.TLS(t)
	var users []string
	for _, u := range d.Facts.Users {
		users = append(users, u.Login)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	stop := func() { cancel(); wg.Wait() }
	defer stop()
	var serial atomic.Int64
	for i := range 6 {
		s := &sender{addr: d.Facts.Nodes[i%3].SMTP, users: users, ledger: l, serial: &serial, rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
		wg.Go(func() { s.run(ctx) })
	}
	var worst time.Duration
	for kill := range kills {
		<-time.After(time.Duration(200+rnd.IntN(800)) * time.Millisecond)
		victim := d.Facts.Nodes[rnd.IntN(3)].Name
		before, _ := l.counts()
		if err := d.KillNode(victim); err != nil {
			t.Fatal(err)
		}
		dead := time.Now()
		waitUntil(t, 30*time.Second, "no mail is accepted while "+victim+" is dead", func() bool {
			now, _ := l.counts()
			return now > before+20
		})
		worst = max(worst, time.Since(dead))
		if err := d.StartNode(victim); err != nil {
			t.Fatalf("kill %d: %v", kill, err)
		}
	}
	stop()
	for _, n := range d.Facts.Nodes {
		checkNode(t, d, conf, n, l)
	}
	acked, unanswered := l.counts()
	t.Logf("%d messages answered 250, %d unanswered; at most %v until 20 more were accepted", acked, unanswered, worst.Round(time.Millisecond))
	if acked < 20*kills {
		t.Errorf("only %d messages were acknowledged: the test hits too little", acked)
	}
}

func waitUntil(t *testing.T, within time.Duration, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(within))
	defer cancel()
	if err := harness.Poll(ctx, func() (bool, error) { return fn(), nil }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// checkNode reads every mailbox through one node.
func checkNode(t *testing.T, d *harness.Dev, conf *tls.Config, n harness.Node, l *ledger) {
	t.Helper()
	boxes, validity := map[string]map[uint32]string{}, map[string]uint32{}
	var last error
	waitUntil(t, time.Minute, "acknowledged messages are missing on "+n.Name, func() bool {
		for _, u := range d.Facts.Users {
			v, box, err := inbox(n.IMAPS, conf, u.Login, u.Password)
			if last = err; err != nil {
				return false
			}
			boxes[u.Login], validity[u.Login] = box, v
		}
		return len(l.missing(boxes)) == 0
	})
	for login, box := range boxes {
		for _, wrong := range l.observe(login, validity[login], box) {
			t.Errorf("%s: %s", n.Name, wrong)
		}
	}
	if lost := l.missing(boxes); len(lost) > 0 || last != nil {
		t.Fatalf("%s: %d acknowledged messages are missing (%v): %.300v", n.Name, len(lost), last, lost)
	}
}
