package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is built once per test process.
type binary struct {
	flags []string
	once  sync.Once
	path  string
	err   error
}

var (
	current = binary{}
	next    = binary{flags: []string{"-ldflags", "-X rookery/storage/command.testVersion=next"}}
)

// Binary builds the rookery binary once per test process and gives its path.
func Binary(t testing.TB) string { return current.built(t) }

// Next builds the binary after Binary: it reads one version of commands more.
func Next(t testing.TB) string { return next.built(t) }

func (b *binary) built(t testing.TB) string {
	t.Helper()
	b.once.Do(func() {
		if b.path = os.Getenv("ROOKERY_TEST_BINARY"); b == &current && b.path != "" {
			return // a test that runs itself once more has built it
		}
		dir, err := os.MkdirTemp("", "rookery-bin-*")
		if err != nil {
			b.err = err
			return
		}
		b.path = filepath.Join(dir, "rookery")
		args := append([]string{"build", "-o", b.path}, b.flags...)
		if os.Getenv("ROOKERY_RACE") != "" {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "rookery/cmd/rookery")...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

// StartUpgradable is StartCluster with a program file of its own, which
// Install replaces.
func StartUpgradable(t testing.TB, dir string, nodes int) *Dev {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rookery")
	if err := install(path, Binary(t)); err != nil {
		t.Fatal(err)
	}
	return startCluster(t, dir, nodes, path)
}

// Install replaces the program file: nodes started from now on run the binary.
func (d *Dev) Install(binary string) error { return install(d.bin, binary) }

func install(path, binary string) error {
	b, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	// A running program's file cannot be written, only replaced.
	if err := os.WriteFile(path+".new", b, 0o700); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// StopNode ends one node with SIGTERM and waits until it has ended.
func (d *Dev) StopNode(name string) error {
	pid := func() int {
		for _, n := range d.Facts.Nodes {
			if n.Name == name {
				return n.PID
			}
		}
		return 0
	}
	if pid() == 0 {
		return fmt.Errorf("%s does not run", name)
	}
	if err := syscall.Kill(pid(), syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience(time.Minute))
	defer cancel()
	return Poll(ctx, func() (bool, error) {
		err := d.reread()
		return err == nil && pid() == 0, err
	})
}
