package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
)

// maxPlainConns bounds the connections to a plain HTTP listener: nobody who
// reaches it takes the node's descriptors.
const maxPlainConns = 256

// phase is where a node is between Open and Close.
type phase int32

const (
	starting phase = iota
	serving
	stopping
)

// health tells load balancers whether to send clients here. A node is to be
// taken out only where another would do better: what is wrong with all nodes
// alike is answered to the client, by its protocol and with a reason.
type health struct {
	node   *Node
	phase  atomic.Int32
	held   atomic.Pointer[string] // why the start does not get on
	server http.Server
	wg     sync.WaitGroup
}

// Verdict is the one line a balancer's operator reads.
type Verdict struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason"`
}

func newHealth(n *Node) *health {
	h := &health{node: n}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { h.answer(w, Verdict{true, "the process runs"}) })
	for _, p := range []string{"", "smtp", "imap", "pop3"} {
		mux.HandleFunc("GET "+strings.TrimSuffix("/ready/"+p, "/"), func(w http.ResponseWriter, _ *http.Request) { h.answer(w, h.ready(p)) })
	}
	h.server = http.Server{Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10}
	return h
}

// open begins to answer: from here on a node that starts says so.
func (h *health) open(ctx context.Context) error {
	for _, addr := range h.node.cfg.Listen.Health {
		ln, err := h.node.deps.Network.Listen(ctx, "tcp", addr)
		if err != nil {
			return rookery.E("listen", rookery.KindUnavailable, fmt.Errorf("health on %s: %w; free the port or change listen.health", addr, err))
		}
		h.wg.Go(func() {
			if err := h.server.Serve(netutil.LimitListener(ln, maxPlainConns)); !errors.Is(err, http.ErrServerClosed) {
				h.node.deps.Logger.Error("listener ended", "listener", "health", "address", addr, "error", err)
			}
		})
	}
	return nil
}

// holdUp says why the start does not get on, "" that it does.
func (h *health) holdUp(why string) { h.held.Store(&why) }

func (h *health) enter(p phase) { h.phase.Store(int32(p)) }

func (h *health) close() error {
	err := h.server.Close()
	h.wg.Wait()
	return err
}

func (h *health) answer(w http.ResponseWriter, v Verdict) {
	w.Header().Set("Content-Type", "application/json")
	if !v.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(v)
}

// ready decides about one protocol, or all for "".
func (h *health) ready(protocol string) Verdict {
	switch phase(h.phase.Load()) {
	case starting:
		if why := h.held.Load(); why != nil && *why != "" {
			return Verdict{Reason: "starting: " + *why}
		}
		return Verdict{Reason: "starting"}
	case stopping:
		return Verdict{Reason: "stopping"}
	}
	n := h.node
	nodes, err := n.system.Nodes()
	if err != nil {
		return Verdict{Reason: fmt.Sprintf("the registry of nodes cannot be read: %v", err)}
	}
	members, reached := 0, 0
	var others []rookery.NodeID
	for _, x := range nodes {
		if x.ID == n.id.Node && x.State != command.NodeActive {
			return Verdict{Reason: x.State.String()}
		}
		if !x.Member() {
			continue
		}
		members++
		if n.lives.Alive(x.ID) {
			reached++
			others = append(others, x.ID)
		}
	}
	if 2*reached < members {
		return Verdict{Reason: fmt.Sprintf("this node reaches only %d of %d nodes", reached, members)}
	}
	if skew := n.clocks.Skew(); skew != 0 {
		return Verdict{Reason: peers.SayClock(skew)}
	}
	disk := n.groups.Log().Disk().String()
	if (protocol == "" || protocol == "smtp") && disk != "ok" && h.roomier(others) {
		return Verdict{Reason: fmt.Sprintf("the disk is nearly full (%s limit): new mail would be answered 452", disk)}
	}
	return Verdict{true, h.remark()}
}

// roomier reports whether one of the nodes has room on its disk. This node,
// which may be among them, has none.
func (h *health) roomier(nodes []rookery.NodeID) bool {
	for _, r := range h.node.reports.All(nodes) {
		if r.Disk == "ok" {
			return true
		}
	}
	return false
}

// remark names what is wrong though no other node would do better.
func (h *health) remark() string {
	n := h.node
	for _, id := range append(n.groups.Here(), rookery.SystemGroup) {
		if g := n.groups.Group(id); g != nil {
			if _, ok := g.Leader(); !ok {
				return fmt.Sprintf("serving; group %d has no leader, its mail is answered as temporary", id)
			}
		}
	}
	if why := n.settings.Trouble(); why != "" {
		return "serving; " + why
	}
	for name := range n.people.Trouble() {
		return fmt.Sprintf("serving; directory %s does not answer", name)
	}
	return "serving"
}
