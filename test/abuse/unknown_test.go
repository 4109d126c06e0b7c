package abuse

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestUnknownRecipients asks for addresses that nobody has, over many
// connections from one address. Each permanent answer is one search in the
// directory: there are 2 a second at most, after 20. The rest is temporary, and
// sign-ins and known recipients are served meanwhile.
func TestUnknownRecipients(t *testing.T) {
	g := attackDev(t)
	const lasts = 10 * time.Second
	var permanent, temporary atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for k := range 20 {
		wg.Go(func() {
			for i := 0; time.Since(began) < lasts; {
				c := g.dial(t, g.node.SMTP)
				c.reply("220")
				c.ok("EHLO x", "250")
				c.ok("MAIL FROM:<a@example.net>", "250")
				for n := 0; n < 500 && time.Since(began) < lasts; n++ {
					i++
					c.send("RCPT TO:<nobody%d.%d@%s>\r\n", k, i, domainOf(g.users[0].Login))
					l, err := c.line()
					switch {
					case err != nil || strings.HasPrefix(l, "421"):
						n = 500 // enough from this connection
					case strings.HasPrefix(l, "550 "):
						permanent.Add(1)
					case strings.HasPrefix(l, "451 4.7.0 "):
						temporary.Add(1)
					default:
						t.Errorf("an unknown recipient is answered %q", l)
						return
					}
				}
				c.raw.Close()
			}
		})
	}
	slowest := time.Duration(0)
	for range 5 {
		at := time.Now()
		g.imap(t, 1).cmd("z LOGOUT", "z OK")
		g.envelope(t, 0).ok("QUIT", "221")
		slowest = max(slowest, time.Since(at))
	}
	wg.Wait()
	most := 20 + int64(2*time.Since(began).Seconds()) + 1
	t.Logf("%d searches (%d a minute are the bound), %d refused for now; a sign-in and a recipient took %v at most",
		permanent.Load(), 20+2*60, temporary.Load(), slowest)
	if n := permanent.Load(); n > most || n < 20 {
		t.Errorf("%d searches in %v, the bound is %d", n, lasts, most)
	}
	if temporary.Load() < 100 {
		t.Errorf("%d were refused for now: this is no load", temporary.Load())
	}
	if slowest > 5*time.Second {
		t.Errorf("a sign-in and a recipient took %v beside it", slowest)
	}
}

func domainOf(login string) string {
	_, domain, _ := strings.Cut(login, "@")
	return domain
}
