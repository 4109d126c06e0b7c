package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery/cmd/node/peers"
)

// manage runs fn with a connection to the directory as its administrator.
func (c *sim) manage(fn func(*goldap.Conn) error) {
	c.t.Helper()
	raw, err := c.net.Dialer(simClient+":0")(context.Background(), simDirectory+":389")
	if err != nil {
		c.t.Fatal(err)
	}
	conn := goldap.NewConn(raw, false)
	conn.Start()
	defer conn.Close()
	if err := errors.Join(conn.Bind("cn=admin,dc=example,dc=test", "secret"), fn(conn)); err != nil {
		c.t.Fatal(err)
	}
}

// The sessions of an account end within a minute, on whatever node, once the
// directory has disabled it or has it no more; and not while the directory does
// not answer.
func TestSimSessionsEndWithTheirAccount(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		open := func() (ims []*imapClient) {
			for _, x := range c.nodes {
				im := c.login(x, 0)
				im.conn.SetDeadline(time.Now().Add(time.Hour))
				im.do("SELECT INBOX")
				ims = append(ims, im)
			}
			return ims
		}
		all := func() (n int) {
			on, err := c.nodes[0].clients.List(c.t.Context(), "", peers.SessionFilter{Account: c.ledger.people[0].account})
			if err != nil {
				c.t.Fatal(err)
			}
			for _, x := range on {
				if x.Err != nil {
					c.t.Fatal(x.Err)
				}
				n += len(x.Sessions.Sessions)
			}
			return n
		}
		ended := func(ims []*imapClient, bye string) {
			began := time.Now()
			var wg sync.WaitGroup
			for _, im := range ims {
				wg.Go(func() {
					line, err := im.r.ReadString('\n')
					if err != nil || !strings.HasPrefix(line, "* BYE ") || !strings.Contains(line, bye) {
						c.t.Errorf("told %q %v, want %q", line, err, bye)
					}
					im.conn.Close()
				})
			}
			wg.Wait()
			if took := time.Since(began); took > time.Minute {
				c.t.Errorf("sessions ended after %v", took)
			}
			c.until(time.Minute, "no session is left", func() bool { return all() == 0 })
		}
		ims := open()
		if n := all(); n != 3 {
			c.t.Fatalf("%d sessions", n)
		}
		c.net.Cut(simDirectory+":0", true)
		time.Sleep(10 * time.Minute)
		if n := all(); n != 3 {
			c.t.Fatalf("%d sessions are left while the directory does not answer", n)
		}
		c.net.Cut(simDirectory+":0", false)
		time.Sleep(time.Minute)
		set := func(values ...string) {
			c.manage(func(l *goldap.Conn) error {
				m := goldap.NewModifyRequest(c.dir.UserDN("user0"), nil)
				m.Replace("nsAccountLock", values)
				return l.Modify(m)
			})
		}
		set("TRUE")
		ended(ims, "disabled")
		set()
		time.Sleep(time.Minute) // for what is remembered of the directory
		ims = open()
		c.manage(func(l *goldap.Conn) error { return l.Del(goldap.NewDelRequest(c.dir.UserDN("user0"), nil)) })
		ended(ims, "not in the directory")
	})
}
