package imap

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMemoryPerConnection prints what an idle connection costs the server:
// signed in under TLS with 1,000 messages selected, and then in IDLE. The
// clients live in another process, so that only the server is counted. A bare
// goroutine that waits in tls.Conn.Read gives the floor.
func TestMemoryPerConnection(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("measures another process's connections, without the race detector")
	}
	const connections = 400
	floor := measure(t, connections, func(ln net.Listener) func() int {
		return bareServer(ln)
	}, "bare")
	s := newStack(t, func(o *Options) { o.SessionsPerUser = func() int { return 10_000 } })
	a := s.signIn("ann")
	for range 1000 {
		s.file("ann", "INBOX", hello)
	}
	a.ok("LOGOUT")
	for _, mode := range []string{"select", "idle"} {
		serve := func(ln net.Listener) func() int {
			go s.server.Serve(context.Background(), ln, Mode{TLS: true})
			return s.server.Sessions
		}
		n := measure(t, connections, serve, mode)
		t.Logf("%s: %.1f KB a connection, %.1f KB over the floor of %.1f KB", mode, n, n-floor, floor)
		if n-floor > 8 {
			t.Errorf("%s: a connection costs %.1f KB over the floor", mode, n-floor)
		}
		for end := time.Now().Add(10 * time.Second); s.server.Sessions() > 0 && time.Now().Before(end); {
			runtime.Gosched()
		}
	}
}

// bareServer answers nothing and waits.
func bareServer(ln net.Listener) func() int {
	cfg := testTLS(nopTB{})
	var n = make(chan int, 1)
	n <- 0
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				c := tls.Server(conn, cfg)
				defer c.Close()
				if c.Handshake() != nil {
					return
				}
				io.WriteString(c, "* OK\r\n")
				n <- 1 + <-n
				var one [1]byte
				c.Read(one[:])
				n <- <-n - 1
			}()
		}
	}()
	return func() int { v := <-n; n <- v; return v }
}

// nopTB lets testTLS be used where there is no test to fail.
type nopTB struct{ testing.TB }

func (nopTB) Helper()        {}
func (nopTB) Fatal(a ...any) { panic(fmt.Sprint(a...)) }

// measure gives the memory of a connection in KB: heap in use and stacks.
func measure(t *testing.T, n int, serve func(net.Listener) func() int, mode string) float64 {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	before := memory()
	count := serve(ln)
	cmd := exec.Command(os.Args[0], "-test.run=^TestManyClients$", "-test.v")
	cmd.Env = append(os.Environ(), "IMAP_CLIENTS="+strconv.Itoa(n), "IMAP_ADDRESS="+ln.Addr().String(), "IMAP_MODE="+mode)
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		cmd.Wait()
	}()
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "clients ready") {
		if strings.Contains(lines.Text(), "FAIL") {
			t.Fatal(lines.Text())
		}
	}
	if got := count(); got != n {
		t.Fatalf("%d of %d connections", got, n)
	}
	return float64(memory()-before) / float64(n) / 1024
}

func memory() int64 {
	for range 6 { // stacks shrink by half with each collection
		runtime.GC()
	}
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// TestManyClients is the other process of TestMemoryPerConnection.
func TestManyClients(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("IMAP_CLIENTS"))
	if n == 0 {
		t.Skip("runs for TestMemoryPerConnection only")
	}
	var all []*client // a connection nothing refers to would be closed
	for range n {
		conn, err := tls.Dial("tcp", os.Getenv("IMAP_ADDRESS"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		c := &client{t: t, conn: conn, r: bufio.NewReaderSize(conn, 512)}
		all = append(all, c)
		c.line()
		if mode := os.Getenv("IMAP_MODE"); mode != "bare" {
			c.ok("LOGIN ann secret")
			c.ok("SELECT INBOX")
			c.ok("UID FETCH 1:* (FLAGS)")
			if mode == "idle" {
				c.send("i IDLE\r\n")
				c.line()
			}
		}
	}
	fmt.Println("clients ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(all)
}

// BenchmarkFetchHeaders is how classic Outlook opens a folder.
func BenchmarkFetchHeaders(b *testing.B) { benchmarkFetch(b, 10_000, "FETCH 1:* (BODY.PEEK[HEADER])") }

// BenchmarkSearchText looks through the text of every message.
func BenchmarkSearchText(b *testing.B) { benchmarkFetch(b, 1000, "SEARCH TEXT nowhere") }

// BenchmarkFetchFlags is how clients look for changes.
func BenchmarkFetchFlags(b *testing.B) { benchmarkFetch(b, 100_000, "FETCH 1:* (FLAGS)") }

func benchmarkFetch(b *testing.B, messages int, command string) {
	s := newStack(b)
	s.fill("ann", messages)
	c := s.signIn("ann")
	c.conn.SetDeadline(time.Now().Add(10 * time.Minute))
	c.ok("SELECT INBOX")
	b.ResetTimer()
	for range b.N {
		c.n++
		tag := fmt.Sprintf("t%d ", c.n)
		c.send(tag + command + "\r\n")
		for {
			l, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if strings.HasPrefix(string(l), tag) {
				break
			}
		}
	}
}
