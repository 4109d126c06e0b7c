package node

import (
	"testing"
	"time"
)

// A session on any node changes and reads without waiting for the library's
// timer, which would tell a follower's replica of each change 50 to 100 ms
// later. The network of the simulation takes no time, nor does its disk.
func TestSimSessionsWaitForNoTimer(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		const rounds = 20
		for _, at := range c.nodes {
			im := c.login(at, 0)
			im.do("CREATE Box" + at.host)
			time.Sleep(time.Second)
			began := time.Now()
			for range rounds {
				im.do("SUBSCRIBE Box" + at.host)
				im.do("STATUS Box" + at.host + " (MESSAGES)")
				im.do("UNSUBSCRIBE Box" + at.host)
			}
			if took := time.Since(began); took > rounds*2*2*promptAfter {
				t.Errorf("on %s, %d changes take %v of simulated time", at.host, 2*rounds, took)
			}
			im.conn.Close()
		}
		c.mustCheck()
	})
}
