package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// cluster is the nodes of one `rookery dev`, counted from 0.
type cluster struct {
	binary, data string
	size         int
}

// order kills a node with SIGKILL, or starts it.
func (c *cluster) order(what string, k int) error {
	out, err := exec.Command(c.binary, "dev", what, fmt.Sprintf("node%d", k+1), "-data", c.data).CombinedOutput()
	if err != nil {
		return fmt.Errorf("dev %s: %w: %s", what, err, out)
	}
	return nil
}

// pids are the processes of the nodes now.
func (c *cluster) pids() ([]int, error) {
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
}

// status is what a node says of its groups.
func (c *cluster) status(k int) ([]groupStatus, error) {
	var s struct{ Groups []groupStatus }
	out, err := exec.Command(c.binary, "status", "-socket", filepath.Join(c.data, fmt.Sprintf("node%d", k+1), "admin.sock"), "--json").Output()
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
