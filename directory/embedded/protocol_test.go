package embedded

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
)

// raw sends bytes and reads what comes back before the server hangs up or
// has nothing more to say.
func raw(t *testing.T, s *Server, in []byte, hangsUp bool) []byte {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	c.Write(in)
	if !hangsUp {
		c.(*net.TCPConn).CloseWrite()
	}
	out, err := io.ReadAll(c)
	var timeout net.Error
	if e, ok := err.(net.Error); ok && e.Timeout() {
		timeout = e
	}
	if timeout != nil {
		t.Errorf("the server neither answers nor hangs up")
	}
	return out
}

func TestAbuse(t *testing.T) {
	s := filled(t)
	nested := bytes.Repeat([]byte{0x30, 0x80}, 20_000)
	for name, in := range map[string][]byte{
		"HTTP":              []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"2 GiB header":      {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01},
		"indefinite length": append([]byte{0x30, 0x80}, nested...),
		"deep nesting":      append([]byte{0x30, 0x82, 0x9c, 0x40}, nested...),
		"TLS":               {0x16, 0x03, 0x01, 0x02, 0x00, 0x01},
	} {
		if out := raw(t, s, in, true); len(out) > 0 {
			t.Errorf("%s is answered with %q", name, out)
		}
	}
	dial(t, s, s.UserDN("alice"), "secret") // and it still serves
}

func TestAbandonIsHarmless(t *testing.T) {
	s := filled(t)
	abandon := ber.Encode(ber.ClassApplication, ber.TypePrimitive, goldap.ApplicationAbandonRequest, nil, "")
	abandon.Data.WriteByte(1)
	filter, _ := goldap.CompileFilter("(objectClass=*)")
	in := envelope(1, abandon).Bytes()
	root := searchWith(filter)
	in = append(in, envelope(2, root).Bytes()...)
	if out := raw(t, s, in, false); len(out) == 0 {
		t.Error("the connection ends at an Abandon")
	}
}

func TestManyAtOnce(t *testing.T) {
	s := filled(t)
	var wg sync.WaitGroup
	for i := range 8 {
		c := dial(t, s, s.AdminDN(), "adminpw")
		wg.Go(func() {
			for j := range 20 {
				uid := fmt.Sprintf("w%d-%d", i, j)
				if err := s.AddUser(User{UID: uid, Mail: uid + "@example.test"}); err != nil {
					t.Error(err)
				}
				if got := uids(t, c, s.Base(), "(mail="+uid+"@example.test)", goldap.ScopeWholeSubtree); got != uid {
					t.Errorf("%s is not found: %q", uid, got)
				}
				m := goldap.NewModifyRequest(s.UserDN(uid), nil)
				m.Replace("mail", []string{uid + "@other.test"})
				if err := c.Modify(m); err != nil {
					t.Error(err)
				}
				if got := uids(t, c, s.Base(), "(mail="+uid+"@example.test)", goldap.ScopeWholeSubtree); got != "" {
					t.Errorf("%s is still found by its old address", uid)
				}
				if j%2 == 0 {
					if err := s.DeleteUser(uid); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	c := dial(t, s, s.AdminDN(), "adminpw")
	r, err := c.SearchWithPaging(goldap.NewSearchRequest(s.Base(), 2, 0, 0, 0, false, "(mail=*@other.test)", nil, nil), 7)
	if err != nil || len(r.Entries) != 80 {
		t.Errorf("%d entries, %v", len(r.Entries), err)
	}
}

func TestCloseEndsClients(t *testing.T) {
	s := filled(t)
	c := dial(t, s, s.UserDN("alice"), "secret")
	done := make(chan struct{})
	go func() { s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("Close waits for a client that has nothing to say")
	}
	if err := c.Bind(s.UserDN("alice"), "secret"); err == nil {
		t.Error("a closed server answers")
	}
}
