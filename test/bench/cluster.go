package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// cluster is the nodes of one `rookery dev`, counted from 0.
type cluster struct {
	binary, data string
	size, base   int // nodes, and the first port of the first
	// own are the nodes that run with facts of their own, below this process
	// and not below dev.
	own map[int]*exec.Cmd
}

// order kills a node with SIGKILL, or starts it.
func (c *cluster) order(what string, k int) error {
	if c.own[k] != nil {
		return c.orderOwn(what, k)
	}
	out, err := exec.Command(c.binary, "dev", what, fmt.Sprintf("node%d", k+1), "-data", c.data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("dev %s: %w: %s", what, err, out)
	}
	return nil
}

// metrics is where a node answers monitoring that was configured.
func (c *cluster) metrics(k int) string { return fmt.Sprintf("127.0.0.1:%d", c.base+100*k+10) }

// relay is where a node that was configured takes mail of clients that may relay.
func (c *cluster) relay(k int) string { return fmt.Sprintf("127.0.0.1:%d", c.base+100*k+11) }

// configure runs all nodes from now on with metrics, with a log of their own,
// DIR/nodeN.log, and with other facts in their files: lines of TOML by their keys.
func (c *cluster) configure(facts map[string]string) error {
	lines := maps.Clone(facts)
	if lines == nil {
		lines = map[string]string{}
	}
	for k := range c.size {
		lines["metrics"] = fmt.Sprintf("[%q]", c.metrics(k))
		lines["relay"] = fmt.Sprintf("[%q]", c.relay(k))
		if err := c.order("kill", k); err != nil {
			return err
		}
		path := c.file(k, "rookery.toml")
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for key, value := range lines {
			b = regexp.MustCompile(`(?m)^`+key+` = .*$`).ReplaceAll(b, []byte(key+" = "+value))
		}
		if err := os.WriteFile(path+".own", b, 0o600); err != nil {
			return err
		}
		if c.own == nil {
			c.own = map[int]*exec.Cmd{}
		}
		c.own[k] = &exec.Cmd{}
		if err := c.order("start", k); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) file(k int, name string) string {
	return filepath.Join(c.data, fmt.Sprintf("node%d", k+1), name)
}

// logFile is where a node of its own facts logs.
func (c *cluster) logFile(k int) string { return filepath.Join(c.data, fmt.Sprintf("node%d.log", k+1)) }

func (c *cluster) orderOwn(what string, k int) error {
	if what == "kill" {
		p := c.own[k].Process
		if p == nil {
			return nil
		}
		err := p.Kill()
		_ = c.own[k].Wait() // it says that it was killed
		return err
	}
	out, err := os.OpenFile(c.logFile(k), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(c.binary, "serve", "-config", c.file(k, "rookery.toml.own"), "-log-level", "info")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.own[k] = cmd
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err = c.status(k); err == nil {
			return nil
		}
	}
	return fmt.Errorf("node %d does not answer: %w", k+1, err)
}

// pids are the processes of the nodes now.
func (c *cluster) pids() ([]int, error) {
	if c.own != nil {
		var pids []int
		for k := range c.size {
			if p := c.own[k].Process; p != nil {
				pids = append(pids, p.Pid)
			}
		}
		return pids, nil
	}
	var facts struct{ Nodes []struct{ Pid int } }
	b, err := os.ReadFile(filepath.Join(c.data, "dev.json"))
	if err == nil {
		err = json.Unmarshal(b, &facts)
	}
	var pids []int
	for _, n := range facts.Nodes {
		pids = append(pids, n.Pid)
	}
	return pids, err
}

// groupStatus is what a node says of a group.
type groupStatus struct {
	Group         int
	Leader        string
	Last, Applied uint64
	Unpacked      int `json:"unpacked_bodies"`
}

// status is what a node says of its groups.
func (c *cluster) status(k int) ([]groupStatus, error) {
	var s struct{ Groups []groupStatus }
	out, err := exec.Command(c.binary, "status", "-socket", c.file(k, "admin.sock"), "--json").Output()
	if len(out) > 0 {
		err = json.Unmarshal(out, &s)
	}
	return s.Groups, err
}

// caughtUp waits until a node has applied all that another had at the moment
// of the call.
func (c *cluster) caughtUp(k, other int, within time.Duration) error {
	want, err := c.status(other)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		have, err := c.status(k)
		if err != nil {
			continue
		}
		applied := map[int]uint64{}
		for _, g := range have {
			applied[g.Group] = g.Applied
		}
		behind := false
		for _, g := range want {
			behind = behind || applied[g.Group] < g.Applied
		}
		if !behind {
			return nil
		}
	}
	return fmt.Errorf("node %d has not caught up within %v", k+1, within)
}
