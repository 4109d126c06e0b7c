package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// Test processes run side by side, and what they start takes a while to listen
// at the ports it was given: each process has a window of its own, as long as
// it holds the lock of the window's file.
const (
	firstPort   = 10000
	lastPort    = 32000 // above it are those the system gives to outgoing connections
	windowPorts = 2200
)

var ports struct {
	mu         sync.Mutex
	from, next int // the window begins at from; 0 is that none was taken yet
	lock       *os.File
}

// FreePorts finds n ports in a row on 127.0.0.1 that are free now, and that no
// other test process finds.
func FreePorts(t testing.TB, n int) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.from == 0 {
		ports.from = window()
		ports.next = ports.from
	}
	for range 1000 {
		if ports.next+n > ports.from+windowPorts {
			ports.next = ports.from
		}
		base := ports.next
		if ports.next += n; free(base, n) {
			return base
		}
	}
	t.Fatalf("no %d free ports in a row between %d and %d", n, ports.from, ports.from+windowPorts)
	return 0
}

// window takes a window for this process until it ends. Where all are taken,
// or no file can be made, it takes one by chance: most likely its ports are
// free.
func window() int {
	for from := firstPort; from+windowPorts <= lastPort; from += windowPorts {
		path := filepath.Join(os.TempDir(), fmt.Sprintf("rookery-test-ports-%d", from))
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o666)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			ports.lock = f
			return from
		}
		f.Close()
	}
	return firstPort + os.Getpid()*37%(lastPort-firstPort-windowPorts)
}

func free(base, n int) bool {
	for p := base; p < base+n; p++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return false
		}
		ln.Close()
	}
	return true
}
