// Package dnsserver is a recursive DNS server for tests, on loopback over UDP
// and TCP. It owns the records it is given and says of each name whether it was
// validated; it fails, stays silent or answers by a function where a test wants
// that. It asks no other server and is no part of the product.
package dnsserver

import (
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	mdns "github.com/miekg/dns"
)

// Server answers from records. All methods may be called concurrently.
type Server struct {
	addr netip.AddrPort

	mu      sync.Mutex
	records map[string][]mdns.RR // by lower-case name with trailing dot
	secure  map[string]bool
	special map[string]mdns.HandlerFunc
	asked   map[string]int
	plain   bool
}

// Start begins to serve on loopback and ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartAt(t, netip.MustParseAddr("127.0.0.1"))
}

// StartAt is Start on another address of this machine.
func StartAt(t testing.TB, at netip.Addr) *Server {
	t.Helper()
	s := &Server{
		records: map[string][]mdns.RR{}, secure: map[string]bool{}, special: map[string]mdns.HandlerFunc{},
		asked: map[string]int{},
	}
	listener, packets := listen(t, at)
	s.addr = listener.Addr().(*net.TCPAddr).AddrPort()
	var ready, served sync.WaitGroup
	t.Cleanup(served.Wait)
	for _, srv := range []*mdns.Server{{Listener: listener}, {PacketConn: packets}} {
		ready.Add(1)
		srv.Handler, srv.NotifyStartedFunc = s, ready.Done
		served.Go(func() { srv.ActivateAndServe() })
		t.Cleanup(func() { srv.Shutdown() })
	}
	ready.Wait()
	return s
}

// listen finds one port that is free for both.
func listen(t testing.TB, at netip.Addr) (net.Listener, net.PacketConn) {
	for range 20 {
		l, err := net.Listen("tcp", netip.AddrPortFrom(at, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		p, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, p
		}
		l.Close()
	}
	t.Fatal("no port is free for both UDP and TCP")
	return nil, nil
}

// Addr is where it listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Add adds records in the form of zone files, with full names:
//
//	example.org. 300 IN MX 10 mx.example.org.
func (s *Server) Add(t testing.TB, lines ...string) {
	t.Helper()
	for _, line := range lines {
		rr, err := mdns.NewRR(line)
		if err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		s.AddRecord(rr)
	}
}

// AddRecord adds one record.
func (s *Server) AddRecord(rr mdns.RR) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := strings.ToLower(rr.Header().Name)
	s.records[n] = append(s.records[n], rr)
}

// Remove drops all records and special answers of a name.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, name)
	delete(s.special, name)
}

// Secure says that answers about these names were validated.
func (s *Server) Secure(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		s.secure[n] = true
	}
}

// Fail answers questions about a name with a code, such as mdns.RcodeServerFailure.
func (s *Server) Fail(name string, rcode int) {
	s.Handle(name, func(w mdns.ResponseWriter, req *mdns.Msg) {
		w.WriteMsg(new(mdns.Msg).SetRcode(req, rcode))
	})
}

// Handle answers questions about a name by a function; one that writes nothing
// is a server that stays silent.
func (s *Server) Handle(name string, fn mdns.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.special[name] = fn
}

// LeaveChains has the server answer a CNAME alone, without what it leads to.
func (s *Server) LeaveChains() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plain = true
}

// Asked counts the questions about a name and a type ("MX"), each transport
// alone.
func (s *Server) Asked(name, qtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name+" "+qtype]
}

// ServeDNS answers one question.
func (s *Server) ServeDNS(w mdns.ResponseWriter, req *mdns.Msg) {
	q := req.Question[0]
	name := strings.ToLower(q.Name)
	s.mu.Lock()
	s.asked[name+" "+mdns.TypeToString[q.Qtype]]++
	special := s.special[name]
	s.mu.Unlock()
	if special != nil {
		special(w, req)
		return
	}
	m := s.Answer(req)
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		size := mdns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	w.WriteMsg(m)
}

// Answer is what the records say, for handlers that alter it.
func (s *Server) Answer(req *mdns.Msg) *mdns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := req.Question[0]
	m := new(mdns.Msg).SetReply(req)
	m.RecursionAvailable, m.AuthenticatedData, m.Compress = true, true, true
	name := strings.ToLower(q.Name)
	for seen := 0; ; seen++ {
		m.AuthenticatedData = m.AuthenticatedData && s.secure[name]
		next := ""
		for _, rr := range s.records[name] {
			if alias, ok := rr.(*mdns.CNAME); ok && q.Qtype != mdns.TypeCNAME {
				next = strings.ToLower(alias.Target)
			} else if rr.Header().Rrtype != q.Qtype {
				continue
			}
			m.Answer = append(m.Answer, rr)
		}
		if next == "" || s.plain || seen > 20 {
			break
		}
		name = next
	}
	if n := len(m.Answer); n == 0 || m.Answer[n-1].Header().Rrtype == mdns.TypeCNAME && q.Qtype != mdns.TypeCNAME && !s.plain {
		m.Ns = []mdns.RR{&mdns.SOA{
			Hdr: mdns.RR_Header{Name: ".", Rrtype: mdns.TypeSOA, Class: mdns.ClassINET, Ttl: 600},
			Ns:  "ns.test.", Mbox: "postmaster.test.", Minttl: 60,
		}}
		if !s.exists(name) {
			m.Rcode = mdns.RcodeNameError
		}
	}
	return m
}

// exists says whether a name or one below it has records.
func (s *Server) exists(name string) bool {
	for n := range s.records {
		if mdns.IsSubDomain(name, n) {
			return true
		}
	}
	return false
}
