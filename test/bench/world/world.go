// Package world is what outgoing mail is measured in: a network of its own with a
// DNS in which every domain dN.bench has a host, Postfix's smtp-sink as every host,
// and a Postfix with Debian's defaults. It measures nothing.
package world

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	mdns "github.com/miekg/dns"
)

// Where the world is.
const (
	// DNS is the server that /etc/resolv.conf names.
	DNS = "127.0.0.1:53"
	// PostfixDoor is where Postfix takes mail.
	PostfixDoor = "127.0.0.1:11025"
)

const insideMark = "ROOKERY_BENCH_INSIDE"

// Inside reports whether this program runs in the world already.
func Inside() bool { return os.Getenv(insideMark) != "" }

// Enter runs this program again in a network and with an /etc/resolv.conf of its
// own, where it may listen at port 25 and be everybody's DNS.
func Enter() error {
	resolv := filepath.Join(os.TempDir(), "rookery-bench-resolv.conf")
	if err := os.WriteFile(resolv, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	script := `ip link set lo up && ip address add 10.9.9.1/32 dev lo && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
	args := append([]string{"unshare", "--net", "--mount", "sh", "-c", script, "sh", resolv, self}, os.Args[1:]...)
	return syscall.Exec(unshare, args, append(os.Environ(), insideMark+"=1"))
}

// StartDNS gives every domain a host, and every host an address of loopback.
func StartDNS() (stop func(), err error) {
	handler := mdns.HandlerFunc(func(w mdns.ResponseWriter, req *mdns.Msg) {
		q := req.Question[0]
		name := strings.ToLower(q.Name)
		m := new(mdns.Msg).SetReply(req)
		m.RecursionAvailable = true
		h := mdns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: mdns.ClassINET, Ttl: 600}
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "mx."), "d"), ".bench."))
		switch {
		case err != nil:
			m.Rcode = mdns.RcodeNameError
		case q.Qtype == mdns.TypeMX && !strings.HasPrefix(name, "mx."):
			m.Answer = append(m.Answer, &mdns.MX{Hdr: h, Preference: 10, Mx: "mx." + name})
		case q.Qtype == mdns.TypeA && strings.HasPrefix(name, "mx."):
			m.Answer = append(m.Answer, &mdns.A{Hdr: h, A: net.IPv4(127, 1, byte(n/250), byte(n%250+1))})
		}
		w.WriteMsg(m)
	})
	var servers []*mdns.Server
	stop = func() {
		for _, s := range servers {
			s.Shutdown()
		}
	}
	for _, network := range []string{"udp", "tcp"} {
		ready := make(chan error, 1)
		s := &mdns.Server{Addr: DNS, Net: network, Handler: handler, NotifyStartedFunc: func() { ready <- nil }}
		go func() { ready <- s.ListenAndServe() }()
		if err := <-ready; err != nil {
			stop()
			return nil, err
		}
		servers = append(servers, s)
	}
	return stop, nil
}

// Postfix is Debian's, with its defaults.
type Postfix struct{ dir string }

// StartPostfix starts it.
func StartPostfix() (*Postfix, error) {
	dir, err := os.MkdirTemp("", "rookery-bench-*")
	if err != nil {
		return nil, err
	}
	os.Chmod(dir, 0o755)
	sh := func(script string) error {
		out, err := exec.Command("sh", "-c", "cd "+dir+" && "+script).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = bench.test
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
alias_database =
smtpd_peername_lookup = no
maillog_file = %[1]s/maillog
maillog_file_prefixes = %[1]s
`, dir)
	script := `mkdir etc queue data && chown postfix data && cat >etc/main.cf <<'X'
` + main + `X
awk '/^[ \t]/ {if (on) print; next} {on = !/^#/ && $1 != "smtp" || $2 == "unix"} on && NF >= 8 {$5 = "n"; print}' \
  /usr/share/postfix/master.cf.dist >etc/master.cf
echo '127.0.0.1:11025 inet n - n - - smtpd' >>etc/master.cf
grep -q ^postlog etc/master.cf || echo 'postlog unix-dgram n - n - 1 postlogd' >>etc/master.cf
postfix -c "$PWD/etc" start`
	p := &Postfix{dir}
	if err := sh(script); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// Stop stops it and removes what it has.
func (p *Postfix) Stop() {
	exec.Command("postfix", "-c", filepath.Join(p.dir, "etc"), "stop").Run()
	os.RemoveAll(p.dir)
}

// Pid is the process that all others are below; 0 where there is none.
func (p *Postfix) Pid() int {
	b, err := os.ReadFile(filepath.Join(p.dir, "queue/pid/master.pid"))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// Sink is Postfix's smtp-sink at port 25 of every address.
type Sink struct {
	cmd      *exec.Cmd
	messages atomic.Int64
}

// StartSink starts it.
func StartSink() (*Sink, error) {
	s := &Sink{cmd: exec.Command("smtp-sink", "-c", "-u", "nobody", "0.0.0.0:25", "1000")}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go s.count(out)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:25")
		if err == nil {
			c.Close()
			return s, nil
		}
		if time.Now().After(deadline) {
			s.Stop()
			return nil, err
		}
	}
}

// count follows its counters: "sess=1 quit=1 mesg=1", overwritten in place.
func (s *Sink) count(out io.Reader) {
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\r')
		if _, after, ok := strings.Cut(line, "mesg="); ok {
			if n, err := strconv.ParseInt(strings.TrimSpace(after), 10, 64); err == nil {
				s.messages.Store(n)
			}
		}
		if err != nil {
			return
		}
	}
}

// Messages is how many it has taken.
func (s *Sink) Messages() int64 { return s.messages.Load() }

// Stop ends it.
func (s *Sink) Stop() {
	s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it says that it was killed
}
