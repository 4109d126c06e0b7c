package chaos

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"rookery/test/harness"
)

// store is the S3 server that the nodes keep bodies in: versitygw, a process
// of its own in the clients' network.
type store struct {
	binary, dir, log string
	cmd              *exec.Cmd
	busy             sync.Mutex // held by the fault of the moment
}

const storeAddress = directoryIP + ":9000"

// openStore starts the server; nil where none is built, and the nodes keep
// bodies in a directory.
func openStore(s *site) (*store, error) {
	binary := os.Getenv("ROOKERY_VERSITYGW")
	if binary == "" {
		binary = "../../bin/versitygw"
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(binary); err != nil {
		return nil, nil
	}
	o := &store{binary: binary, dir: s.path("s3"), log: s.path("s3.log")}
	for _, d := range []string{"objects/rookery", "sidecar"} {
		if err := os.MkdirAll(filepath.Join(o.dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	return o, o.start()
}

func (o *store) start() error {
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	o.cmd = exec.Command(o.binary, "--port", storeAddress, "--quiet", "--keep-alive", "posix", "--sidecar",
		filepath.Join(o.dir, "sidecar"), filepath.Join(o.dir, "objects"))
	o.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY=testuser", "ROOT_SECRET_KEY=secretsecret")
	o.cmd.Stdout, o.cmd.Stderr = log, log
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := o.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return harness.Poll(ctx, func() (bool, error) {
		c, err := net.Dial("tcp", storeAddress)
		if err != nil {
			return false, nil
		}
		return true, c.Close()
	})
}

func (o *store) stop() {
	o.cmd.Process.Kill()
	o.cmd.Wait()
}

// storeSettings is the section of the cluster's settings that names the store.
func (s *site) storeSettings() string {
	if s.store == nil {
		return fmt.Sprintf("path = %q\n", s.path("objects"))
	}
	return fmt.Sprintf("kind = \"s3\"\nendpoint = \"http://%s\"\nbucket = \"rookery\"\nregion = \"us-east-1\"\naccess_key = "+
		"\"testuser\"\nsecret_key = \"secretsecret\"\n", storeAddress)
}

// storeFaults take the object store away: killed, it refuses; stopped, it
// hangs. Mail goes on.
func storeFaults() []fault {
	return []fault{
		{"object store away", func(s *site, rnd *rand.Rand) error {
			s.store.busy.Lock()
			defer s.store.busy.Unlock()
			s.store.stop()
			hold(rnd, 5*time.Second, 20*time.Second)
			return s.store.start()
		}, false},
		{"object store hangs", func(s *site, rnd *rand.Rand) error {
			s.store.busy.Lock()
			defer s.store.busy.Unlock()
			s.store.cmd.Process.Signal(syscall.SIGSTOP)
			hold(rnd, 5*time.Second, 20*time.Second)
			return s.store.cmd.Process.Signal(syscall.SIGCONT)
		}, false},
	}
}

// lives are the settings that have stored bytes be cleared away within seconds.
func (s *site) lives() string {
	if !s.short {
		return ""
	}
	return "[limits]\nexpunged_days = 0\n[garbage]\nrepack_below = 60\nrepack_after = \"1m\"\nmerge_after = \"10s\"\nsweep_every = \"30s\"\n"
}

// watchPacks looks at the store's disk, so that the report can tell whether
// packs were deleted at all.
func (s *storm) watchPacks(ctx context.Context) {
	root := s.site.path("objects", "b")
	if s.site.store != nil {
		root = filepath.Join(s.site.store.dir, "objects", "rookery", "b")
	}
	for ctx.Err() == nil {
		there := map[string]bool{}
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".pk") {
				there[path] = true
			}
			return nil
		})
		s.mu.Lock()
		for path := range there {
			s.packs[path] = true
		}
		for path := range s.packs {
			s.packs[path] = there[path]
		}
		s.mu.Unlock()
		pause(ctx, 2*time.Second)
	}
}

// packed tells how many packs there were, and how many of them are gone.
func (s *storm) packed() (all, gone int) {
	for _, there := range s.packs {
		if !there {
			gone++
		}
	}
	return len(s.packs), gone
}
