package chaos

import (
	"bytes"
	"fmt"
	"io"
	"net/smtp"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"rookery/test/harness"
)

// TestEveryNodeShowsWhatAnyAcknowledged sends through one node and looks at
// once through another: what was answered 250 or OK before must be there. And
// a client in IDLE on a third node hears of it.
func TestEveryNodeShowsWhatAnyAcknowledged(t *testing.T) {
	d := harness.StartCluster(t, t.TempDir(), 3)
	u := d.Facts.Users[0]
	conf := d.TLS(t)
	news := make(chan uint32, 1024)
	dial := func(k int, o *imapclient.Options) *imapclient.Client {
		t.Helper()
		if o == nil {
			o = &imapclient.Options{}
		}
		o.TLSConfig = conf
		c, err := imapclient.DialTLS(d.Facts.Nodes[k].IMAPS, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := c.Login(u.Login, u.Password).Wait(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	clients := []*imapclient.Client{dial(0, nil), dial(1, nil), dial(2, nil)}
	watcher := dial(2, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				news <- *m.NumMessages
			}
		},
	}})
	sel, err := watcher.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	idle, err := watcher.Idle()
	if err != nil {
		t.Fatal(err)
	}
	count := sel.NumMessages
	for i := range 60 {
		from, to := i%3, (i+1+i/3%2)%3
		if i%2 == 0 {
			err = deliver(d.Facts.Nodes[from].SMTP, u.Login, i)
		} else {
			err = appendTo(clients[from], i)
		}
		if err != nil {
			t.Fatalf("message %d through node %d: %v", i, from+1, err)
		}
		count++
		st, err := clients[to].Status("INBOX", &imap.StatusOptions{NumMessages: true}).Wait()
		if err != nil {
			t.Fatalf("STATUS on node %d: %v", to+1, err)
		}
		if *st.NumMessages != count {
			t.Fatalf("message %d was acknowledged by node %d, but node %d counts %d messages, want %d", i, from+1, to+1, *st.NumMessages, count)
		}
	}
	for deadline := time.After(time.Minute); ; {
		select {
		case n := <-news:
			if n < count {
				continue
			}
		case <-deadline:
			t.Fatalf("the client in IDLE never heard of message %d", count)
		}
		break
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
}

func deliver(addr, to string, i int) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("someone@example.net"); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "Subject: view %d\r\n\r\nx\r\n", i); err != nil {
		return err
	}
	return w.Close()
}

func appendTo(c *imapclient.Client, i int) error {
	text := fmt.Appendf(nil, "Subject: view %d\r\n\r\nx\r\n", i)
	cmd := c.Append("INBOX", int64(len(text)), nil)
	if _, err := io.Copy(cmd, bytes.NewReader(text)); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	_, err := cmd.Wait()
	return err
}
