package dev

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/datadir"
	"rookery/cmd/rookery/cli"
	"rookery/cmd/rookery/machine"
)

// devProcess is one node of a dev cluster: a process that is not restarted
// when it dies, so that a kill is a kill.
type devProcess struct {
	dev *cluster
	k   int

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

func (p *devProcess) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// start runs the node's process with what it needs in a file.
func (p *devProcess) start() error {
	const op = "start node"
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return rookery.E(op, rookery.KindExists, fmt.Errorf("%s runs already", cli.DevNode(p.k)))
	}
	cfg := p.dev.config(p.k)
	path := filepath.Join(cfg.DataDir, "rookery.toml")
	b, err := toml.Marshal(cfg)
	if err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	self, err := os.Executable()
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	cmd := exec.Command(self, "serve", "-config", path, "-log-level", p.dev.level)
	cmd.Stdout, cmd.Stderr = p.dev.Err, p.dev.Err
	// It dies with its supervisor, whatever kills that, and Ctrl-C in a
	// terminal reaches only the supervisor.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go p.wait(cmd, p.done)
	return nil
}

func (p *devProcess) wait(cmd *exec.Cmd, done chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	p.cmd = nil
	p.mu.Unlock()
	close(done)
	if err != nil {
		p.dev.logger.Warn("a node ended", "node", cli.DevNode(p.k), "error", err)
	}
	if cli.Exists(p.dev.path("dev.json")) {
		if err := p.dev.writeFacts(); err != nil {
			p.dev.logger.Warn("dev.json is not current", "error", err)
		}
	}
}

// signal sends a signal and waits until the process has ended.
func (p *devProcess) signal(s os.Signal) error {
	p.mu.Lock()
	cmd, done := p.cmd, p.done
	p.mu.Unlock()
	if cmd == nil {
		return rookery.E("stop node", rookery.KindNotFound, fmt.Errorf("%s does not run", cli.DevNode(p.k)))
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return rookery.E("stop node", rookery.KindDenied, err)
	}
	select {
	case <-done:
	case <-time.After(machine.StopWithin + 10*time.Second):
		cmd.Process.Kill()
		<-done
	}
	return nil
}

// ready waits until the node's administration socket answers and, where whole
// is set, until every group has all nodes as members.
func (p *devProcess) ready(ctx context.Context, whole bool) error {
	admin := adminapi.New(p.dev.config(p.k).DataDir + "/admin.sock")
	for {
		s, err := admin.Status(ctx)
		if err == nil && (!whole || settled(s, len(p.dev.nodes))) {
			return nil
		}
		if p.pid() == 0 {
			return rookery.E("start node", rookery.KindUnavailable, fmt.Errorf("%s ended; its messages stand above", cli.DevNode(p.k)))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return rookery.E("start node", rookery.KindUnavailable,
				fmt.Errorf("%s is not ready: %v, problems: %v", cli.DevNode(p.k), err, s.Problems))
		}
	}
}

func settled(s adminapi.Status, nodes int) bool {
	want := min(nodes, 3)
	for _, g := range s.Groups {
		if g.Leader == "" || len(g.Members) < want {
			return false
		}
	}
	return len(s.Groups) > 0
}

// joinWithin bounds the making of a dev cluster.
const joinWithin = 2 * time.Minute

// startNodes makes the cluster on the first run, and starts all its nodes.
func (d *cluster) startNodes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	for k := range d.ports {
		d.nodes = append(d.nodes, &devProcess{dev: d, k: k})
	}
	first := d.nodes[0]
	if !cli.Exists(d.path(cli.DevNode(0), "node.json")) {
		set, err := d.settings()
		if err != nil {
			return err
		}
		if err := machine.BeginCluster(ctx, d.config(0), set, d.logger); err != nil {
			return err
		}
	}
	// Nodes that exist start together: alone they may have no quorum.
	var young []*devProcess
	for k, p := range d.nodes {
		if !cli.Exists(d.path(cli.DevNode(k), "node.json")) {
			young = append(young, p)
			continue
		}
		if err := p.start(); err != nil {
			return err
		}
	}
	if err := first.ready(ctx, false); err != nil {
		return err
	}
	for _, p := range young {
		if err := p.join(ctx); err != nil {
			return err
		}
	}
	for _, p := range d.nodes {
		if err := p.ready(ctx, len(young) > 0); err != nil {
			return err
		}
	}
	return nil
}

// join takes the way of any further node: a token, the exchange, a start.
func (p *devProcess) join(ctx context.Context) error {
	admin := adminapi.New(p.dev.config(0).DataDir + "/admin.sock")
	i, err := admin.Mint(ctx, 10*time.Minute)
	if err != nil {
		return err
	}
	if err := datadir.Join(ctx, p.dev.config(p.k), datadir.Joining{Token: i.Token, Addresses: i.Addresses}); err != nil {
		return err
	}
	return p.start()
}

func (d *cluster) stopNodes() {
	var wg sync.WaitGroup
	for _, p := range d.nodes {
		if p.pid() != 0 {
			wg.Go(func() {
				if err := p.signal(syscall.SIGTERM); err != nil {
					d.logger.Warn("a node did not stop", "node", cli.DevNode(p.k), "error", err)
				}
			})
		}
	}
	wg.Wait()
}

// serveOrders lets another terminal kill and start nodes.
func (d *cluster) serveOrders() (*http.Server, error) {
	path := d.path("dev.sock")
	os.Remove(path) // of a run that was killed
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return nil, rookery.E("open dev socket", rookery.KindUnavailable, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{order}/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := d.order(r.Context(), r.PathValue("order"), r.PathValue("name")); err != nil {
			devError(w, err)
		}
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go s.Serve(ln)
	return s, nil
}

func (d *cluster) order(ctx context.Context, order, name string) error {
	if order == "directory" {
		return d.people.order(name)
	}
	for k, p := range d.nodes {
		if cli.DevNode(k) != name {
			continue
		}
		switch order {
		case "kill":
			return errors.Join(p.signal(syscall.SIGKILL), d.writeFacts())
		case "start":
			if err := p.start(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, joinWithin)
			defer cancel()
			return errors.Join(p.ready(ctx, false), d.writeFacts())
		}
	}
	return rookery.E("find node", rookery.KindNotFound,
		fmt.Errorf("there is no node %q: they are %s to %s", name, cli.DevNode(0), cli.DevNode(len(d.nodes)-1)))
}
