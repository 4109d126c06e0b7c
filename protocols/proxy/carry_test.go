package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
)

func TestBoundary(t *testing.T) {
	for _, c := range []struct {
		said       string
		whole, bye bool
	}{
		{"", true, false},
		{"* 3 EXISTS\r\n", true, false},
		{"* 3 EXI", false, false},
		{"* 1 FETCH (BODY[] {5}\r\n", false, false},
		{"* 1 FETCH (BODY[] {5}\r\n\r\n* B", false, false},
		{"* 1 FETCH (BODY[] {7}\r\n* BYE\r\n", false, false},
		{"* 1 FETCH (BODY[] {7}\r\n* BYE\r\n)\r\n", true, false},
		{"* 1 FETCH (BODY[] {0}\r\n FLAGS ())\r\na OK Done\r\n", true, false},
		{"a OK Done\r\n* BYE Logging out\r\n", true, true},
		{"* BYE x\r\na OK LOGOUT completed\r\n", true, false},
	} {
		for size := 1; size <= len(c.said)+1; size++ {
			var b boundary
			for p := []byte(c.said); len(p) > 0; p = p[min(size, len(p)):] {
				b.pass(p[:min(size, len(p))])
			}
			if b.whole() != c.whole || b.bye != c.bye {
				t.Errorf("%q in pieces of %d: whole %v, bye %v", c.said, size, b.whole(), b.bye)
			}
		}
	}
}

// tcp gives both ends of a connection that can be closed by halves.
func tcp(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err == nil {
		far, err = l.Accept()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// carried is a client and a server with Carry between them.
func carried(t *testing.T, ahead string) (user, front, server net.Conn, end chan End) {
	user, front = tcp(t)
	tunnel, server := tcp(t)
	end = make(chan End, 1)
	go func() { end <- Carry(front, tunnel, []byte(ahead), time.Minute) }()
	return user, front, server, end
}

func TestCarryKeepsOrderAndSize(t *testing.T) {
	user, _, server, end := carried(t, "first ")
	much := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	go func() {
		user.Write(much)
		user.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(server)
	if err != nil || string(got) != "first "+string(much) {
		t.Fatalf("%d bytes arrived, want %d: %v", len(got), len(much)+6, err)
	}
	go func() { server.Write(much); server.Close() }()
	back, err := io.ReadAll(io.LimitReader(user, int64(len(much))))
	if err != nil || !bytes.Equal(back, much) {
		t.Fatalf("%d bytes came back, want %d: %v", len(back), len(much), err)
	}
	<-end
}

// A server that vanishes between lines leaves room for a farewell, one that
// vanishes within a literal does not.
func TestCarryTellsWhereAFarewellFits(t *testing.T) {
	for said, want := range map[string]bool{"* OK hello\r\n": true, "* 1 FETCH (BODY[] {100}\r\nabc\r\n": false, "* BYE\r\n": false} {
		user, _, server, end := carried(t, "a NOOP\r\n")
		server.Write([]byte(said))
		io.ReadFull(user, make([]byte, len(said)))
		server.Close()
		if e := <-end; e.Farewell != want || e.Left {
			t.Errorf("after %q: %+v", said, e)
		}
	}
}

// Who interrupts the reading of the client lets the command that runs finish.
func TestCarryLeavesAfterTheRunningCommand(t *testing.T) {
	user, front, server, end := carried(t, "a FETCH\r\n")
	front.SetReadDeadline(time.Unix(1, 0))
	if got, err := io.ReadAll(server); err != nil || string(got) != "a FETCH\r\n" {
		t.Fatalf("%q %v", got, err)
	}
	io.WriteString(server, "a OK\r\n")
	server.Close()
	if e := <-end; !e.Left || !e.Farewell {
		t.Errorf("%+v", e)
	}
	front.Close()
	if got, err := io.ReadAll(user); err != nil || string(got) != "a OK\r\n" {
		t.Errorf("the client got %q %v", got, err)
	}
}

// A server that reads nothing ends the session after the stall: without a
// bound it would last until the machine is found dead.
func TestCarryEndsWhereTheServerReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		user, front := net.Pipe()
		tunnel, server := net.Pipe()
		defer server.Close()
		began := time.Now()
		end := make(chan End, 1)
		go func() { end <- Carry(front, tunnel, nil, time.Minute) }()
		if _, err := io.WriteString(user, "a NOOP\r\n"); err != nil {
			t.Fatal(err)
		}
		if e := <-end; !e.Asked || time.Since(began) != time.Minute {
			t.Errorf("%+v after %v", e, time.Since(began))
		}
	})
}

func TestAnswers(t *testing.T) {
	for _, refusal := range []error{nil, rookery.E("adopt", rookery.KindLimit, errors.New("too many"))} {
		var b bytes.Buffer
		if err := WriteAnswer(&b, "IMAP4rev2 IDLE", refusal); err != nil {
			t.Fatal(err)
		}
		text, err := ReadAnswer(&b)
		if refusal == nil && (err != nil || text != "IMAP4rev2 IDLE") || refusal != nil && !rookery.Is(err, rookery.KindLimit) {
			t.Errorf("read %q %v", text, err)
		}
	}
	if _, err := ReadAnswer(bytes.NewReader([]byte{0, 0})); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a cut answer: %v", err)
	}
}

func TestConnShowsTheClient(t *testing.T) {
	near, _ := tcp(t)
	c := NewConn(near, Session{Client: netip.MustParseAddrPort("203.0.113.9:4711")})
	if got := ClientOf(c).String(); got != "203.0.113.9:4711" {
		t.Errorf("the client is %s", got)
	}
}
