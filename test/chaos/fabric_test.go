package chaos

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"rookery/test/harness"
)

// slots are the most places for nodes. A site has one more than nodes, for the
// one that replaces another.
const slots = 6

// inside reports whether the test runs in network and mount namespaces of its
// own. Where it does not, it has run there, as a process of its own, or is
// skipped with the reason.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv("ROOKERY_CHAOS_INSIDE") != "" {
		return true
	}
	harness.Tool(t, "ip")
	harness.Tool(t, "openssl")
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("skipped: no network between nodes can be made here: %v", err)
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), "ROOKERY_CHAOS_INSIDE=1", "ROOKERY_CHAOS_BINARY="+taggedBinary(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	err := cmd.Start()
	if err != nil {
		t.Skipf("skipped: namespaces are not permitted here: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("inside the namespaces: %v", err)
	}
	return false
}

// taggedBinary is the product with the clock and the mutants that only a build
// tag lets in.
func taggedBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ROOKERY_CHAOS_BINARY"); path != "" {
		return path
	}
	tagged.Do(func() {
		dir, err := os.MkdirTemp("", "rookery-chaos-*")
		if err != nil {
			t.Fatal(err)
		}
		tagged.path = dir + "/rookery"
		run(t, "go", "build", "-tags", "chaos", "-o", tagged.path, "rookery/cmd/rookery")
	})
	return tagged.path
}

var tagged struct {
	sync.Once
	path string
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// link is what happens to the packets from one node to another.
type link struct {
	cut   bool
	loss  float64
	delay time.Duration
}

// fabric carries every packet between the nodes' cluster ports: each node has
// a tunnel that ends here. Clients and the directory use another network.
type fabric struct {
	slots   int
	tunnels [slots]*os.File
	mu      sync.Mutex
	links   [slots][slots]link
	changes map[int]change // that are in force, by the order they came
	serial  int
	rnd     *rand.Rand
	lost    int
}

// change makes a link worse.
type change func(from, to int, l *link)

func clientIP(slot int) string  { return fmt.Sprintf("10.77.1.%d", slot+1) }
func clusterIP(slot int) string { return fmt.Sprintf("10.77.2.%d", slot+1) }
func space(slot int) string     { return fmt.Sprintf("n%d", slot+1) }

const directoryIP = "10.77.1.254"

// newFabric makes a namespace for each slot, and both networks.
func newFabric(t *testing.T, seed uint64, slots int) *fabric {
	t.Helper()
	sh := func(format string, args ...any) { t.Helper(); run(t, "sh", "-ec", fmt.Sprintf(format, args...)) }
	sh("mount --make-rprivate /; mount -t tmpfs none /run; mkdir /run/netns; ip link set lo up; " +
		"ip link add br0 type bridge; ip addr add " + directoryIP + "/24 dev br0; ip link set br0 up")
	f := &fabric{slots: slots, changes: map[int]change{}, rnd: rand.New(rand.NewPCG(seed, 77))}
	for k := range slots {
		sh("ip netns add %[1]s; ip link add v%[1]s type veth peer name eth0 netns %[1]s; ip link set v%[1]s master br0 up; "+
			"ip -n %[1]s addr add %[2]s/24 dev eth0; ip -n %[1]s link set eth0 up; ip -n %[1]s link set lo up", space(k), clientIP(k))
		tun, err := openTunnel("/run/netns/" + space(k))
		if err != nil {
			t.Fatalf("tunnel of slot %d: %v", k, err)
		}
		f.tunnels[k] = tun
		sh("ip -n %[1]s addr add %[2]s/24 dev tun0; ip -n %[1]s link set tun0 mtu 8000 up", space(k), clusterIP(k))
	}
	for k := range slots {
		go f.carry(k) // until the process ends, as the tunnels do
	}
	return f
}

// openTunnel makes tun0 in a namespace. Its thread ends with it.
func openTunnel(namespace string) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		f, err := func() (*os.File, error) {
			ns, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			defer unix.Close(ns)
			if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
				return nil, err
			}
			fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
			if err != nil {
				return nil, err
			}
			var req [40]byte
			copy(req[:], "tun0")
			binary.NativeEndian.PutUint16(req[16:], unix.IFF_TUN|unix.IFF_NO_PI)
			if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req[0]))); e != 0 {
				return nil, e
			}
			return os.NewFile(uintptr(fd), "tun0"), nil
		}()
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

func (f *fabric) carry(from int) {
	buf := make([]byte, 65536)
	for {
		n, err := f.tunnels[from].Read(buf)
		if err != nil {
			return
		}
		if n < 20 || buf[0]>>4 != 4 || buf[18] != 2 {
			continue
		}
		to := int(buf[19]) - 1
		if to < 0 || to >= f.slots {
			continue
		}
		f.mu.Lock()
		l := f.links[from][to]
		drop := l.cut || l.loss > 0 && f.rnd.Float64() < l.loss
		if drop {
			f.lost++
		}
		f.mu.Unlock()
		switch {
		case drop:
		case l.delay > 0:
			p := append([]byte(nil), buf[:n]...)
			time.AfterFunc(l.delay, func() { f.tunnels[to].Write(p) })
		default:
			f.tunnels[to].Write(buf[:n])
		}
	}
}

// add puts a change in force until it is taken back. Changes add up.
func (f *fabric) add(c change) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	mine := f.serial
	f.changes[mine] = c
	f.compute()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.changes, mine)
		f.compute()
	}
}

func (f *fabric) compute() {
	f.links = [slots][slots]link{}
	for _, k := range slices.Sorted(maps.Keys(f.changes)) {
		for a := range f.slots {
			for b := range f.slots {
				if a != b {
					f.changes[k](a, b, &f.links[a][b])
				}
			}
		}
	}
}
